"""The list of what Keras has and Staghorn has not is complete."""

import importlib

import pytest

from staghorn.engine.not_yet import NOT_YET
from tests.oracle import keras

PACKAGES = (
    "activations", "backend", "callbacks", "config", "constraints", "datasets", "dtype_policies",
    "initializers", "layers", "losses", "metrics", "mixed_precision", "ops", "optimizers",
    "optimizers.schedules", "preprocessing", "regularizers", "utils", "wrappers",
)  # fmt: skip
NOT_PUBLIC = {"legacy", "src"}  # Keras 2's leftovers and its source tree


def names(module):
    return {name for name in dir(module) if not name.startswith("_")} - NOT_PUBLIC


@pytest.mark.parametrize("package", ["", *PACKAGES])
def test_every_keras_name_is_there_or_listed(package):
    path = f".{package}" if package else ""
    theirs = names(importlib.import_module(f"keras{path}"))
    ours = importlib.import_module(f"staghorn{path}")
    listed = set(NOT_YET.get(f"staghorn{path}", ()))
    assert listed <= theirs, f"not names of Keras {keras.__version__}"
    assert theirs - listed - set(dir(ours)) == set()
