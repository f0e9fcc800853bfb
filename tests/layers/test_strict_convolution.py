"""Convolutions: derivatives equal JAX's own, and every program keeps to the fast forms."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn.engine import compiler_options
from staghorn.ops import convolution, convolution_forms
from staghorn.ops.convolution_forms import Geometry

on_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="forms for the CPU")


@pytest.fixture(autouse=True)
def strict_modes():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


def arrays(*shapes):
    rng = np.random.default_rng(3)
    return [jnp.asarray(rng.normal(size=s).astype("float32")) for s in shapes]


# input, kernel, geometry
GEOMETRIES = {
    "plain": ((2, 7, 6, 3), (3, 2, 3, 4), Geometry((1, 1), ((0, 0),) * 2, (1, 1), (1, 1))),
    "strides": ((2, 8, 7, 3), (3, 3, 3, 4), Geometry((2, 3), ((1, 0),) * 2, (1, 1), (1, 1))),
    "dilation": ((2, 9, 8, 3), (3, 2, 3, 4), Geometry((1, 1), ((2, 3),) * 2, (1, 1), (2, 3))),
    "groups": ((2, 7, 6, 4), (3, 2, 2, 6), Geometry((2, 1), ((1, 1),) * 2, (1, 1), (1, 1), 2)),
    "depthwise": ((2, 7, 6, 4), (3, 2, 1, 8), Geometry((2, 1), ((1, 1),) * 2, (1, 1), (1, 2), 4)),
    "one channel": ((2, 7, 6, 1), (3, 2, 1, 5), Geometry((1, 2), ((0, 1),) * 2, (1, 1), (1, 1))),
    "transposed": ((2, 4, 3, 3), (3, 3, 3, 4), Geometry((1, 1), ((2, 1),) * 2, (2, 3), (1, 1))),
    "cropped": ((2, 9, 8, 3), (2, 2, 3, 4), Geometry((2, 1), ((-1, 2),) * 2, (1, 1), (1, 1))),
    "line": ((2, 9, 4), (3, 2, 6), Geometry((2,), ((2, 0),), (1,), (1,), 2)),
    "depthwise, spread": (
        (8, 3, 4, 3),
        (3, 2, 1, 6),
        Geometry((1, 1), ((1, 2), (2, -1)), (2, 1), (1, 2), 3),
    ),
    "spread, groups": (
        (2, 4, 3, 4),
        (3, 2, 2, 6),
        Geometry((1, 1), ((2, 1), (1, 2)), (2, 3), (1, 1), 2),
    ),
    "spread, few places": (
        (2, 3, 4, 3),
        (2, 1, 3, 8),
        Geometry((1, 1), ((1, 2), (0, 3)), (3, 2), (1, 1)),
    ),
    "spread, cropped": (
        (2, 5, 4, 3),
        (3, 4, 3, 4),
        Geometry((1, 1), ((-1, 2), (3, -2)), (2, 2), (1, 1)),
    ),
    "both spread": (
        (2, 5, 4, 3),
        (2, 3, 3, 4),
        Geometry((1, 1), ((2, 3), (4, 1)), (2, 3), (3, 2)),
    ),
    "spread, one filter": (
        (2, 4, 3, 3),
        (3, 3, 3, 1),
        Geometry((1, 1), ((2, 1),) * 2, (2, 1), (1, 1)),
    ),
    "spread, strides": (
        (2, 4, 3, 3),
        (3, 3, 3, 4),
        Geometry((2, 1), ((2, 1),) * 2, (3, 2), (1, 1)),
    ),
    "volume": (
        (1, 4, 5, 3, 2),
        (2, 3, 1, 2, 3),
        Geometry((1, 2, 1), ((0, 1),) * 3, (1, 1, 1), (1, 1, 1)),
    ),
    "volume, strides, groups": (
        (2, 6, 4, 3, 4),
        (3, 2, 1, 2, 6),
        Geometry((2, 1, 1), ((1, 2), (0, 1), (0, 0)), (1, 1, 1), (1, 2, 1), 2),
    ),
    "volume, dilation": (
        (2, 5, 4, 3, 2),
        (2, 3, 2, 2, 3),
        Geometry((1, 1, 1), ((2, -1), (1, 1), (0, 1)), (1, 1, 1), (3, 1, 2)),
    ),
    "volume, spread": (
        (1, 2, 3, 2, 2),
        (3, 2, 3, 2, 3),
        Geometry((1, 1, 1), ((2, 1), (1, 1), (2, 2)), (2, 1, 2), (1, 1, 1)),
    ),
    "volume, as deep as its kernel": (
        (2, 3, 4, 3, 4),
        (3, 2, 2, 2, 4),
        Geometry((1, 1, 1), ((0, 0), (0, 1), (1, 1)), (1, 1, 1), (1, 1, 1), 2),
    ),
}


def weighted(y):
    return jnp.sum(jnp.sin(y))


@pytest.mark.parametrize("name", GEOMETRIES)
def test_derivatives_of_both_orders_and_directions_equal_those_of_jax(name):
    shape, kernel_shape, geometry = GEOMETRIES[name]
    x, kernel = arrays(shape, kernel_shape)

    def all_of(convolve):
        def gradient(x, kernel):
            return jax.grad(lambda a, b: weighted(convolve(a, b)), (0, 1))(x, kernel)

        def penalty(x, kernel):
            return sum(weighted(part) for part in gradient(x, kernel))

        return (
            convolve(x, kernel),
            gradient(x, kernel),
            jax.grad(penalty, (0, 1))(x, kernel),
            jax.jvp(convolve, (x, kernel), (x * 2, kernel + 1))[1],
            jax.vmap(convolve, (1, None))(jnp.stack([x, -x], 1), kernel),
            jax.vmap(convolve)(jnp.stack([x, -x]), jnp.stack([kernel, kernel * 2])),
        )

    ours = jax.jit(lambda: all_of(lambda a, b: convolution._bind(a, b, geometry)))()
    theirs = jax.jit(lambda: all_of(lambda a, b: convolution_forms.general(a, b, geometry)))()
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def layouts(program):
    """The `dim_labels` of every convolution of a compiled program."""
    return re.findall(r"dim_labels=(\w+->\w+)", program)


def training(layer, shape):
    """The gradient of a loss by a layer's weights and its input, and both."""
    (x,) = arrays(shape)
    layer(x)
    weights = [v.value for v in layer.trainable_variables]

    def loss(weights, x):
        return weighted(layer.stateless_call(weights, [], x)[0])

    return jax.grad(loss, (0, 1)), weights, x


