"""Writes docs/which-api.md by running what it says: `python docs/make_which_api.py [folder]`.

Texts of models come from `model_to_code`, numbers from training, marks in the table from snippets
that work or raise, messages from the errors themselves.
"""

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import staghorn
from staghorn import layers
from staghorn.utils import clear_session, model_to_code, plot_model, set_random_seed

STYLES = {"sequential": "Sequential", "functional": "Functional", "subclass": "Subclass"}
EPOCHS = 40

PAGE = """\
# Which API, when?

Staghorn has Keras's three ways to write a model. They make the same layers, and one `fit` trains
them all. They differ in which shapes of model they can express.

- **Sequential**: the layers stand one behind the other. Start here.
- **Functional**: there is more than one way through: several inputs or outputs, a shared layer, a
  skip connection. You draw a graph by calling layers. Most models are written like this.
- **Subclass**: `call` is Python code, so that a loop or an `if` may decide what happens. You pay
  for it: the library sees the graph only when the code runs.

Rule of thumb: take the first of the three that can say what you mean.

This page is written by `python docs/make_which_api.py`, which runs everything shown here.

## One problem, three texts

Is a point of the plane nearer to 0 than 0.8? {count} random points are the data. The same model in
the three styles, each text written by `staghorn.utils.model_to_code(model, style=...)`:

<table>
<tr>
{heads}
</tr>
<tr>
{texts}
</tr>
<tr>
{drawings}
</tr>
</table>

The drawings are `staghorn.utils.plot_model(model, show_shapes=True)`. With the same seed, {epochs}
epochs of training end in the same place:

| | {names} |
|---|{rule}
| weights (numbers) | {weights} |
| loss | {losses} |
| accuracy | {accuracies} |

## Where the ways part

Here the input also goes round a layer, which a stack has no words for:

<table>
<tr>
{skip}
</tr>
</table>

## What each can express

Each mark is a small program that ran, or raised an error, when this page was written.

| | {names} |
|---|{rule}
{table}

A Sequential takes a layer twice only in the same line, one call behind the other. A subclassed
model tells its shapes after it has seen data once, or after `build`; its file can be opened where
its class is known and registered.

## What Sequential says when it cannot

{errors}

`model_to_code` looks at a finished model and names every obstacle:

```python
{refused}
```

```text
{refusal}
```
"""


# The problem ----------------------------------------------------------------------------------


