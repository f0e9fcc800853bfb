"""Every layer of the basic families against keras: one table, eight properties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from keras.src.backend import get_keras_mask

import staghorn
from staghorn.engine.masks import get_mask
from staghorn.engine.scope import jit
from staghorn.engine.serialization import deserialize_keras_object, serialize_keras_object
from tests.layers.case import Case
from tests.layers.cases import ALL, over
from tests.oracle import assert_same, keras

TOLERANCE = {"float16": 2e-2, "bfloat16": 1e-1, "float32": 2e-5}

# Written by keras 3.15 even where they are at their default; 3.9 cannot read them.
NEWER = ("quantization_config", "renorm", "renorm_clipping", "renorm_momentum")
NEWER_IN_INITIALIZERS = ("input_axes", "output_axes")


every_case = over(ALL)
DIFFERENTIABLE = [c for c in ALL if c.dtype == "float32" or c.layer in ("Dense", "Embedding")]
ONE_OF_EACH = list({c.layer: c for c in reversed(ALL) if c.mixed}.values())


def both(case: Case, **more):
    """Our layer and keras's, built on the same input, with the same random weights."""
    kwargs = {**case.kwargs, **more}
    pair = (
        getattr(staghorn.layers, case.layer)(**kwargs),
        getattr(keras.layers, case.layer)(**kwargs),
    )
    for layer in pair:
        layer(case.inputs())
    ours, theirs = pair
    assert [v.name for v in ours.weights] == [v.name for v in theirs.weights]
    rng = np.random.default_rng(1)
    values = [rng.uniform(0.2, 1.0, size=v.shape).astype("float32") for v in theirs.weights]
    for layer in pair:
        layer.set_weights(values)
    return pair


def run(layer, weights, rest, inputs, call):
    return layer.stateless_call(weights, rest, inputs, **call)


def values(layer):
    """The weights as arrays; keras's get_weights() warns with this NumPy."""
    return [jnp.asarray(v.value) for v in layer.weights]


def state(layer):
    values = [
        [jnp.array(getattr(v, "value", v)) for v in group]
        for group in (layer.trainable_variables, layer.non_trainable_variables)
    ]
    return values[0], values[1]


def loss_of(layer, call):
    """A weighted sum of the output, as a function of the weights and the inputs."""

    def loss(weights, inputs, rest):
        out, _ = run(layer, weights, rest, inputs, call)
        weighting = jnp.cos(jnp.arange(out.size, dtype="float32")).reshape(out.shape)
        return jnp.sum(out.astype("float32") * weighting)

    return loss


@every_case
def test_forward_and_state(case):
    ours, theirs = both(case)
    (w1, r1), (w2, r2) = state(ours), state(theirs)
    out1, new1 = run(ours, w1, r1, case.inputs(), case.call)
    out2, new2 = run(theirs, w2, r2, case.inputs(), case.call)
    assert_same(out1, out2, rtol=2e-5, atol=2e-5)
    assert_same(new1, new2, rtol=2e-5, atol=2e-5, what="state")
    assert_same(r1, state(ours)[1], what="state of the layer itself")


@over(DIFFERENTIABLE)
def test_gradient(case):
    pair = both(case)
    places = (0, 1) if case.dtype.startswith("float") else 0

    @jax.jit  # one program: compiling is what this test spends its time on
    def gradients(inputs, states):
        return [
            jax.grad(loss_of(layer, case.call), argnums=places)(weights, inputs, rest)
            for layer, (weights, rest) in zip(pair, states, strict=True)
        ]

    inputs = jax.tree.map(jnp.asarray, case.inputs())
    ours, theirs = gradients(inputs, [state(layer) for layer in pair])
    assert_same(ours, theirs, rtol=2e-4, atol=2e-5, what="gradient")


def older(config):
    """A config of keras without what versions before 3.9 do not know."""
    if isinstance(config, dict):
        defaulted = {"renorm": False, "renorm_momentum": 0.99}
        dropped = NEWER if all(config.get(k, v) == v for k, v in defaulted.items()) else NEWER[:1]
        return {
            k: older(v)
            for k, v in config.items()
            if k not in dropped and not (k in NEWER_IN_INITIALIZERS and v is None)
        }
    return [older(x) for x in config] if isinstance(config, (list, tuple)) else config


@every_case
def test_config(case):
    ours, theirs = both(case, name="given")
    assert older(ours.get_config()) == older(theirs.get_config())
    fresh = [getattr(m.layers, case.layer)(**case.kwargs, name="given") for m in (staghorn, keras)]
    assert older(fresh[0].get_config()) == older(fresh[1].get_config())
    written = older(serialize_keras_object(ours))
    expected = older(keras.saving.serialize_keras_object(theirs))
    assert written == expected


