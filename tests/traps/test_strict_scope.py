"""The bridge of state and arguments: no stale reads, no leaking writes, nothing left behind."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers, ops
from staghorn.engine import masks
from staghorn.engine.jax_internals import is_tracer
from staghorn.engine.scope import Scope, current_scope

X = np.arange(12, dtype="float32").reshape(3, 4) / 10
LOOPS = ("scan", "cond", "while_loop", "vmap", "grad", "checkpoint")


def inside(transform, run):
    """Call `run` one JAX trace deeper than the caller."""
    one = jnp.float32(1.0)

    def value(x):
        run()
        return x * 2.0

    if transform == "scan":
        return jax.lax.scan(lambda c, _: (value(c), None), one, jnp.arange(2))[0]
    if transform == "cond":
        return jax.lax.cond(one > 0.0, value, lambda x: x, one)
    if transform == "while_loop":
        return jax.lax.while_loop(lambda x: x < 3.0, value, one)
    if transform == "vmap":
        return jax.vmap(value)(jnp.ones(2)).sum()
    if transform == "grad":
        return jax.grad(value)(one)
    return jax.grad(jax.checkpoint(value))(one)


class Counting(layers.Layer):
    """Counts its calls from inside a JAX transformation, which cannot work."""

    def __init__(self, transform):
        super().__init__(name="counting")
        self.transform = transform
        self.count = self.add_weight((), "zeros", trainable=False, name="count")

    def call(self, x):
        return x * inside(self.transform, lambda: self.count.assign(self.count + 1.0))


@pytest.mark.parametrize("transform", LOOPS)
def test_assign_in_scan_raises_with_path(transform):
    layer = Counting(transform)
    with pytest.raises(RuntimeError, match="counting/count"):
        staghorn.jit(layer)(jnp.asarray(X))
    assert not is_tracer(layer.count._value)
    assert float(layer.count.value) == 0.0


@pytest.mark.parametrize("transform", ["scan", "cond", "while_loop"])
def test_assign_in_scan_raises_in_eager_code_too(transform):
    layer = Counting(transform)
    with pytest.raises(RuntimeError, match="counting/count"):
        layer(X)
    assert not is_tracer(layer.count._value)


class DrawInCond(layers.Layer):
    """Draws a seed in one branch of a cond: the program of keras issue 20724."""

    def __init__(self):
        super().__init__()
        self.seeds = staghorn.random.SeedGenerator(3)

    def call(self, x):
        def noisy(x):
            return x + staghorn.random.normal((1, 1), seed=self.seeds)

        return jax.lax.cond(jnp.sum(x) > 0.0, noisy, lambda x: x, x)


def test_seed_in_cond_raises():
    layer = DrawInCond()
    with pytest.raises(RuntimeError, match=r"seed_generator_state.*\n?.*cond"):
        staghorn.jit(layer)(jnp.asarray(X))
    assert not is_tracer(layer.seeds.state._value)


def test_persistent_inner_jit_cannot_hide_a_variable():
    """Once called eagerly, JAX's cache would return the old weight and a zero gradient."""
    w = staghorn.Variable(np.float32(2.0), name="w")
    inner = jax.jit(lambda x: x * w.value)
    with pytest.raises(RuntimeError, match=r"(?s)'w' was read while JAX.*staghorn.jit"):
        inner(jnp.float32(3.0))
    pure = staghorn.functionalize(inner, [w])
    grad = jax.grad(lambda values, x: pure(values, x)[0])
    with pytest.raises(RuntimeError):
        inner(jnp.float32(3.0))
    assert float(grad([jnp.float32(2.0)], jnp.float32(3.0))[0]) == 3.0


def test_persistent_inner_jit_in_an_eager_scope():
    """With concrete values in the Scope, the second call would silently use the first one's."""
    w = staghorn.Variable(np.float32(2.0), name="w")
    pure = staghorn.functionalize(jax.jit(lambda x: x * w.value), [w])
    for value in (2.0, 3.0):
        with pytest.raises(RuntimeError, match="'w' was read while JAX"):
            pure([jnp.float32(value)], jnp.float32(1.0))


def test_reused_scan_body_under_two_steps():
    """A body that JAX may cache reads the Variable of the step that runs, not of the first one."""
    w = staghorn.Variable(np.float32(2.0), name="w")

    def body(carry, _):
        return carry * w.value, None

    def loop(x):
        return jax.lax.scan(lambda c, i: body(c, i), x, None, length=2)[0]

    step = staghorn.value_and_grad(loop, [w])
    for start in (1.0, 3.0):
        for _ in range(2):
            value, (gradient,) = step(jnp.float32(start))
            assert float(value) == pytest.approx(4.0 * start)
            assert float(gradient) == pytest.approx(4.0 * start)
    assert float(staghorn.jit(loop)(jnp.float32(1.0))) == pytest.approx(4.0)
    w.assign(3.0)
    assert float(staghorn.jit(loop)(jnp.float32(1.0))) == pytest.approx(9.0)


