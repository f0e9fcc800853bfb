"""`model_to_code`: the text is run, and what it builds is compared with the original."""

import functools
import subprocess
import sys
import types
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
import pytest

import staghorn
from staghorn import layers, ops
from staghorn.engine import naming, tree
from staghorn.utils import model_to_code
from staghorn.visualization.model_to_code import STYLES
from tests.common.subjects import LAYERS
from tests.oracle import keras

RNG = np.random.default_rng(0)


@staghorn.saving.register_keras_serializable("code")
class Scale(layers.Layer):
    """A layer of the user's, with a config that is derived."""

    def __init__(self, factor, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.offset = factor, offset

    def call(self, x):
        return self.factor * x + self.offset


class Stubborn(layers.Layer):
    """A layer whose config is not what its constructor takes."""

    def __init__(self, halves):
        super().__init__()
        self.factor = halves / 2

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {"twice": self.factor}

    @classmethod
    def from_config(cls, config):
        return cls(2 * config["twice"])


def doubled(x):
    return 2 * x


def chain():
    return staghorn.Sequential(
        [
            staghorn.Input((4,)),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(2, activation="softmax", name="classes"),
        ]
    )


def functional_chain():
    x = staghorn.Input((4,), name="features")
    return staghorn.Model(x, layers.Dense(2, name="y")(layers.Dense(8)(x)), name="small")


def two_inputs_two_outputs():
    a, b = staghorn.Input((4,), name="a"), staghorn.Input((3,), name="b")
    x = layers.concatenate([a, b])
    x = layers.Dense(8, activation="relu")(x)
    return staghorn.Model(
        [a, b], [layers.Dense(1, name="left")(x), layers.Dense(2, name="right")(x)]
    )


def dictionaries():
    a, b = staghorn.Input((4,), name="a"), staghorn.Input((4,), name="b")
    total = layers.Add(name="total")([a, b])
    return staghorn.Model({"b": b, "a": a}, {"sum": total, "more": {"y": layers.Dense(3)(total)}})


def one_in_a_dictionary():
    x = staghorn.Input((4,), name="a")
    return staghorn.Model({"a": x}, layers.Dense(3)(x))


def shared_layer():
    a, b = staghorn.Input((4,), name="a"), staghorn.Input((4,), name="b")
    tower = layers.Dense(4, name="tower")
    return staghorn.Model([a, b], layers.Dot(axes=-1)([tower(a), tower(b)]))


def same_layer_twice_in_a_chain():
    dense = layers.Dense(4)
    return staghorn.Sequential([staghorn.Input((4,)), dense, layers.ReLU(), dense])


def nested():
    encoder = staghorn.Sequential(
        [staghorn.Input((4,)), layers.Dense(3), layers.Dense(2)], name="encoder"
    )
    z = staghorn.Input((2,))
    hidden = layers.Dense(3)(z)
    decoder = staghorn.Model(z, [layers.Dense(4)(hidden), hidden], name="decoder")
    x = staghorn.Input((4,))
    whole, part = decoder(encoder(x))
    return staghorn.Model(x, layers.Concatenate()([whole, part, encoder(whole)]), name="nested")


def nested_in_a_chain():
    x = staghorn.Input((4,))
    block = staghorn.Model(x, layers.Add()([x, layers.Dense(4)(x)]), name="block")
    return staghorn.Sequential([staghorn.Input((4,)), block, layers.Dense(1)])


def bidirectional():
    return staghorn.Sequential(
        [
            staghorn.Input((5, 3)),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True, dropout=0.1)),
            layers.TimeDistributed(layers.Dense(3, activation="tanh")),
            layers.Bidirectional(layers.GRU(2), merge_mode="sum", name="both"),
        ]
    )


