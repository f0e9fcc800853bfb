"""Every public op has a docstring whose example runs."""

import doctest

import numpy as np
import pytest

import staghorn
from staghorn import activations, ops

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
PUBLIC = {
    value: f"{value.__module__}.{value.__name__}"
    for module in (ops, ops.core, ops.nn, activations)
    for name, value in vars(module).items()
    if callable(value)
    and not name.startswith("_")
    and getattr(value, "__module__", "").startswith(("staghorn.ops", "staghorn.activations"))
}


@pytest.mark.parametrize(("function", "name"), PUBLIC.items(), ids=PUBLIC.values())
def test_example_runs(function, name):
    text = function.__doc__
    globs = {"staghorn": staghorn, "np": np}
    test = doctest.DocTestParser().get_doctest(text, globs, name, None, 0)
    said = []
    doctest.DocTestRunner(verbose=False, optionflags=FLAGS).run(test, out=said.append)
    assert test.examples, f"{name} has no example"
    assert not said, "".join(said)
