"""Transformations of optax as optimizers: equal to a plain loop of optax, saved and resumed."""

import copy
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import staghorn
from staghorn import layers, optimizers
from staghorn.optimizers import OptaxOptimizer
from staghorn.optimizers.optax_optimizer import is_transformation, tree_paths
from tests.oracle import keras

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4)).astype("float32")
Y = RNG.normal(size=(20, 1)).astype("float32")


def matrices(tree):
    return jax.tree.map(lambda p: p.ndim > 1, tree)


def by_name(tree):
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "fast" if path[-1].key == "bias" else "slow", tree
    )


def injected(rate=0.1):
    return optax.inject_hyperparams(optax.sgd)(learning_rate=rate, momentum=0.9)


CASES = {
    "sgd": lambda: optax.sgd(0.1),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optax.adam(0.01),
    "adamw with a mask": lambda: optax.adamw(0.01, weight_decay=0.1, mask=matrices),
    "lion": lambda: optax.lion(0.01),
    "adafactor": lambda: optax.adafactor(0.01, min_dim_size_to_factor=2),
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.01)),
    "schedule": lambda: optax.adam(optax.cosine_decay_schedule(0.1, 15)),
    "masked": lambda: optax.masked(optax.sgd(0.1), matrices),
    "several": lambda: optax.multi_transform(
        {"fast": optax.adam(0.1), "slow": optax.sgd(0.01, momentum=0.9)}, by_name
    ),
    "labels": lambda: optax.multi_transform(
        {"fast": optax.adam(0.1), "slow": optax.sgd(0.01)}, {"w": "slow", "head": "fast"}
    ),
    "accumulation": lambda: optax.MultiSteps(optax.adam(0.01), 3),
    "injected": injected,
    "injected schedule": lambda: injected(optax.linear_schedule(0.1, 0.0, 15)),
    "random key": lambda: optax.chain(
        optax.add_noise(0.1, 0.5, jax.random.key(3)), optax.scale(-0.1)
    ),
    "copies of weights": lambda: optax.contrib.schedule_free_sgd(0.1),
}


def two_variables(dtype):
    with staghorn.name_scope("head"):
        bias = staghorn.Variable(np.arange(3.0), dtype=dtype, name="bias")
    return [staghorn.Variable(np.ones((4, 3)), dtype=dtype, name="w"), bias]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_twenty_updates_equal_plain_optax(name, dtype):
    variables = two_variables(dtype)
    params = {"w": variables[0].value, "head": {"bias": variables[1].value}}
    plain, optimizer = CASES[name](), optimizers.get(CASES[name]())
    state = plain.init(params)
    rng = np.random.default_rng(1)
    for _ in range(20):
        grads = [jnp.asarray(rng.normal(size=v.shape), dtype) for v in variables]
        updates, state = plain.update({"w": grads[0], "head": {"bias": grads[1]}}, state, params)
        params = optax.apply_updates(params, updates)
        optimizer.apply(grads, variables)
    np.testing.assert_array_equal(variables[0].numpy(), np.asarray(params["w"]))
    np.testing.assert_array_equal(variables[1].numpy(), np.asarray(params["head"]["bias"]))
    assert int(optimizer.iterations) == 20


def make_model(optimizer, names=("first", "second"), **options):
    staghorn.utils.set_random_seed(0)
    stack = [layers.Dense(3, activation="tanh", name=names[0]), layers.Dense(1, name=names[1])]
    model = staghorn.Sequential([staghorn.Input((4,)), *stack], name="net")
    model.compile(optimizer, "mse", **options)
    return model


def fit(model, epochs=1, **options):
    options = {"batch_size": 8, "shuffle": False, "verbose": 0, **options}
    return model.fit(X, Y, epochs=epochs, **options).history


