"""Every public op has an example, and those that `--doctest-modules` passes over run here.

It collects a function from the module whose globals the function has; an op that another
module's `unary` or `binary` made belongs, by that rule, to none.
"""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import staghorn
from staghorn import activations, ops

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
FILES = [f"staghorn.ops.{file.name}" for file in pkgutil.iter_modules(ops.__path__)]
MODULES = [activations, *map(importlib.import_module, FILES)]
PUBLIC = {
    f"{value.__module__}.{value.__name__}": value
    for module in (ops, ops.core, ops.nn, activations)
    for name, value in vars(module).items()
    if callable(value)
    and not name.startswith("_")
    and getattr(value, "__module__", "").startswith(("staghorn.ops", "staghorn.activations"))
}
COLLECTED = {test.name for module in MODULES for test in doctest.DocTestFinder().find(module)}


def test_each_has_an_example():
    parser = doctest.DocTestParser()
    assert [name for name, op in PUBLIC.items() if not parser.get_examples(op.__doc__)] == []


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - COLLECTED))
def test_example_runs(name):
    globs = {"staghorn": staghorn, "np": np}
    test = doctest.DocTestParser().get_doctest(PUBLIC[name].__doc__, globs, name, None, 0)
    said = []
    doctest.DocTestRunner(verbose=False, optionflags=FLAGS).run(test, out=said.append)
    assert not said, "".join(said)