def cells_and_states():
    x = staghorn.Input((5, 3))
    cells = layers.RNN([layers.LSTMCell(4), layers.GRUCell(2)], return_sequences=True)(x)
    _, h, c = layers.LSTM(4, return_state=True)(cells)
    y = layers.LSTM(4, return_sequences=True)(x, initial_state=[h, c])
    return staghorn.Model(x, y)


def masks():
    x = staghorn.Input((6,), dtype="int32")
    tokens = layers.Embedding(9, 4, mask_zero=True)(x)
    keys = layers.Masking(-1.0)(tokens)
    attended = layers.MultiHeadAttention(2, key_dim=3)(tokens, keys, use_causal_mask=True)
    return staghorn.Model(x, layers.LSTM(3)(layers.LayerNormalization()(attended)))


def convolutions():
    return staghorn.Sequential(
        [
            staghorn.Input((8, 8, 3), batch_size=2),
            layers.Conv2D(
                4,
                3,
                strides=2,
                padding="same",
                kernel_initializer=staghorn.initializers.RandomNormal(stddev=0.1, seed=3),
                kernel_regularizer=staghorn.regularizers.L1L2(l1=0.01, l2=1e-5),
                kernel_constraint=staghorn.constraints.MaxNorm(2.0),
                bias_initializer="ones",
                bias_constraint="non_neg",
            ),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation(staghorn.activations.gelu),
            layers.GlobalAveragePooling2D(),
        ]
    )


def residual_operations():
    x = inputs = staghorn.Input((8, 4))
    for _ in range(2):
        shortcut = x
        x = layers.Dense(4, activation="relu")(x)
        x = 0.5 * (x - 1.0) + shortcut**2
    x = ops.concatenate([x[:, 1:], -x[..., ::2, :]], axis=1)
    low, high = ops.split(x, 2, axis=-1)
    scale = np.array([[1.0, 2.0]], "float32")
    return staghorn.Model(inputs, ops.maximum(low * scale, ops.mean(high, axis=-1, keepdims=True)))


def headlines():
    text = staghorn.Input((20,), dtype="int32", name="text")
    numbers = staghorn.Input((5,), name="numbers")
    meaning = layers.LSTM(4)(layers.Embedding(50, 8)(text))
    auxiliary = layers.Dense(1, activation="sigmoid", name="auxiliary")(meaning)
    x = layers.concatenate([meaning, numbers])
    for _ in range(3):
        x = layers.Dense(8, activation="relu")(x)
    main = layers.Dense(1, activation="sigmoid", name="main")(x)
    return staghorn.Model([text, numbers], [main, auxiliary])


def frozen():
    base = staghorn.Sequential(
        [staghorn.Input((4,)), layers.Dense(3), layers.Dense(3)], name="base"
    )
    base.trainable = False
    x = staghorn.Input((4,))
    y = layers.BatchNormalization(trainable=False)(base(x))
    return staghorn.Model(x, layers.Dense(1)(y))


def frozen_but_for_one():
    model = chain()
    model.trainable = False
    model.get_layer("classes").trainable = True
    return model


def mixed_float16():
    staghorn.mixed_precision.set_global_policy("mixed_float16")
    try:
        return staghorn.Sequential(
            [staghorn.Input((4,)), layers.Dense(8), layers.Dense(2, dtype="float32")]
        )
    finally:
        staghorn.dtype_policies.reset_dtype_policy()


def bfloat16():
    x = staghorn.Input((4,))
    return staghorn.Model(x, layers.Dense(2)(layers.Dense(8, dtype="mixed_bfloat16")(x)))


def own_layers():
    x = staghorn.Input((4,))
    y = Scale(2, name="larger")(Scale(0.5, offset=1.0)(x))
    y = layers.Lambda(doubled, name="doubled")(layers.Activation(doubled)(Stubborn(3)(y)))
    return staghorn.Model(x, layers.TimeDistributed(Scale(3))(ops.expand_dims(y, 1)))