STEPS = {
    "plain": (lambda: staghorn.layers.Conv2D(4, 3, padding="same"), (8, 8, 3)),
    "strides": (lambda: staghorn.layers.Conv2D(4, 3, strides=2), (9, 9, 3)),
    "dilation": (lambda: staghorn.layers.Conv2D(4, 3, dilation_rate=2), (9, 9, 3)),
    "groups": (lambda: staghorn.layers.Conv2D(4, 3, groups=2), (8, 8, 4)),
    "channels first": (
        lambda: staghorn.layers.Conv2D(4, 3, data_format="channels_first"),
        (3, 8, 8),
    ),
    "transposed": (lambda: staghorn.layers.Conv2DTranspose(4, 3, strides=2), (5, 5, 3)),
    "line": (lambda: staghorn.layers.Conv1D(4, 3, padding="causal"), (9, 3)),
}


@on_cpu
@pytest.mark.parametrize("name", STEPS)
def test_a_training_loop_has_only_convolutions_that_xla_knows(name):
    """Other layouts, batch groups and reversed windows become plain nested loops."""
    make, shape = STEPS[name]
    gradient, weights, x = training(make(), (4, *shape))

    def step(_, carry):
        found = gradient(*carry)
        return jax.tree.map(lambda value, change: value - 0.1 * change, carry, found)

    lowered = jax.jit(lambda *carry: jax.lax.fori_loop(0, 3, step, carry)).lower(weights, x)
    text = lowered.as_text(dialect="hlo")
    rank = len(shape) - 1
    axes = "".join(str(axis) for axis in range(rank))
    assert set(layouts(text)) == {f"b{axes}f_{axes}io->b{axes}f"}
    assert text.count(" convolution(") == 3  # forward and two gradients
    assert "batch_group_count" not in text
    assert "rhs_reversal" not in text


# What XLA computes with nested loops or slow kernels, in a forward pass or in a gradient.
SLOW = {
    "strides": (lambda: staghorn.layers.Conv2D(8, 3, strides=2), (9, 9, 3)),
    "transposed": (lambda: staghorn.layers.Conv2DTranspose(8, 3, strides=2), (5, 5, 3)),
    "transposed line": (lambda: staghorn.layers.Conv1DTranspose(4, 3, strides=4), (5, 3)),
    "volume": (lambda: staghorn.layers.Conv3D(4, 3, padding="same"), (5, 4, 4, 3)),
    "volume, strides": (lambda: staghorn.layers.Conv3D(4, 3, strides=2), (7, 5, 5, 3)),
    "volume, dilation": (lambda: staghorn.layers.Conv3D(4, 3, dilation_rate=2), (7, 6, 6, 3)),
    "transposed volume": (lambda: staghorn.layers.Conv3DTranspose(1, 3, strides=2), (3, 3, 3, 3)),
    "many groups": (lambda: staghorn.layers.Conv2D(32, 3, groups=16), (6, 6, 32)),
    "depthwise": (lambda: staghorn.layers.DepthwiseConv2D(3, strides=2), (8, 8, 4)),
}


