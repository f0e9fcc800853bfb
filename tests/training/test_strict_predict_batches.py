"""`predict` of a compiled model takes batches of inputs alone, whatever yields them."""

import numpy as np
import pytest

import staghorn
from staghorn import layers

ROWS = [np.full((4, 3), i, "float32") for i in range(3)]
WAYS = {
    "array": lambda batch: batch,
    "one-tuple": lambda batch: (batch,),
    "dict": lambda batch: {"a": batch},
    "with targets": lambda batch: (batch, batch[:, :1]),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_compiled_model_predicts_batches(way):
    inputs = layers.Input((3,), name="a")
    model = staghorn.Model({"a": inputs}, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    predictions = model.predict((WAYS[way](batch) for batch in ROWS), verbose=0)
    wanted = model.predict(np.concatenate(ROWS), verbose=0)
    np.testing.assert_allclose(predictions, wanted, rtol=1e-6)


def test_a_batch_of_the_wrong_shape_is_named():
    model = staghorn.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"(?s)generator.*expected shape.*3.*got.*5"):
        model.predict((np.ones((4, 5), "float32") for _ in range(2)), verbose=0)