def test_a_compiled_step_sees_every_assignment():
    w = staghorn.Variable(np.float32(2.0), name="w")
    double = staghorn.jit(lambda x: x * w.value)
    assert float(double(1.0)) == 2.0
    w.assign(5.0)
    assert float(double(1.0)) == 5.0


def test_scopes_nest():
    """A read goes to the innermost Scope that owns the Variable, then outward."""
    a, b = (staghorn.Variable(np.float32(v), name=n) for n, v in (("a", 1.0), ("b", 10.0)))

    def inner():
        a.assign_add(1.0)
        return a.value + b.value

    def outer():
        b.assign(100.0)
        out, (new_a,) = staghorn.functionalize(inner, [a])([jnp.float32(5.0)])
        return out, new_a, a.value

    (out, new_a, seen), (kept_a, kept_b) = staghorn.functionalize(outer, [a, b])(
        [jnp.float32(2.0), jnp.float32(20.0)]
    )
    assert [float(v) for v in (out, new_a, seen, kept_a, kept_b)] == [106.0, 6.0, 2.0, 2.0, 100.0]
    assert (float(a.value), float(b.value)) == (1.0, 10.0)


def test_write_that_no_scope_owns_raises_with_its_path():
    layer = layers.Dense(2, name="stray")
    layer.build((None, 4))
    mine = staghorn.Variable(np.float32(0.0))
    pure = staghorn.functionalize(lambda: layer.kernel.assign(layer.kernel * 2.0), [mine])
    with pytest.raises(RuntimeError, match="stray/kernel"):
        pure([jnp.float32(1.0)])
    with pytest.raises(RuntimeError, match="stray/kernel"):
        jax.jit(pure)([jnp.float32(1.0)])


def test_read_of_an_untracked_variable_raises_while_compiling():
    hidden = staghorn.Variable(np.float32(2.0), name="hidden")
    model = staghorn.Sequential([staghorn.Input((4,)), layers.Lambda(lambda x: x * hidden.value)])

    def run(x):
        return model.stateless_call([], [], x)[0]

    with pytest.raises(RuntimeError, match="'hidden'"):
        jax.jit(run)(X)


def test_value_and_grad_keeps_other_state():
    """Moving statistics, seeds and masks that change inside are handed on."""
    norm, drop = layers.BatchNormalization(), layers.Dropout(0.5, seed=1)
    dense = layers.Dense(2)
    drop(norm(dense(X)))
    before = norm.moving_mean.numpy(), drop.seed_generator.state.numpy()

    def loss():
        out = drop(norm(dense(X), training=True), training=True)
        return ops.sum(out**2), out

    (value, out), grads = staghorn.value_and_grad(
        loss, dense.trainable_variables, has_aux=True
    )()
    assert out.shape == (3, 2)
    assert np.isfinite(float(value))
    assert [g.shape for g in grads] == [(4, 2), (2,)]
    assert not np.allclose(before[0], norm.moving_mean.numpy())
    assert not np.array_equal(before[1], drop.seed_generator.state.numpy())


def test_value_and_grad_carries_masks_out():
    embedding = layers.Embedding(5, 3, mask_zero=True)
    tokens = np.array([[1, 2, 0]], "int32")
    embedding(tokens)

    def loss():
        out = embedding(tokens)
        return ops.sum(out), out

    with Scope(embedding.variables, [v.value for v in embedding.variables]):
        (_, out), _ = staghorn.value_and_grad(
            loss, embedding.trainable_variables, has_aux=True
        )()
        np.testing.assert_array_equal(masks.get_mask(out), [[True, True, False]])


def test_mask_table_empties():
    embedding = layers.Embedding(5, 3, mask_zero=True)
    dense = layers.Dense(2)
    out = dense(embedding(np.array([[1, 2, 0]], "int32")))
    assert masks.get_mask(out) is not None
    del out
    gc.collect()
    assert masks._eager == {}

    sizes = []

    def compiled(tokens):
        out = embedding(tokens)
        sizes.append(len(current_scope().masks))
        return out

    staghorn.jit(compiled)(np.array([[1, 2, 0]], "int32"))
    assert sizes == [1, 1]  # once to find the Variables, once to compile
    with Scope() as scope:
        masks.set_mask(jnp.ones(3), jnp.ones(3, bool))
        assert len(scope.masks) == 1
    assert scope.masks == {}
    assert masks._eager == {}


