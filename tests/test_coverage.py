"""docs/coverage.md says what the comparison with Keras finds today."""

import importlib.util
from pathlib import Path

import pytest

from tests.oracle import keras

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("make_coverage", DOCS / "make_coverage.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def result(program):
    return program.entries()


def test_the_page_is_up_to_date(program, result):
    entries, _ = result
    written = (DOCS / "coverage.md").read_text()
    hint = "docs/coverage.md is out of date: run python docs/make_coverage.py"
    assert program.page(entries) == written, hint


def test_every_difference_has_a_reason(result):
    entries, _ = result
    unexplained = [
        f"{entry.symbol.path}{'.' * bool(member)}{member}: {what}"
        for entry in entries
        for member, what, why in entry.facts
        if not why
    ]
    assert unexplained == [], "say why in docs/coverage_notes.py"


def test_every_reason_is_needed(result):
    _, notes = result
    assert notes.unused() == [], "nothing differs there any more: take it out of coverage_notes.py"


def test_every_public_name_of_keras_is_there(program):
    paths = {path for symbol in program.surface() for path in symbol.paths}
    assert {"layers.Dense", "ops.numpy.add", "applications.resnet.ResNet50", "Model"} <= paths
    assert not [path for path in paths if path.startswith(("src.", "_"))]
    shared = [s for s in program.surface() if s.theirs is keras.layers.MaxPooling2D]
    assert [sorted(s.paths) for s in shared] == [["layers.MaxPool2D", "layers.MaxPooling2D"]]


class Theirs:
    def __init__(self, units, rate=0.1):
        pass

    def call(self, x, mask=None):
        pass

    @property
    def size(self):
        pass


class Ours:
    def __init__(self, units, rate=0.2, extra=None):
        self.size = 1

    def call(self, x):
        pass


def test_what_the_comparison_sees(program):
    differing = program.differing_parameters
    assert differing(lambda a, b=1: 0, lambda a, b=1: 0) == []
    assert differing(lambda a, b=1: 0, lambda b, a=1: 0)[0] == "another order of parameters"
    assert differing(lambda a, **kw: 0, lambda a: 0) == ["no `**`"]
    assert differing(lambda a: 0, lambda *, a: 0) == [
        "`a` keyword-only, Keras positional or keyword"
    ]
    assert differing(Theirs.__init__, Ours.__init__) == [
        "also `extra`",
        "`rate`: `0.2`, Keras `0.1`",
    ]
    assert differing(Theirs.call, Ours.call, method=True) == ["no `mask`"]


def test_what_counts_as_a_comparison(program):
    def paths(text):
        return set(program.compared_by(program.ast.parse(text)))

    both = "def test_it():\n    assert normalize(x) == keras.utils.normalize(x)\n"
    assert paths(both) == {"utils.normalize"}
    assert paths("def test_it():\n    keras.utils.set_random_seed(1)\n") == set()
    table = "TABLE = [('Huber', {})]\ndef test_it(n):\n    getattr(keras.losses, n)\n"
    assert "losses.Huber" in paths(table)
    looked_up = """
NAMES = ['mnist']
def theirs():
    return keras.datasets
def test_it(theirs, name):
    assert getattr(datasets, name).load_data() == getattr(theirs, name).load_data()
"""
    assert "datasets.mnist.load_data" in paths(looked_up)