def points(count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Return points of a square and whether each is near its centre."""
    x = np.random.default_rng(0).uniform(-1, 1, (count, 2)).astype("float32")
    return x, (np.hypot(*x.T) < 0.8).astype("float32")


def circle_model() -> Any:
    """Return the model that the page shows."""
    return staghorn.Sequential(
        [
            staghorn.Input((2,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def run(text: str) -> Any:
    """Run the text of a model in a new session and return the model."""
    clear_session()
    set_random_seed(0)
    namespace: dict[str, Any] = {}
    exec(text, namespace)  # our own text, from model_to_code
    return namespace["model"]


def trained(text: str) -> tuple[Any, float, float]:
    """Return the model of a text, and its loss and accuracy after training."""
    model = run(text)
    model.compile(
        optimizer=staghorn.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"]
    )
    x, y = points()
    model.fit(x, y[:, None], epochs=EPOCHS, batch_size=50, verbose=0)
    loss, accuracy = model.evaluate(x, y[:, None], verbose=0)
    return model, loss, accuracy


# What each can express ------------------------------------------------------------------------


def chain() -> Any:
    """Return layers one behind the other."""
    x = staghorn.Input((4,))
    return staghorn.Model(x, layers.Dense(1)(layers.Dense(4)(x)))


def several_inputs() -> Any:
    """Return a model of two inputs."""
    a, b = staghorn.Input((4,), name="a"), staghorn.Input((3,), name="b")
    return staghorn.Model([a, b], layers.Dense(1)(layers.concatenate([a, b])))


def several_outputs() -> Any:
    """Return a model of two outputs."""
    x = staghorn.Input((4,))
    return staghorn.Model(x, [layers.Dense(1, name="price")(x), layers.Dense(3, name="kind")(x)])


def shared_layer() -> Any:
    """Return a model that calls one layer on two inputs."""
    a, b = staghorn.Input((4,), name="a"), staghorn.Input((4,), name="b")
    tower = layers.Dense(4, name="tower")
    return staghorn.Model([a, b], layers.dot([tower(a), tower(b)]))


def skip_connection() -> Any:
    """Return a model whose input goes round a layer."""
    x = staghorn.Input((4,))
    total = layers.add([x, layers.Dense(4)(x)])
    return staghorn.Model(x, layers.Dense(1)(total))


GRAPHS = {
    "layers one behind the other": chain,
    "several inputs": several_inputs,
    "several outputs": several_outputs,
    "one layer for two inputs (shared)": shared_layer,
    "skip connection": skip_connection,
}

PROGRAMS = {
    "sequential": """\
model = staghorn.Sequential([staghorn.Input((4,)), layers.Dense(4, name="middle"), layers.Dense(1)])
""",
    "functional": """\
x = staghorn.Input((4,))
model = staghorn.Model(x, layers.Dense(1)(layers.Dense(4, name="middle")(x)))
""",
    "subclass": """\
class Net(staghorn.Model):
    def __init__(self):
        super().__init__()
        self.middle = layers.Dense(4, name="middle")
        self.last = layers.Dense(1)

    def call(self, x, steps=1):
        for _ in range(steps):
            x = self.middle(x)
        return self.last(x)

model = Net()
""",
}
PROPERTIES = {
    "weights and shapes before any data": "model.count_params()",
    "the output of a layer inside: `model.get_layer(...).output`": (
        "model(data)\nstaghorn.Model(model.inputs, model.get_layer('middle').output)"
    ),
    "made again from its JSON text alone": (
        "model(data)\nstaghorn.models.model_from_json(model.to_json())"
    ),
    "a drawing of its layers": (
        "model(data)\nassert 'middle' in staghorn.utils.model_to_dot(model, show_layer_names=True)"
    ),
    "a Python loop or `if` in `call`: `model(x, steps=3)`": "model(data, steps=3)",
}


def mark(program: Callable[[], Any]) -> str:
    """Return "yes" if a program runs and "no" if it says that it cannot."""
    clear_session()
    try:
        program()
    except (ValueError, TypeError, AttributeError):
        return "no"
    return "**yes**"


def table() -> str:
    """Return the rows of what each style can express."""
    rows = []
    for label, build in GRAPHS.items():

        def written(style: str, build: Callable[[], Any] = build) -> Any:
            return run(model_to_code(build(), style))

        rows.append((label, [mark(lambda style=style: written(style)) for style in STYLES]))
    for label, snippet in PROPERTIES.items():
        programs = [PROGRAMS[style] + snippet for style in STYLES]

        def executed(program: str) -> None:
            data = np.ones((2, 4), "float32")
            exec(program, {"staghorn": staghorn, "layers": layers, "data": data})

        rows.append((label, [mark(lambda p=program: executed(p)) for program in programs]))
    return "\n".join(f"| {label} | {' | '.join(marks)} |" for label, marks in rows)


# What Sequential says -------------------------------------------------------------------------

WRONG = {
    "Several inputs": """\
staghorn.Sequential([staghorn.Input((4,)), layers.Dense(4), layers.Add(name="skip")])""",
    "Several outputs": """\
staghorn.Sequential(
    [staghorn.Input((5, 3)), layers.LSTM(4, return_state=True, name="lstm"), layers.Dense(1)],
    name="three_results",
)""",
    "A second Input": """\
staghorn.Sequential([staghorn.Input((4,)), layers.Dense(4), staghorn.Input((3,))])""",
}
REFUSED = """\
a, b = staghorn.Input((4,), name="a"), staghorn.Input((4,), name="b")
tower = layers.Dense(4, name="tower")
model = staghorn.Model([a, b], layers.Dot(axes=-1, name="likeness")([tower(a), tower(b)]))
staghorn.utils.model_to_code(model, style="sequential")"""


def message(program: str) -> str:
    """Return what a program that cannot work says."""
    clear_session()
    try:
        exec(program, {"staghorn": staghorn, "layers": layers})
    except ValueError as error:
        return f"ValueError: {error}"
    raise AssertionError(f"This was meant to fail:\n{program}")


# The page -------------------------------------------------------------------------------------


def cells(contents: list[str]) -> str:
    """Return cells of an HTML table that hold Markdown."""
    return "\n".join(f'<td valign="top">\n\n{content}\n\n</td>' for content in contents)


def write(folder: Path) -> None:
    """Write the page and its drawings into a folder."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    clear_session()
    source = circle_model()
    texts = {style: model_to_code(source, style) for style in STYLES}
    results = {style: trained(text) for style, text in texts.items()}
    drawings = []
    for style, name in STYLES.items():
        picture = f"images/which-api-{style}.svg"
        plot_model(results[style][0], folder / picture, show_shapes=True, show_layer_names=True)
        drawings.append(f"![{name}: the layers, one behind the other]({picture})")
    clear_session()
    skip = skip_connection()
    plot_model(skip, folder / "images/which-api-skip.svg", show_shapes=True, show_layer_names=True)
    errors = [
        f"{title}:\n\n```python\n{program}\n```\n\n```text\n{message(program)}\n```"
        for title, program in WRONG.items()
    ]
    page = PAGE.format(
        count=len(points()[0]),
        epochs=EPOCHS,
        heads="\n".join(f"<th>{name}</th>" for name in STYLES.values()),
        names=" | ".join(STYLES.values()),
        rule="---|" * len(STYLES),
        texts=cells([f"```python\n{text}```" for text in texts.values()]),
        drawings=cells(drawings),
        weights=" | ".join(str(model.count_params()) for model, _, _ in results.values()),
        losses=" | ".join(f"{loss:.2f}" for _, loss, _ in results.values()),
        accuracies=" | ".join(f"{accuracy:.2f}" for _, _, accuracy in results.values()),
        skip=cells(
            [
                f"```python\n{model_to_code(skip)}```",
                "![The input feeds a Dense layer and the addition behind it]"
                "(images/which-api-skip.svg)",
            ]
        ),
        table=table(),
        errors="\n\n".join(errors),
        refused=REFUSED,
        refusal="\n".join(textwrap.wrap(message(REFUSED), 90)),
    )
    (folder / "which-api.md").write_text(page)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