def test_explicit_mask_does_not_stay_on_the_callers_array():
    model = staghorn.Sequential([staghorn.Input((3, 4)), layers.Dense(2)])
    twin = staghorn.Model(model.input, model.output)
    x = jnp.ones((1, 3, 4))
    for run in (model, twin):
        out = run(x, mask=jnp.array([[True, True, False]]))
        assert masks.get_mask(out) is not None
        assert masks.get_mask(x) is None
        assert masks.get_mask(run(x)) is None


def holds_tracer(value, depth=0):
    if is_tracer(value):
        return True
    if isinstance(value, (list, tuple)):
        return any(holds_tracer(v, depth + 1) for v in value)
    if isinstance(value, dict):
        return any(holds_tracer(v, depth + 1) for v in value.values())
    if hasattr(value, "__dict__") and depth < 4:
        return holds_tracer(vars(value), depth + 1)
    return False


class Talkative(staghorn.Model):
    """A model that adds losses, counts and keeps a metric, then fails on demand."""

    def __init__(self, fail=False):
        super().__init__()
        self.dense = layers.Dense(2, activity_regularizer="l2")
        self.drop = layers.Dropout(0.5)
        self.norm = layers.BatchNormalization()
        self.seen = staghorn.metrics.Mean(name="seen")
        self.fail = fail

    def call(self, x):
        x = self.norm(self.drop(self.dense(x)))
        self.add_loss(ops.mean(x))
        self.seen.update_state(ops.sum(x))
        if self.fail:
            raise KeyError("mine")
        return x


@pytest.mark.parametrize("what", ["fit", "failed fit", "build", "jit", "failed jit", "symbolic"])
def test_no_tracer_survives(what):
    model = Talkative(fail="failed" in what)
    y = np.ones((3, 2), "float32")
    if "fit" in what:
        model.compile("adam", "mse")
        if model.fail:
            with pytest.raises(KeyError, match="mine"):
                model.fit(X, y, verbose=0)
        else:
            history = model.fit(X, y, epochs=2, verbose=0)
            assert not holds_tracer(history.history)
            assert isinstance(history.history["loss"][0], float)
    elif what == "build":
        model.build((None, 4))
        assert len(model.weights) == 6
    elif what == "symbolic":
        model(staghorn.Input((4,)))
    elif model.fail:
        with pytest.raises(KeyError, match="mine"):
            staghorn.jit(model)(X)
    else:
        staghorn.jit(model)(X)
    assert current_scope() is None
    assert not any(is_tracer(v._value) for v in [*model.variables, *model.metrics_variables])
    assert not any(holds_tracer(vars(layer)) for layer in model._flatten_layers())
    model.fail = False
    assert model(X).shape == (3, 2)
    assert not holds_tracer(model.losses)


def test_add_weight_in_a_running_step_raises():
    class Late(layers.Layer):
        def call(self, x):
            return x * self.add_weight((), "ones", name="late")

    layer = Late()
    pure = staghorn.functionalize(layer, [])
    with pytest.raises(RuntimeError, match="'late' was created inside"):
        jax.jit(lambda x: pure([], x)[0])(X)


def test_lazy_build_leaves_no_trace():
    """Building under shapes only: weights are real arrays, assignments are forgotten."""
    model = Talkative()
    model.build((None, 4))
    assert isinstance(model.dense.kernel._value, jax.Array)
    assert not is_tracer(model.dense.kernel._value)
    np.testing.assert_array_equal(model.norm.moving_mean.numpy(), [0.0, 0.0])
    assert float(model.seen.result()) == 0.0
    assert model.losses == [] or not holds_tracer(model.losses)


def test_lazy_build_of_what_cannot_be_traced():
    """`call` looks at values: built by running it, refused while shapes are all there is."""

    class Branches(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x) if float(ops.sum(x)) > 0 else x

    model = Branches()
    with pytest.raises(ValueError, match="Branches") as caught:
        model.build((None, 4))
    assert any("Call it once on real data" in note for note in caught.value.__notes__)
    assert model(X).shape == (3, 2)
    assert model.built


def test_layers_built_in_two_threads_do_not_share_a_scope():
    import threading

    w = staghorn.Variable(np.float32(1.0))
    seen = []

    def outer():
        thread = threading.Thread(target=lambda: seen.append((current_scope(), float(w.value))))
        thread.start()
        thread.join()
        return w.value

    staghorn.functionalize(outer, [w])([jnp.float32(7.0)])
    assert seen == [(None, 1.0)]