@on_cpu
@pytest.mark.parametrize("name", SLOW)
def test_no_step_has_a_convolution_that_is_slow(name):
    make, shape = SLOW[name]
    gradient, weights, x = training(make(), (4, *shape))
    text = jax.jit(gradient).lower(weights, x).as_text(dialect="hlo")
    assert "lhs_dilate" not in text
    assert "feature_group_count" not in text
    assert {len(labels.split("_")[0]) for labels in layouts(text)} <= {3, 4}  # lines and pictures


# channels, filters, groups, kernel → groups that are left
GROUPS = {
    "few channels": ((12, 8, 4, 3), 1),
    "many channels": ((96, 96, 24, 2), 6),
    "no divisor": ((70, 28, 14, 2), 7),
    "wide groups": ((96, 6, 3, 2), 3),
    "depthwise": ((6, 6, 6, 3), 6),
    "depthwise, many places": ((6, 12, 6, 9), 1),
}


@on_cpu
@pytest.mark.parametrize("name", GROUPS)
def test_merged_groups_are_the_same_groups(name):
    (channels, filters, groups, places), left = GROUPS[name]
    x, kernel = arrays((2, 10, 9, channels), (places, places, channels // groups, filters))
    assert convolution_forms.merged_groups(kernel, groups)[1] == left
    geometry = Geometry((1, 2), ((0, 0),) * 2, (1, 1), (1, 1), groups)

    def results(convolve):
        gradients = jax.grad(lambda a, b: weighted(convolve(a, b)), (0, 1))(x, kernel)
        return convolve(x, kernel), *gradients

    ours = results(lambda a, b: staghorn.ops.conv(a, b, strides=(1, 2)))
    theirs = results(lambda a, b: convolution_forms.general(a, b, geometry))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@on_cpu
def test_depthwise_and_1x1_need_no_convolution():
    for layer, shape in (
        (staghorn.layers.DepthwiseConv2D(3), (2, 6, 6, 4)),
        (staghorn.layers.Conv2D(4, 1), (2, 6, 6, 3)),
    ):
        (x,) = arrays(shape)
        layer(x)
        weights = [v.value for v in layer.weights]
        call = jax.jit(lambda w, a, layer=layer: layer.stateless_call(w, [], a)[0])
        lowered = call.lower(weights, x)
        assert " convolution(" not in lowered.as_text(dialect="hlo")


def test_a_one_by_one_kernel_is_a_dense_layer():
    (x,) = arrays((2, 5, 4, 3))
    layer = staghorn.layers.Conv2D(6, 1, strides=(2, 1))
    y = layer(x)
    kernel = layer.kernel.value[0, 0]
    np.testing.assert_allclose(y, staghorn.ops.nn.dense(x[:, ::2], kernel), rtol=1e-4, atol=1e-5)


def test_causal_outputs_do_not_see_later_inputs():
    (x,) = arrays((1, 9, 2))
    layer = staghorn.layers.Conv1D(3, 3, padding="causal", dilation_rate=2)
    before, after = layer(x), layer(x.at[:, 5:].set(7.0))
    np.testing.assert_allclose(before[:, :5], after[:, :5], rtol=1e-6)
    assert not np.allclose(before[:, 5:], after[:, 5:])


def test_halves_are_summed_in_float32():
    x = jnp.ones((1, 66, 1), "float16")
    kernel = jnp.full((64, 1, 1), 0.1, "float16").at[0].set(2048.0)
    assert float(staghorn.ops.conv(x, kernel)[0, 0, 0]) > 2050


def test_empty_batch():
    layer = staghorn.layers.Conv2D(4, 3)
    layer.build((None, 8, 8, 3))
    assert layer(jnp.zeros((0, 8, 8, 3))).shape == (0, 6, 6, 4)


def test_convolution_op_may_be_overridden():
    class Doubled(staghorn.layers.Conv2D):
        def convolution_op(self, inputs, kernel):
            return super().convolution_op(inputs, kernel * 2.0)

    (x,) = arrays((2, 5, 5, 3))
    doubled, plain = Doubled(4, 3, use_bias=False), staghorn.layers.Conv2D(4, 3, use_bias=False)
    plain.build(x.shape)
    doubled.build(x.shape)
    doubled.set_weights(plain.get_weights())
    np.testing.assert_allclose(doubled(x), 2 * plain(x), rtol=1e-4, atol=1e-5)


# channels, filters, size along the last axis, kernel, strides, pads → outputs computed at once
JOINED = {
    "pictures": ((3, 16, 12, 3, 1, (1, 1)), 4),
    "one channel": ((1, 64, 12, 3, 1, (1, 1)), 2),
    "gray": ((1, 32, 28, 3, 1, (0, 0)), 2),
    "few filters": ((40, 8, 12, 5, 1, (2, 2)), 4),
    "few of both": ((16, 16, 8, 2, 1, (1, 2)), 2),
    "strides": ((3, 32, 16, 3, 2, (0, 1)), 4),
    "an odd width": ((3, 16, 9, 3, 1, (1, 1)), 1),
    "many channels": ((32, 32, 12, 3, 1, (1, 1)), 1),
    "one place": ((3, 16, 12, 1, 1, (0, 0)), 1),
}


@on_cpu
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", JOINED)
def test_neighbouring_outputs_at_once_are_the_same_outputs(name, rank):
    (channels, filters, size, width, stride, pads), count = JOINED[name]
    others = (1,) * (rank - 1)
    x, kernel = arrays(
        (2, *(5 * n for n in others), size, channels),
        (*(2 * n for n in others), width, channels, filters),
    )
    geometry = Geometry((*others, stride), (*((0, 1) for _ in others), pads), *[(1,) * rank] * 2)
    assert convolution_forms._neighbours(x, kernel, geometry) == count
    wanted = convolution_forms.general(x, kernel, geometry)
    found = convolution._compute(x, kernel, **geometry._asdict())
    # Sums of up to 800 products of about 1, in another order.
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_compiler_options_are_taken_by_this_jaxlib_or_left_out():
    assert compiler_options.options_for(jax.make_jaxpr(lambda x: x + 1)(1.0)) == {}
    given = compiler_options.convolution_options()
    assert float(jax.jit(lambda x: x + 1, compiler_options=given)(1.0)) == 2.0
    assert not compiler_options.is_known("cpu", (("xla_cpu_no_such_option", "1"),))


LAYERS = staghorn.layers
WRONG = [
    (lambda: LAYERS.Conv2D(4, 0), "Conv2D: kernel_size must be a positive int or 2 of them"),
    (lambda: LAYERS.Conv2D(4, (3, 3, 3)), "got (3, 3, 3) (tuple)"),
    (lambda: LAYERS.Conv2D(4, 3, strides=1.5), "strides must be a positive int"),
    (lambda: LAYERS.Conv2D(-4, 3), "Conv2D: filters must be a positive int, got -4 (int)."),
    (lambda: LAYERS.Conv2D(4, 3, groups=0), "groups must be a positive int"),
    (lambda: LAYERS.Conv2D(4, 3, groups=3), "filters must be divisible by groups"),
    (lambda: LAYERS.Conv2D(4, 3, padding="sme"), "Did you mean 'same'?"),
    (lambda: LAYERS.Conv2D(4, 3, padding="causal"), "padding must be one of 'valid', 'same'"),
    (lambda: LAYERS.Conv2D(4, 3, data_format="first"), "data_format must be one of"),
    (lambda: LAYERS.Conv2D(4, 3, 2, dilation_rate=2), "exclude each other"),
    (lambda: LAYERS.Conv2D(4, 7)(jnp.ones((2, 5, 5, 3))), "(7, 7) is larger than the input (5, 5)"),
    (lambda: LAYERS.Conv2D(4, 3)(jnp.ones((2, 5, 5))), "expected 4 axes, got 3"),
    (lambda: LAYERS.Conv2D(4, 3, groups=2)(jnp.ones((2, 5, 5, 3))), "divisible by groups, got 3"),
    (lambda: LAYERS.Conv2D(4, 3)(staghorn.Input((5, 5, None))), "must be known"),
    (lambda: LAYERS.Conv1DTranspose(4, 3, 2, output_padding=2), "smaller than strides"),
    (lambda: LAYERS.DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier must be a positive"),
    (lambda: LAYERS.SeparableConv1D(4, 9)(jnp.ones((2, 5, 3))), "is larger than the input (5,)"),
    (lambda: staghorn.ops.conv(jnp.ones((2, 5, 5, 3)), jnp.ones((3, 3, 2, 4))), "has 3 channels"),
    (lambda: staghorn.ops.conv(jnp.ones((2, 5, 3)), jnp.ones((3, 3, 3, 4))), "as many axes"),
    (lambda: staghorn.ops.conv(jnp.ones((2, 5, 3)), jnp.ones((6, 3, 4))), "larger than the input"),
    (
        lambda: staghorn.ops.depthwise_conv(jnp.ones((2, 5, 3)), jnp.ones((3, 2, 1))),
        "made for 2",
    ),
    (
        lambda: staghorn.ops.conv_transpose(jnp.ones((2, 5, 3)), jnp.ones((3, 4, 2))),
        "made for 2",
    ),
    (
        lambda: staghorn.ops.conv(jnp.ones((2, 5, 3)), jnp.ones((3, 3, 4)), padding="smae"),
        "Did you mean 'same'?",
    ),
]


@pytest.mark.parametrize(("wrong", "text"), WRONG, ids=[text for _, text in WRONG])
def test_errors_teach(wrong, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        wrong()