def names_that_are_words():
    x = staghorn.Input((4,), name="lambda")
    y = layers.Dense(4, name="input")(layers.Dense(4, name="3 x")(x))
    z = layers.Dense(4, name="a_very_long_name_that_does_not_end_soon_" * 2)(y)
    return staghorn.Model(x, layers.Add(name="layers")([y, z]), name="class")


def names_that_count_on():
    for _ in range(3):
        layers.Dense(1)
    return functional_chain()


def wide():
    x = staghorn.Input((2,))
    return staghorn.Model(x, layers.Concatenate()([layers.Dense(2)(x) for _ in range(24)]))


def tokens_times_two():
    x = staghorn.Input((3,), dtype="int32")
    return staghorn.Model(x, layers.Flatten()(ops.one_hot(x, 4)))


def lists_of_one():
    base = staghorn.Sequential([staghorn.Input((4,)), layers.Dense(3), layers.Dense(2)])
    return staghorn.Model(base.inputs, base.outputs)


def two_unnamed_inputs():
    x, y = staghorn.Input((3,)), staghorn.Input((3,))
    z = ops.where(x > 0.5, x, -1.0) * -2 + (2 - y) / 3 % 2 // 1
    z = ops.stack([z, y], axis=1)[:, None, 0:1, ::-1][..., 0]
    return staghorn.Model((x, y), z)


def nothing():
    x = staghorn.Input((3,))
    return staghorn.Model(x, x)


def activation_layers():
    return staghorn.Sequential(
        [
            staghorn.Input((3,)),
            layers.Dense(2, activation=layers.LeakyReLU(0.1), bias_initializer=ones_and_halves),
            layers.Dense(2, name='say "hi"'),
        ]
    )


def ones_and_halves(shape, dtype=None):
    return 0.5 + ops.ones(shape, dtype) / 2


@dataclass
class Case:
    """A model, and what keeps it from being a Sequential."""

    build: types.FunctionType
    no_stack: str | None = None
    tolerance: float = 1e-6
    objects: dict = field(default_factory=dict)


OWN = {"Scale": Scale, "Stubborn": Stubborn, "doubled": doubled}
CASES = [
    Case(chain),
    Case(functional_chain),
    Case(two_inputs_two_outputs, "the model has 2 inputs ('a', 'b')"),
    Case(dictionaries, "layer 'total' takes 2 inputs"),
    Case(one_in_a_dictionary, "the model's input is a dictionary"),
    Case(shared_layer, "layer 'dot' takes 2 inputs"),
    Case(same_layer_twice_in_a_chain),
    Case(nested, "layer 'decoder' makes 2 outputs"),
    Case(nested_in_a_chain),
    Case(bidirectional),
    Case(cells_and_states, "layer 'lstm' makes 3 outputs"),
    Case(masks, "layer 'multi_head_attention' takes 2 inputs"),
    Case(convolutions),
    Case(residual_operations, "'subtract' is an operation on tensors, not a layer"),
    Case(headlines, "the model has 2 outputs ('main', 'auxiliary')"),
    Case(frozen),
    Case(frozen_but_for_one),
    Case(mixed_float16, tolerance=1e-2),
    Case(bfloat16, tolerance=1e-2),
    Case(own_layers, "'expand_dims' is an operation on tensors, not a layer", objects=OWN),
    Case(names_that_are_words, "the output of 'input' goes to 2 places"),
    Case(names_that_count_on),
    Case(lists_of_one),
    Case(two_unnamed_inputs, "the model has 2 inputs ('input_layer', 'input_layer_1')"),
    Case(nothing),
    Case(activation_layers),
    Case(wide, "layer 'concatenate' takes 24 inputs"),
    Case(tokens_times_two, "'one_hot' is an operation on tensors, not a layer"),
]


def example_inputs(model):
    def array(tensor):
        shape = [2 if size is None else size for size in tensor.shape]
        if "int" in tensor.dtype:
            return RNG.integers(0, 4, shape).astype(tensor.dtype)
        return RNG.normal(size=shape).astype(tensor.dtype)

    nest = model.input
    if isinstance(nest, list) and len(nest) == 1:
        nest = nest[0]  # as one would pass it
    return tree.map_structure(array, nest)