@every_case
def test_config_round_trip(case):
    ours, theirs = both(case)
    again = deserialize_keras_object(serialize_keras_object(ours))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()
    assert [v.shape for v in again.weights] == [v.shape for v in ours.weights]
    # Each library reads what the other writes.
    from_keras = deserialize_keras_object(keras.saving.serialize_keras_object(theirs))
    assert older(from_keras.get_config()) == older(theirs.get_config())
    in_keras = keras.saving.deserialize_keras_object(serialize_keras_object(ours))
    assert older(in_keras.get_config()) == older(ours.get_config())


@every_case
def test_shapes(case):
    ours, theirs = both(case)
    shapes = [x.shape for x in case.arrays()]
    given = shapes if case.many else shapes[0]
    eager = ours(case.inputs(), **case.call)
    compiled = jit(lambda x: ours(x, **case.call))(case.inputs())
    assert compiled.shape == eager.shape == ours.compute_output_shape(given)
    assert compiled.dtype == eager.dtype

    wanted = case.symbolic_shapes()
    tensors = [
        staghorn.Input(batch_shape=s, dtype=case.dtype) for s in (wanted if case.many else [wanted])
    ]
    fresh = getattr(staghorn.layers, case.layer)(**case.kwargs)
    symbolic = fresh(tensors if case.many else tensors[0], **case.call)
    assert symbolic.shape == tuple(
        theirs.compute_output_shape(list(wanted) if case.many else wanted)
    )
    assert len(symbolic.shape) == eager.ndim
    assert all(d in (None, e) for d, e in zip(symbolic.shape, eager.shape, strict=True))
    if case.dtype != "int64":  # held as int32 in JAX's default mode
        assert symbolic.dtype == eager.dtype


@over(ONE_OF_EACH)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_mixed_precision(case, policy):
    ours, theirs = both(case, dtype=policy)
    out1, out2 = ours(case.inputs(), **case.call), theirs(case.inputs(), **case.call)
    tolerance = TOLERANCE[str(out2.dtype)]
    assert_same(out1, out2, rtol=tolerance, atol=tolerance)
    assert [v.dtype for v in ours.weights] == [v.dtype for v in theirs.weights]
    assert_same(values(ours), values(theirs), rtol=2e-2, atol=2e-2, what="weight")
    tensors = [
        staghorn.Input(s[1:], dtype=case.dtype)
        for s in (case.shapes if case.many else [case.shapes])
    ]
    symbolic = getattr(staghorn.layers, case.layer)(**case.kwargs, dtype=policy)(
        tensors if case.many else tensors[0]
    )
    assert symbolic.dtype == out1.dtype


@every_case
def test_weights_are_listed_and_set_in_keras_order(case):
    ours, theirs = both(case)
    assert [v.trainable for v in ours.weights] == [v.trainable for v in theirs.weights]
    names = [[v.name for v in layer.trainable_weights] for layer in (ours, theirs)]
    assert names[0] == names[1]
    values = [np.full(v.shape, i, "float32") for i, v in enumerate(ours.weights)]
    ours.set_weights(values)
    assert_same(ours.get_weights(), values)
    assert ours.count_params() == theirs.count_params()


@over([c for c in ALL if c.masked])
@pytest.mark.parametrize("which", ["all", "first"])
def test_mask(case, which):
    """The input comes from a Masking layer: output, mask and gradient are keras's."""
    ours, theirs = both(case)
    arrays = case.arrays()
    for i, array in enumerate(arrays):
        array[0, -1 - i] = 0.0
        array[1, 0] = 0.0

    def masked(library, layer, mask_of):
        masking = library.layers.Masking()
        inputs = [
            masking(x) if which == "all" or i == 0 else jnp.asarray(x) for i, x in enumerate(arrays)
        ]
        out = layer(inputs if case.many else inputs[0], **case.call)
        return out, mask_of(out), values(layer)

    out1, mask1, weights1 = masked(staghorn, ours, get_mask)
    out2, mask2, weights2 = masked(keras, theirs, get_keras_mask)
    assert_same(out1, out2, rtol=2e-5, atol=2e-5)
    assert (mask1 is None) == (mask2 is None)
    if mask1 is not None:
        assert_same(mask1, mask2, what="mask")
    assert_same(weights1, weights2, rtol=2e-5, atol=2e-5, what="weight")
