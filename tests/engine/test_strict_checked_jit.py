"""Compiled programs that write over what they have yet to read are found and replaced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.engine.checked_jit import CheckedJit, overwrites
from staghorn.engine.compiler_options import options_for
from tests.training.test_strict_executor import Compilations

POOLS = {
    "MaxPooling1D(3)": (lambda: layers.MaxPooling1D(3), (12, 2)),
    "MaxPooling1D(3, 1)": (lambda: layers.MaxPooling1D(3, strides=1), (12, 2)),
    "MaxPooling1D(5)": (lambda: layers.MaxPooling1D(5, padding="same"), (12, 2)),
    "MaxPooling2D((2, 4))": (lambda: layers.MaxPooling2D((2, 4)), (2, 4, 3)),
    "MaxPooling2D(5)": (lambda: layers.MaxPooling2D(5, strides=2), (5, 5, 1)),
    "MaxPooling3D(2)": (lambda: layers.MaxPooling3D(2, padding="same"), (2, 2, 1, 2)),
}


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("name", POOLS)
def test_an_activation_a_reshape_and_a_pool_train_compiled_as_step_by_step(name, activation):
    make, shape = POOLS[name]
    staghorn.utils.set_random_seed(0)
    units = int(np.prod(shape))
    compiled = staghorn.Sequential(
        [
            staghorn.Input((8,)),
            layers.Dense(units, activation=activation),
            layers.Reshape(shape),
            make(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    by_hand = staghorn.models.clone_model(compiled)
    by_hand.set_weights(compiled.get_weights())
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 8)).astype("float32"), rng.normal(size=(10, 2)).astype("float32")
    for model, eagerly in ((compiled, False), (by_hand, True)):
        model.compile(staghorn.optimizers.SGD(0.1), "mse", run_eagerly=eagerly)
        model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    for fast, slow in zip(compiled.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-5)


def largest_of_six(x):
    """The largest of each six neighbours, found by comparing one after the other."""
    first, *others = (x[:, n::6] for n in range(6))
    place = jnp.zeros(first.shape, jnp.uint32)
    for n, other in enumerate(others, start=1):
        stays = (first >= other) & ~jnp.isnan(other)
        first, place = jnp.where(stays, first, other), jnp.where(stays, place, n)
    return sum(jnp.where(place == n, x[:, n::6], 0.0) for n in range(6))


def descend(weights, x, steps):
    """Gradient descent through tanh, a reshape and maxima, which read it out of order."""

    def loss(weights):
        grid = jnp.tanh(x @ weights).reshape(4, 6, 2)
        return jnp.sum(jnp.square(largest_of_six(grid) - 1))

    return jax.lax.fori_loop(0, steps, lambda _, w: w - 0.1 * jax.grad(loss)(w), weights)


def arrays():
    rng = np.random.default_rng(0)
    return (
        jnp.asarray(rng.normal(size=(12, 12)), jnp.float32),
        jnp.asarray(rng.normal(size=(4, 12)), jnp.float32),
    )


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="XLA's CPU backend does this")
def test_a_program_that_writes_over_what_it_reads_is_found():
    weights, x = arrays()
    assert overwrites(jax.jit(descend).lower(weights, x, 2).compile().as_text())
    plain = jax.jit(lambda w: w - 0.1 * jnp.tanh(w @ w)).lower(weights)
    assert not overwrites(plain.compile().as_text())


def test_it_computes_what_is_computed_step_by_step():
    weights, x = arrays()
    checked = CheckedJit(descend, 1)
    with jax.disable_jit():
        wanted = descend(weights, x, 2)
    for _ in range(2):
        np.testing.assert_allclose(checked(weights, x, 2), wanted, rtol=1e-5, atol=1e-6)
    rows = jnp.concatenate([x[2:], x[:2]])
    with jax.disable_jit():
        wanted = descend(weights, rows, 1)
    np.testing.assert_allclose(checked(weights, rows, 1), wanted, rtol=1e-5, atol=1e-6)


def test_it_is_part_of_other_programs_too():
    weights, x = arrays()
    checked = CheckedJit(lambda w, x: jnp.sum(jnp.sin(x @ w)), 1)
    gradient = jax.grad(checked)(weights, x)
    np.testing.assert_allclose(gradient, jax.jit(jax.grad(checked))(weights, x), rtol=1e-5)
    np.testing.assert_allclose(checked(weights, x), jax.jit(checked)(weights, x), rtol=1e-5)


def test_each_form_is_compiled_once_and_donated_arrays_are_gone():
    checked = CheckedJit(
        lambda state, x, times: state + times * x, donate_argnums=0, static_argnums=(2,)
    )
    state, x = jnp.zeros(5), jnp.ones(5)
    with jax.log_compiles(), Compilations() as compiled:
        for _ in range(3):
            old, state = state, checked(state, x, 2)
            assert old.is_deleted()
    assert len(compiled.names) == 1
    np.testing.assert_array_equal(state, np.full(5, 6.0))
    assert float(checked(jnp.zeros(()), 1.0, 3)) == 3.0


def grow(x, times):
    """A loop so small that XLA makes one function of it, which cannot hold a barrier."""

    def body(_, x):
        y = jax.lax.optimization_barrier(jnp.tanh(x) * 2)
        return y * x + y

    return jax.lax.fori_loop(0, times, body, x)


def test_options_that_a_program_does_not_compile_with_are_left_out():
    x = jnp.ones(8)
    wanted = jax.jit(grow)(x, 3)
    checked = CheckedJit(grow, compiler_options={"xla_disable_hlo_passes": "cse_barrier_expander"})
    np.testing.assert_allclose(checked(x, 3), wanted, rtol=1e-6)
    np.testing.assert_allclose(checked(x + 1, 3), jax.jit(grow)(x + 1, 3), rtol=1e-6)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="options for the CPU")
def test_barriers_are_kept_outside_of_loops_only():
    def once(x):
        return jax.lax.optimization_barrier(x) + 1

    def after(x):
        return grow(once(x), 3)

    x = jnp.ones(8)
    kept = options_for(jax.make_jaxpr(once)(x))
    assert "cse_barrier_expander" in kept["xla_disable_hlo_passes"]
    assert "opt-barrier" in jax.jit(once, compiler_options=kept).lower(x).compile().as_text()
    assert options_for(jax.make_jaxpr(after)(x)) == {}
    assert options_for(jax.make_jaxpr(lambda x: x + 1)(x)) == {}


@pytest.mark.parametrize("after", [layers.Flatten, lambda: layers.GRU(3)])
def test_the_smallest_convolutions_train_in_a_loop(after):
    staghorn.utils.set_random_seed(0)
    model = staghorn.Sequential(
        [
            staghorn.Input((6, 2)),
            layers.Conv1D(2, 2),
            layers.MaxPooling1D(2),
            after(),
            layers.Dense(1),
        ]
    )
    by_hand = staghorn.models.clone_model(model)
    by_hand.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(9, 6, 2)).astype("float32")
    losses = []
    for one, eagerly in ((model, False), (by_hand, True)):
        one.compile("sgd", "mse", run_eagerly=eagerly)
        fitted = one.fit(x, x[:, 0, :1], batch_size=2, epochs=2, shuffle=False, verbose=0)
        losses.append(fitted.history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-4)


TWO_NAMES = """
  %kernel = f32[3,3,8,1]{{3,2,1,0}} parameter(0)
  %rows = f32[9,8]{{1,0}} bitcast(%kernel)
  %sum = {result} fusion(%rows, %kernel), kind=kLoop, calls=%fused
"""


@pytest.mark.parametrize(
    ("result", "found"),
    [
        ("f32[9,8]{1,0}", True),
        ("s32[72]{0}", True),
        ("(f32[4]{0}, f32[8,9]{1,0})", True),
        ("f32[16,8]{1,0}", False),
        ("f16[9,8]{1,0}", False),
        ("pred[72]{0}", False),
    ],
)
def test_only_a_result_of_an_arrays_size_is_written_over_it(result, found):
    assert overwrites(TWO_NAMES.format(result=result)) is found


def test_a_depthwise_convolution_is_not_taken_for_one():
    layer = staghorn.layers.DepthwiseConv2D(3, padding="same")
    x = jnp.ones((8, 6, 6, 4))
    layer.build(x.shape)

    def loss(weights, x):
        return jnp.sum(jnp.tanh(layer.stateless_call(weights, [], x)[0]))

    weights = [layer.kernel.value, layer.bias.value]
    compiled = jax.jit(jax.grad(loss, (0, 1))).lower(weights, x).compile()
    assert not overwrites(compiled.as_text())