def assert_equal(one, two):
    for a, b in zip(one.variables, two.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b in zip(one.optimizer.variables, two.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("eagerly", [False, True])
def test_fit_equals_a_plain_loop(eagerly):
    transformation = CASES["clipped"]()
    model = make_model(transformation, run_eagerly=eagerly)
    params = [v.value for v in model.trainable_variables]

    @jax.jit
    def step(params, state, x, y):
        def loss(params):
            return jnp.mean(jnp.square(model.stateless_call(params, [], x)[0] - y))

        updates, state = transformation.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    state = transformation.init(params)
    for _ in range(3):
        for start in range(0, 20, 8):
            params, state = step(params, state, X[start : start + 8], Y[start : start + 8])
    fit(model, 3)
    for value, wanted in zip(model.get_weights(), params, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)


def test_stateless_apply_changes_nothing():
    variables = two_variables("float32")
    optimizer = OptaxOptimizer(optax.adam(0.1))
    optimizer.build(variables)
    state, values = [v.value for v in optimizer.variables], [v.value for v in variables]
    grads = [np.ones(v.shape, "float32") for v in variables]
    new, after = jax.jit(optimizer.stateless_apply)(state, grads, values)
    assert int(optimizer.iterations) == 0
    assert int(after[0]) == 1
    optimizer.apply(grads, variables)
    for value, variable in zip(new, variables, strict=True):
        np.testing.assert_allclose(value, variable.numpy(), rtol=1e-6)


# ---- files and resuming ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["clipped", "several", "injected", "random key", "accumulation"])
def test_saved_and_continued(name, tmp_path):
    model, path = make_model(CASES[name]()), tmp_path / "model.keras"
    fit(model)
    model.save(path)
    known = {"transformation": CASES[name]()}
    whole = staghorn.models.load_model(path, custom_objects=known)
    later = staghorn.models.load_model(path, compile=False)
    later.compile(CASES[name](), "mse")
    later.load_weights(path)
    fit(model), fit(whole), fit(later)
    assert_equal(model, whole)
    assert_equal(model, later)


def test_labels_by_layer_fit_a_model_from_a_file_too(tmp_path):
    """Its variables' paths begin with the layers' names, not with the model's."""
    rules = {"fast": optax.adam(0.1), "slow": optax.sgd(0.01)}
    labelled = optax.multi_transform(rules, {"first": "slow", "second": "fast"})
    model = make_model(labelled)
    fit(model)
    model.save(tmp_path / "model.keras")
    known = {"transformation": labelled}
    again = staghorn.models.load_model(tmp_path / "model.keras", custom_objects=known)
    fit(model), fit(again)
    assert_equal(model, again)


def test_files_do_not_depend_on_the_names_of_layers(tmp_path):
    """JAX sorts dicts: "layer_10" comes before "layer_9"."""
    one = make_model(optax.adam(0.1), ("layer_8", "layer_9"))
    two = make_model(optax.adam(0.1), ("layer_9", "layer_10"))
    fit(one)
    one.save_weights(tmp_path / "one.weights.h5")
    two.load_weights(tmp_path / "one.weights.h5")
    assert_equal(one, two)
    fit(one), fit(two)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_loading_without_the_transformation_says_what_to_do(tmp_path):
    path = tmp_path / "model.keras"
    make_model(OptaxOptimizer(optax.adam(0.1), name="mine")).save(path)
    with pytest.raises(ValueError, match="files hold the state of an optax transformation") as info:
        staghorn.models.load_model(path)
    assert 'custom_objects={"transformation": optax.adam(1e-3)}' in str(info.value)
    assert "model.load_weights(path)" in str(info.value)
    by_its_name = staghorn.models.load_model(path, custom_objects={"mine": optax.adam(0.1)})
    assert by_its_name.optimizer.name == "mine"


def test_another_transformation_with_a_state_of_the_same_shapes_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    model = make_model(optax.sgd(0.1, momentum=0.9))
    fit(model)
    model.save(path)
    known = {"transformation": optax.trace(0.9)}
    with pytest.raises(ValueError, match="not the transformation that was saved"):
        staghorn.models.load_model(path, custom_objects=known)


def test_the_file_opens_in_keras(tmp_path):
    model, path = make_model(optax.adam(0.1)), str(tmp_path / "model.keras")
    fit(model)
    model.save(path)
    theirs = keras.saving.load_model(path, compile=False)
    np.testing.assert_allclose(
        theirs.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )


class PowerCut(staghorn.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["schedule", "injected", "random key", "copies of weights"])
def test_an_interrupted_fit_goes_on_bit_for_bit(name, tmp_path):
    def run(*callbacks, **options):
        model = make_model(CASES[name]())
        return model, fit(model, 4, callbacks=list(callbacks), shuffle=True, **options)

    whole, history = run()
    backup = staghorn.callbacks.BackupAndRestore(tmp_path / "run")
    saving = staghorn.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    with pytest.raises(KeyboardInterrupt):
        run(PowerCut(), backup, saving)
    assert_equal(whole, run(backup, saving)[0])
    again, resumed = run(backup, saving, resume=tmp_path / "2.keras")
    assert_equal(whole, again)
    assert resumed == history


def test_a_run_of_another_transformation_is_not_resumed(tmp_path):
    saving = staghorn.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    fit(make_model(optax.sgd(0.1, momentum=0.9)), 2, callbacks=[saving])
    with pytest.raises(ValueError, match="optimizer:"):
        fit(make_model(optax.trace(0.9)), 4, callbacks=[saving], resume=tmp_path / "2.keras")


def test_a_deep_copy_trains_on_in_the_same_way():
    model = make_model(optax.adam(0.1))
    fit(model)
    again = copy.deepcopy(model)
    fit(model), fit(again)
    assert_equal(model, again)


def test_a_clone_is_compiled_with_the_same_transformation():
    model = make_model(optimizers.LossScaleOptimizer(OptaxOptimizer(optax.adam(0.1))))
    fit(model)
    again = staghorn.models.clone_model(model)
    inner, other = model.optimizer.inner_optimizer, again.optimizer.inner_optimizer
    assert other is not inner
    assert other.transformation is inner.transformation
    fit(again)


def test_an_estimator_of_scikit_learn_trains_with_it():
    model = make_model(optax.adam(0.1))
    estimator = staghorn.wrappers.SKLearnRegressor(model, fit_kwargs={"epochs": 2, "verbose": 0})
    assert estimator.fit(X, Y[:, 0]).predict(X).shape == (20,)


# ---- the learning rate -------------------------------------------------------------------------


def test_callbacks_change_an_injected_learning_rate():
    model, wanted = make_model(injected()), make_model(optax.sgd(optax.exponential_decay(
        0.05, transition_steps=3, decay_rate=0.5, staircase=True), momentum=0.9))  # fmt: skip
    halve = staghorn.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = fit(model, 3, callbacks=[halve])
    np.testing.assert_allclose(history["learning_rate"], [0.05, 0.025, 0.0125])
    fit(wanted, 3)
    for a, b in zip(model.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    traces = model._executor["train"][2].program.traces
    plateau = staghorn.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=10.0)
    fit(model, 3, callbacks=[plateau])
    assert float(model.optimizer.learning_rate) < 0.0125
    assert model._executor["train"][2].program.traces == traces


def test_a_rate_inside_the_transformation_says_how_to_reach_it(tmp_path):
    model = make_model(optax.adam(0.1))
    halve = staghorn.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    with pytest.raises(ValueError, match=r"optax.inject_hyperparams\(optax.adam\)"):
        fit(model, callbacks=[halve])
    with pytest.raises(AttributeError, match="inside the transformation"):
        model.optimizer.learning_rate = 0.5
    fit(model, callbacks=[staghorn.callbacks.TensorBoard(tmp_path)])  # nothing to write of it


def test_a_scheduled_injected_rate_cannot_be_assigned():
    model = make_model(CASES["injected schedule"]())
    fit(model)
    assert 0 < float(model.optimizer.learning_rate) < 0.1
    with pytest.raises(TypeError, match="a schedule inside the"):
        model.optimizer.learning_rate = 0.5


def test_two_injected_rates_are_no_learning_rate():
    model = make_model(optax.chain(injected(), injected()))
    fit(model)
    with pytest.raises(AttributeError, match="which has 2 of them"):
        _ = model.optimizer.learning_rate


# ---- around the rule ---------------------------------------------------------------------------


def test_the_loss_reaches_a_transformation_that_asks_for_it():
    plateau = optax.contrib.reduce_on_plateau(factor=0.5, patience=1, rtol=1.0)
    model = make_model(optax.chain(optax.sgd(0.1), plateau))
    fit(model, 4)
    (scale,) = (v for v in model.optimizer.variables if v.name.endswith("scale"))
    assert 0 < float(scale) < 0.1


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="linesearch=None"):
        fit(make_model(optax.lbfgs()))
    fit(make_model(optax.lbfgs(0.01, linesearch=None)))
    optimizer = OptaxOptimizer(optax.contrib.reduce_on_plateau())
    with pytest.raises(ValueError, match=r"apply\(gradients, variables, value=loss\)"):
        optimizer.apply([np.ones((4, 3), "float32")], two_variables("float32")[:1])


def test_labels_that_do_not_fit_name_the_variables():
    model = make_model(optax.multi_transform({"a": optax.sgd(0.1)}, {"other": "a"}))
    with pytest.raises(ValueError, match="first/kernel, first/bias"):
        fit(model)


def test_a_state_that_changes_its_structure_is_refused():
    def update(updates, state, params=None):
        return updates, (*state, jnp.zeros(()))

    optimizer = OptaxOptimizer(optax.GradientTransformation(lambda params: (), update))
    with pytest.raises(ValueError, match="another structure"):
        optimizer.apply([np.ones((4, 3), "float32")], two_variables("float32")[:1])


def test_averages_and_accumulation_stand_around_it():
    around = {"use_ema": True, "ema_momentum": 0.5, "gradient_accumulation_steps": 3}
    one = make_model(OptaxOptimizer(optax.sgd(0.1, momentum=0.9), **around))
    two = make_model(optimizers.SGD(0.1, momentum=0.9, **around))
    fit(one, 4), fit(two, 4)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_variable_without_a_gradient_is_left_alone_with_its_state():
    variables = two_variables("float32")
    optimizer = OptaxOptimizer(optax.adamw(0.1, weight_decay=0.5))
    grads = [np.ones(v.shape, "float32") for v in variables]
    optimizer.apply(grads, variables)
    bias = variables[1].numpy()
    kept = [v.numpy() for v in optimizer.variables if "bias" in v.name]
    with pytest.warns(UserWarning, match="does not depend on"):
        optimizer.apply([grads[0], None], variables)
    np.testing.assert_array_equal(variables[1].numpy(), bias)
    assert len(kept) == 2
    for value, variable in zip(
        kept, [v for v in optimizer.variables if "bias" in v.name], strict=True
    ):
        np.testing.assert_array_equal(value, variable.numpy())


def test_float16_with_a_scaled_loss():
    staghorn.dtype_policies.set_dtype_policy("mixed_float16")
    try:
        model = make_model(injected(0.01))
    finally:
        staghorn.dtype_policies.reset_dtype_policy()
    assert isinstance(model.optimizer, optimizers.LossScaleOptimizer)
    losses = fit(model, 3)["loss"]
    assert losses[-1] < losses[0]
    model.optimizer.learning_rate = 0.5
    assert float(model.optimizer.inner_optimizer.learning_rate) == 0.5


class TwoOptimizers(staghorn.Model):
    """Each layer has its own optimizer."""

    def __init__(self, first, second):
        super().__init__()
        self.parts = [layers.Dense(3, activation="tanh"), layers.Dense(1)]
        self.own = [optimizers.get(first), optimizers.get(second)]

    def call(self, x):
        return self.parts[1](self.parts[0](x))

    def train_step(self, data):
        x, y = data

        def loss_fn():
            return staghorn.ops.mean(staghorn.ops.square(self(x, training=True) - y))

        for part, optimizer in zip(self.parts, self.own, strict=True):
            variables = part.trainable_variables
            loss, grads = staghorn.value_and_grad(loss_fn, variables)()
            optimizer.apply(grads, variables, value=loss)
        return {"loss": loss}


def test_several_optimizers_in_a_step_of_ones_own():
    model = TwoOptimizers(optax.adam(0.01), optax.chain(
        optax.sgd(0.1), optax.contrib.reduce_on_plateau()))  # fmt: skip
    model.compile()
    losses = fit(model, 4)["loss"]
    assert losses[-1] < losses[0]
    assert [int(optimizer.iterations) for optimizer in model.own] == [12, 12]
    table = optimizers.OptimizerMap(
        optimizers.SGD(0.1), {".*bias": OptaxOptimizer(optax.lion(0.01))}
    )
    fit(make_model(optimizers.MultiOptimizer(table)))


def test_what_is_taken_for_a_transformation():
    assert is_transformation(optax.sgd(0.1))
    assert is_transformation(optax.MultiSteps(optax.sgd(0.1), 2))
    assert not any(map(is_transformation, [optimizers.SGD(), OptaxOptimizer, optax.adam, "sgd", 3]))
    with pytest.raises(ValueError, match=r"optax\.adam"):
        OptaxOptimizer(optax.adam)
    with pytest.raises(ValueError, match="mask="):
        OptaxOptimizer(optax.adam(0.1)).exclude_from_weight_decay(var_names=["bias"])


def test_equal_paths_get_numbers():
    assert tree_paths(["w", "w/inner", "w_1", "w"]) == [
        ("w_1",),
        ("w", "inner"),
        ("w_1_1",),
        ("w_2",),
    ]


def test_optax_is_not_imported_by_staghorn():
    code = "import sys, staghorn.optimizers, staghorn.models; sys.exit('optax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