def run(code, objects=()):
    """Run a text as a script of its own would run, and return its model."""
    naming.reset()
    namespace = {**dict(objects), "__name__": "written"}
    try:
        exec(code, namespace)  # our own text, checked here
    finally:
        staghorn.dtype_policies.reset_dtype_policy()
    return namespace["model"]


def configs_by_name(model):
    """The config of each layer that is no model and no input, also of those inside."""
    found = {}
    for layer in model.layers:
        if isinstance(layer, staghorn.Model):
            found |= configs_by_name(layer)
        elif not isinstance(layer, layers.InputLayer):
            found[layer.name] = layer.get_config()
    return found


@functools.cache
def expected(build):
    """The case's model, made in a new session, an input, and its result."""
    original = build()
    x = example_inputs(original)
    return original, x, original(x)


def assert_same_results(ours, build, tolerance):
    original, x, wanted = expected(build)
    assert [w.shape for w in ours.weights] == [w.shape for w in original.weights]
    ours.set_weights(original.get_weights())
    got = ours(x)
    tree.assert_same_structure(got, wanted)
    for a, b in zip(tree.flatten(got), tree.flatten(wanted), strict=True):
        a, b = np.asarray(a, "float32"), np.asarray(b, "float32")
        np.testing.assert_allclose(a, b, tolerance, tolerance)


def texts(case):
    """The case's model in each style that can express it."""
    styles = STYLES if case.no_stack is None else STYLES[1:]
    return {style: model_to_code(case.build(), style) for style in styles}


