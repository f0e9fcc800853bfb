"""Pages that are written by programs, and docstrings, say what the code does today."""

import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


def program(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_which_api_is_up_to_date(tmp_path):
    program("make_which_api").write(tmp_path)
    written = {path.relative_to(tmp_path): path for path in tmp_path.rglob("*") if path.is_file()}
    assert len(written) == 5
    for name, path in written.items():
        hint = f"docs/{name} is out of date: run python docs/make_which_api.py"
        assert (DOCS / name).read_text() == path.read_text(), hint


def test_a_mark_says_no_only_for_a_refusal():
    mark = program("make_which_api").mark
    assert mark(lambda: None) == "**yes**"
    assert mark(lambda: int("three")) == "no"
    with pytest.raises(ZeroDivisionError):
        mark(lambda: 1 / 0)


# Docstrings ------------------------------------------------------------------------------------

PACKAGES = (
    "activations", "backend", "callbacks", "config", "constraints", "datasets", "dtype_policies",
    "initializers", "layers", "losses", "metrics", "mixed_precision", "models", "ops", "optimizers",
    "optimizers.schedules", "preprocessing", "preprocessing.image", "preprocessing.sequence",
    "random", "regularizers", "saving", "tree", "utils", "visualization", "wrappers",
)  # fmt: skip
SHAPED = ("layers", "losses", "metrics", "ops")  # their docstrings show shapes or a formula,
SHAPELESS = {"get", "serialize", "deserialize"}  # but not those of these
NAMES = r"\*{0,2}\w+(?:,\s+\*{0,2}\w+)*"  # what one entry of an Args section is about


def public(package):
    """Public classes and functions of a package, by name, each object once."""
    module = importlib.import_module(f"staghorn.{package}")
    found = {}
    for name in getattr(module, "__all__", None) or dir(module):
        value = None if name.startswith("_") else getattr(module, name, None)
        if callable(value) and getattr(value, "__module__", "").startswith("staghorn"):
            found.setdefault(id(value), (name, value))
    return dict(found.values())


def signature_of(value):
    """Parameters by name, and whether there are more than those."""
    if inspect.isclass(value) and value.__init__ is object.__init__:
        return set(), False
    parameters = inspect.signature(value.__init__ if inspect.isclass(value) else value).parameters
    every = [p for p in parameters.values() if p.name != "self"]
    collectors = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = {p.name for p in every if p.kind not in collectors}
    return named, len(named) < len(every)


def documented(doc):
    """The names of the Args section; `a, b: ...` and `a (kind): ...` are entries too."""
    section = re.search(r"^Args:\n((?: +.*\n?|\n)*)", doc, flags=re.M)
    if section is None:
        return set()
    entries = re.findall(rf"^    ({NAMES})(?: \([^)]*\))?:", section[1], flags=re.M)
    return {name.strip("* \n") for entry in entries for name in entry.split(",")}


def lacks(package, value):
    """What a docstring lacks of: one sentence, shapes or formula, all arguments, an example."""
    doc = inspect.cleandoc(value.__doc__ or "")
    head, _, rest = doc.partition("\n\n")
    if "\n" in head or not head.endswith((".", "?")):
        yield "one sentence"
    shaped = package in SHAPED and value.__name__ not in SHAPELESS
    if shaped and not re.search(r"→|->|\(\.\.\.|=|`\w+`", head + rest.split("Args:")[0]):
        yield "shapes or formula"
    named, more = signature_of(value)
    said = documented(doc)
    if named - said:
        yield f"Args: {', '.join(sorted(named - said))}"
    if said - named and not more:
        yield f"no such argument: {', '.join(sorted(said - named))}"
    if ">>>" not in doc:
        yield "example"


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_are_complete(package):
    things = public(package).items()
    lacking = {name: found for name, value in things if (found := list(lacks(package, value)))}
    assert lacking == {}
