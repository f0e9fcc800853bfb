"""A call that lacks an argument says so in the words of `call`, before anything is built."""

import numpy as np
import pytest

import staghorn
from staghorn import layers

ROWS = np.ones((2, 4, 3), "float32")


class Gate(layers.Layer):
    def call(self, inputs, *, gate):
        return inputs * gate


@pytest.mark.parametrize(
    ("layer", "missing"), [(layers.MultiHeadAttention(2, 4), "value"), (Gate(), "gate")]
)
@pytest.mark.parametrize("inputs", [ROWS, staghorn.Input((4, 3))], ids=["eager", "symbolic"])
def test_a_missing_argument_is_named(layer, missing, inputs):
    with pytest.raises(TypeError, match=f"'{layer.name}': missing a required .*'{missing}'"):
        layer(inputs)
    assert not layer.built