def test_the_texts_are_clean(tmp_path):
    """No line is too long, and ruff would change nothing."""
    for case in CASES:
        naming.reset()
        for style, code in texts(case).items():
            assert max(map(len, code.splitlines())) <= 100
            (tmp_path / f"{case.build.__name__}_{style}.py").write_text(code)
    assert find_spec("ruff") is not None
    for command in (["format", "--diff"], ["check", "--select=E,F,I,W"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length=100", tmp_path],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.build.__name__)
def test_the_text_builds_the_same_model(case, style):
    original = expected(case.build)[0]
    if style == "sequential" and case.no_stack is not None:
        with pytest.raises(ValueError, match="sequential cannot express") as caught:
            model_to_code(original, style)
        assert case.no_stack in str(caught.value)
        return
    code = model_to_code(original, style)
    ours = run(code, case.objects)
    own_style = "sequential" if isinstance(original, staghorn.Sequential) else "functional"
    if style == own_style:
        assert ours.get_config() == original.get_config()
    assert configs_by_name(ours) == configs_by_name(original)
    assert [w.trainable for w in ours.weights] == [w.trainable for w in original.weights]
    assert_same_results(ours, case.build, case.tolerance)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_layer(name):
    """With the arguments of the table of hard cases, in the two styles that have graphs."""
    x = staghorn.Input((8,))
    original = staghorn.Model(x, LAYERS[name].apply(x))
    ours = run(model_to_code(original))
    assert ours.get_config() == original.get_config()
    subclassed = run(model_to_code(original, "subclass"))
    assert configs_by_name(subclassed) == configs_by_name(original)
    assert [w.shape for w in subclassed.weights] == [w.shape for w in original.weights]


# Subclassed models ----------------------------------------------------------------------------


class Residual(staghorn.Model):
    def __init__(self, width=4):
        super().__init__()
        self.blocks = [layers.Dense(width, activation="relu") for _ in range(2)]
        self.dropout = layers.Dropout(0.5)
        self.out = layers.Dense(2)

    def call(self, x, training=None):
        for block in self.blocks:
            x = x + block(x)
        return {"y": self.out(self.dropout(x, training=training)), "x": ops.mean(x, axis=1)}


class Words(staghorn.Model):
    def __init__(self):
        super().__init__()
        self.embedding = layers.Embedding(9, 3)
        self.flatten = layers.Flatten()

    def call(self, tokens, numbers):
        return layers.concatenate([self.flatten(self.embedding(tokens)), numbers])


@pytest.mark.parametrize("style", ["functional", "subclass"])
def test_a_subclassed_model_is_followed(style):
    original = Residual()
    x = RNG.normal(size=(3, 4)).astype("float32")
    wanted = original(x)
    code = model_to_code(original, style)
    ours = run(code)
    assert ("class Residual(staghorn.Model):" in code) == (style == "subclass")
    assert configs_by_name(ours) == configs_by_name(original)
    ours.set_weights(original.get_weights())
    got = ours(x)
    assert sorted(got) == ["x", "y"]
    for key in got:
        np.testing.assert_allclose(got[key], wanted[key], 1e-6)


def test_following_leaves_no_trace():
    original = Residual()
    original.build((None, 4))
    before = naming.unique_name("probe"), original.out.__dict__.copy()
    state = np.random.get_state()[1].tolist()
    for style in ("functional", "subclass"):
        model_to_code(original, style)
    assert naming.unique_name("probe") == "probe_1"
    assert before[0] == "probe"
    assert original.out._inbound_nodes == []
    assert original.out.__dict__ == before[1]
    assert np.random.get_state()[1].tolist() == state


def test_the_next_seed_and_the_next_name_are_as_without_a_text():
    def next_values(written):
        naming.reset()
        staghorn.utils.set_random_seed(3)
        model = bidirectional()
        if written:
            model_to_code(model, "subclass")
        return layers.Dropout(0.5).name, staghorn.random.make_default_seed()

    assert next_values(True) == next_values(False)
    assert staghorn.dtype_policies.dtype_policy().name == "float32"


class Undecided(staghorn.Model):
    def __init__(self):
        super().__init__()
        self.out = layers.Dense(2)

    def call(self, x):
        return self.out(x) if ops.sum(x) > 0 else x


class Biased(staghorn.Model):
    def __init__(self):
        super().__init__()
        self.bias = self.add_weight((1,), name="shift")

    def call(self, x):
        return x + self.bias


def two_homes():
    x = staghorn.Input((4,))
    base = staghorn.Model(x, layers.Dense(4, name="common")(x), name="base")
    return staghorn.Model(x, layers.Add()([base(x), base.get_layer("common")(x)]), name="whole")


def built(model, shape=(None, 4)):
    model.build(shape)
    return model


REFUSALS = {
    "not built": (Residual, "model 'residual' is not built"),
    "sequential not built": (
        lambda: staghorn.Sequential([layers.Dense(2)], name="later"),
        "model 'later' is not built",
    ),
    "values decide": (lambda: called(Undecided()), "with no `if` on values"),
    "own weights": (lambda: called(Biased()), r"weights of its own \(shift\)"),
    "two homes": (two_homes, "layer 'common' belongs to two models, '(base|whole)' and"),
    "a lambda": (
        lambda: staghorn.Sequential([staghorn.Input((4,)), layers.Lambda(lambda x: x)]),
        "lambda expression, which has no name",
    ),
    "a long array": (
        lambda: large_constant(),
        "an array of 2000 numbers is part of the architecture",
    ),
    "no model": (lambda: layers.Dense(2), "model must be a model"),
}


def called(model):
    model(np.ones((2, 4), "float32"))
    return model


def large_constant():
    x = staghorn.Input((2000,))
    return staghorn.Model(x, x * np.ones((1, 2000), "float32"))


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    build, words = REFUSALS[name]
    with pytest.raises(ValueError, match=words):
        model_to_code(build(), "functional")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"style": "sequentail"}, "unknown style 'sequentail'. Did you mean 'sequential'"),
        ({"package": "torch"}, "unknown package 'torch'. Known: staghorn, keras"),
    ],
)
def test_unknown_options(options, words):
    with pytest.raises(ValueError, match=words):
        model_to_code(chain(), **options)


def test_every_reason_is_given_up_to_four():
    with pytest.raises(ValueError, match=r"goes to 2 places") as caught:
        model_to_code(headlines(), "sequential")
    assert str(caught.value) == (
        "model_to_code: sequential cannot express model 'functional': the model has 2 inputs "
        "('text', 'numbers'); the model has 2 outputs ('main', 'auxiliary'); layer 'concatenate' "
        "takes 2 inputs; the output of 'lstm' goes to 2 places. Write style=\"functional\" or "
        'style="subclass".'
    )


# What is written ------------------------------------------------------------------------------


def test_the_text_is_what_a_person_would_write():
    assert model_to_code(residual_operations()).splitlines()[4:10] == [
        "inputs = staghorn.Input(shape=(8, 4))",
        'x = layers.Dense(4, activation="relu")(inputs)',
        "x = x - 1.0",
        "multiply = 0.5 * x",
        "x = inputs**2",
        "add = multiply + x",
    ]
    naming.reset()
    assert "".join(model_to_code(nested(), "subclass").splitlines(keepends=True)[4:20]) == (
        """class Encoder(staghorn.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)
        self.dense_1 = layers.Dense(2)

    def call(self, inputs):
        x = self.dense(inputs)
        return self.dense_1(x)


class Decoder(staghorn.Model):
    def __init__(self):
        super().__init__()
        self.dense_2 = layers.Dense(3)
        self.dense_3 = layers.Dense(4)
"""
    )


def test_arguments_that_build_rewrites_are_not_written():
    code = model_to_code(masks())
    assert "layers.MultiHeadAttention(2, 3)(" in code
    assert "layers.LayerNormalization()(" in code


def test_models_inside_are_made_first():
    lines = model_to_code(nested_in_a_chain(), "sequential").splitlines()
    assert lines.index("block = make_block()") < lines.index("model = staghorn.Sequential(")


def test_names_are_written_only_where_they_would_not_come_by_themselves():
    assert "name=" not in model_to_code(bidirectional()).replace('name="both"', "")
    counted_on = model_to_code(names_that_count_on())
    assert 'layers.Dense(8, name="dense_' in counted_on


def test_a_class_that_cannot_be_imported_is_named_in_a_comment():
    class Local(layers.Layer):
        def call(self, x):
            return x + 1.0

    original = staghorn.Sequential([staghorn.Input((4,)), Local()])
    code = model_to_code(original, "sequential")
    assert f"# Local is your own, from {__name__}: define or import it here.\n" in code
    assert run(code, {"Local": Local}).get_config() == original.get_config()


def test_settings_of_the_session_are_written():
    staghorn.config.set_image_data_format("channels_first")
    staghorn.config.set_floatx("float16")
    model = staghorn.Sequential([staghorn.Input((3, 8, 8)), layers.Conv2D(2, 3)])
    assert model_to_code(model, "sequential").splitlines()[3:6] == [
        'staghorn.config.set_floatx("float16")',
        'staghorn.config.set_image_data_format("channels_first")',
        "",
    ]


@pytest.mark.parametrize(
    ("build", "style"),
    [
        (chain, "sequential"),
        (headlines, "functional"),
        (nested, "subclass"),
        (residual_operations, "subclass"),
    ],
)
def test_keras_runs_the_text_too(build, style):
    original, x, wanted = expected(build)
    naming.reset()
    code = model_to_code(original, style, package="keras")
    assert "staghorn" not in code
    keras.utils.clear_session()
    namespace = {}
    exec(code, namespace)  # our own text, checked here
    namespace["model"].set_weights(original.get_weights())
    got = namespace["model"](x)
    for a, b in zip(tree.flatten(got), tree.flatten(wanted), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)
