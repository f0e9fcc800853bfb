"""The base of optimizers: your own rules, errors that teach, saved state, copies."""

import copy
import pickle

import jax
import numpy as np
import pytest

import staghorn
from staghorn import functionalize, optimizers
from staghorn.engine.serialization import custom_object_scope
from staghorn.optimizers import SGD, Adam, AdamW, LossScaleOptimizer, Optimizer
from staghorn.optimizers.schedules import ExponentialDecay

ONES = np.ones(2, "float32")


def weights(*names):
    made = [staghorn.Variable(ONES, name=name.split("/")[-1]) for name in names]
    for variable, name in zip(made, names, strict=True):
        variable.path = name
    return made


class Heavy(Optimizer):
    """Keras's way: slots in lists, `update_step` assigns."""

    def __init__(self, learning_rate=0.1, momentum=0.9, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        super().build(variables)
        self.memories = [self.add_variable_from_reference(v, name="memory") for v in variables]
        self.count = staghorn.Variable(np.float32(0.0), name="count")

    def update_step(self, gradient, variable, learning_rate):
        memory = self.memories[self._get_variable_index(variable)]
        self.assign(memory, self.momentum * memory - learning_rate * gradient)
        self.assign_add(variable, memory)
        self.assign_add(self.count, 1.0)


class PureHeavy(Optimizer):
    """Our way: two pure functions."""

    def init_slots(self, p):
        return {"memory": np.zeros(p.shape, p.dtype)}

    def step(self, g, p, slots, lr, t):
        memory = 0.9 * slots["memory"] - lr * g
        return p + memory, {"memory": memory}


@pytest.mark.parametrize("steps", [None, 2])
def test_both_ways_of_writing_a_rule_agree_with_sgd(steps):
    results = []
    for cls in (Heavy, PureHeavy):
        w = weights("a", "b")
        optimizer = cls(0.1, gradient_accumulation_steps=steps)
        optimizer.build(w)
        state = [*w, *optimizer.variables]
        step = jax.jit(functionalize(lambda g, apply=optimizer.apply: apply([g, 2 * g]), state))
        values = [v.value for v in state]
        for i in range(5):
            _, values = step(values, ONES * (i - 1))
        results.append(values[:2])
    w = weights("a", "b")
    reference = SGD(0.1, momentum=0.9, gradient_accumulation_steps=steps)
    for i in range(5):
        reference.apply([ONES * (i - 1), ONES * (2 * i - 2)], w)
    for values in results:
        np.testing.assert_allclose(values, [v.numpy() for v in w], 1e-5)


def test_assigned_variables_belong_to_the_optimizer():
    optimizer = Heavy()
    optimizer.build(weights("a", "b"))
    names = [v.name for v in optimizer.variables]
    assert names == ["iteration", "learning_rate", "a_memory", "b_memory", "count"]


def test_update_step_of_a_builtin_may_be_extended():
    class Doubled(Adam):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient, variable, 2 * learning_rate)

    ours, reference = weights("a"), weights("a")
    Doubled(0.1).apply([ONES], ours)
    Adam(0.2).apply([ONES], reference)
    np.testing.assert_allclose(ours[0].numpy(), reference[0].numpy(), 1e-6)


def test_config_of_your_own_class():
    optimizer = Heavy(0.25, momentum=0.5, clipnorm=1.0)
    optimizer.learning_rate = 0.125
    config = optimizer.get_config()
    assert config["learning_rate"] == 0.125
    assert config["momentum"] == 0.5
    assert config["clipnorm"] == 1.0
    with custom_object_scope({"Heavy": Heavy}):
        again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == config


class Inverse(optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 1.0 / (step + 1)


def test_custom_schedule_in_from_config():
    config = SGD(Inverse()).get_config()
    assert float(SGD.from_config(config, {"Inverse": Inverse}).learning_rate) == 1.0


def test_learning_rate_is_assigned_without_compiling_again():
    w = weights("a")
    optimizer = SGD(1.0)
    optimizer.build(w)
    traces = []

    @staghorn.jit
    def step(g):
        traces.append(None)
        optimizer.apply([g], w)

    step(ONES)
    count = len(traces)
    optimizer.learning_rate = 0.25
    step(ONES)
    assert len(traces) == count
    np.testing.assert_allclose(w[0].numpy(), ONES - 1.25)
    assert optimizer.get_config()["learning_rate"] == 0.25


def test_learning_rate_of_a_schedule_or_function():
    scheduled = SGD(ExponentialDecay(0.5, 10, 0.5))
    assert [v.name for v in scheduled.variables] == ["iteration"]
    with pytest.raises(TypeError, match=r"a ExponentialDecay sets the learning rate"):
        scheduled.learning_rate = 0.1
    assert float(SGD(lambda: 0.125).learning_rate) == 0.125
    optimizer = SGD(0.1)
    optimizer.learning_rate = ExponentialDecay(0.5, 10, 0.5)
    assert float(optimizer.learning_rate) == 0.5
    assert [v.name for v in optimizer.variables] == ["iteration"]
    built = SGD(0.1)
    built.build(weights("a"))
    with pytest.raises(TypeError, match="cannot replace the learning rate once"):
        built.learning_rate = ExponentialDecay(0.5, 10, 0.5)


class Silent(Optimizer):
    pass


class Hasty(Optimizer):
    def __init__(self):
        self.speed = 1.0
        super().__init__(0.1)


WRONG_ARGUMENTS = [
    (lambda: Adam(lambda: 0.1, decay=1e-4), "Keep the schedule"),
    (lambda: Adam(beta1=0.9), "unknown argument 'beta1'. Did you mean 'beta_1'"),
    (lambda: Adam("0.1"), r"learning_rate must be a float.*got '0.1' \(str\)"),
    (lambda: Adam(True), "learning_rate must be a float"),
    (lambda: Adam(clipnorm=1.0, clipvalue=2.0), "clipnorm=1.0, clipvalue=2.0"),
    (lambda: Adam(gradient_accumulation_steps=1), "an int of 2 or more"),
    (lambda: Adam(use_ema=True, ema_momentum=1.5), "ema_momentum must be a number in"),
    (lambda: Adam(ema_overwrite_frequency=0), "ema_overwrite_frequency must be a positive int"),
    (lambda: Adam(beta_1=1.0), "beta_1 must be a number in"),
    (lambda: SGD(momentum=2.0), "momentum must be a number in"),
    (lambda: AdamW(weight_decay=None), "weight_decay must be a float"),
    (lambda: optimizers.Lion(beta_1=0.0), "beta_1 must be a number in"),
    (lambda: optimizers.Ftrl(learning_rate_power=0.5), "learning_rate_power must be"),
    (lambda: LossScaleOptimizer(Adam(), clipnorm=1.0), r"\(Adam\(clipnorm=...\)\)"),
    (lambda: LossScaleOptimizer(Adam(), dynamic=False), "loss_scale_factor"),
    (lambda: optimizers.get("rmsprob"), "Unknown optimizer 'rmsprob'. Did you mean 'RMSprop'"),
    (lambda: optimizers.get(3), "An? .*optimizer is given by name"),
    (lambda: optimizers.get(len), "An? .*optimizer is given by name"),
]


@pytest.mark.parametrize(("make", "words"), WRONG_ARGUMENTS)
def test_wrong_arguments(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_old_files_may_hold_no_decay():
    assert SGD(0.1, decay=0.0).get_config() == {**SGD(0.1).get_config(), "name": "sgd"}


def test_misuse():
    a, b = weights("dense/kernel", "dense/bias")
    with pytest.raises(ValueError, match=r"optimizer.build\(model.trainable_variables\)"):
        SGD().apply([ONES])
    with pytest.raises(ValueError, match="stateless_apply"):
        SGD().stateless_apply([], [ONES], [ONES])
    optimizer = SGD()
    optimizer.build([a])
    with pytest.raises(ValueError, match=r"no state was made for \['dense/bias'\]"):
        optimizer.apply([ONES, ONES], [a, b])
    with pytest.raises(ValueError, match="2 gradients for 1 variables"):
        optimizer.apply([ONES, ONES])
    with pytest.raises(ValueError, match=r"'dense/kernel' has shape \(2,\), its gradient \(3,\)"):
        optimizer.apply([np.ones(3, "float32")])
    with pytest.raises(ValueError, match="called after the optimizer"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(NotImplementedError, match=r"Silent has no update rule"):
        Silent(0.1).apply([ONES], [a])
    with pytest.raises(RuntimeError, match=r"super\(\).__init__"):
        Hasty()
    np.testing.assert_array_equal(a.numpy(), ONES)


def test_missing_gradients():
    a, b = weights("dense/kernel", "dense/bias")
    with pytest.raises(ValueError, match=r"no gradient .*\['dense/kernel', 'dense/bias'\]"):
        SGD().apply([None, None], [a, b])
    with pytest.warns(UserWarning, match=r"does not depend on \['dense/bias'\]"):
        SGD(0.5).apply([ONES, None], [a, b])
    np.testing.assert_array_equal(a.numpy(), ONES / 2)
    np.testing.assert_array_equal(b.numpy(), ONES)
    optimizer = SGD()
    optimizer.apply([], [])
    assert int(optimizer.iterations) == 0


def test_known_variables_may_be_updated_apart():
    a, b = weights("a", "b")
    optimizer = SGD(0.5, momentum=0.5)
    optimizer.build([a, b])
    optimizer.apply([ONES], [b])
    np.testing.assert_array_equal(a.numpy(), ONES)
    np.testing.assert_array_equal(b.numpy(), ONES / 2)


def trained(cls=Adam, **kwargs):
    w = weights("a", "b")
    optimizer = cls(**kwargs)
    optimizer.apply([ONES, -ONES], w)
    return optimizer, w


def test_state_is_saved_and_loaded():
    optimizer, w = trained(use_ema=True)
    store = {}
    optimizer.save_own_variables(store)
    assert list(store) == [str(i) for i in range(8)]
    other = Adam(use_ema=True)
    other.build(w)
    other.load_own_variables(store)
    for mine, theirs in zip(optimizer.variables, other.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    other.set_weights([2 * np.asarray(store[str(i)]) for i in range(8)])
    assert int(other.iterations) == 2


def test_state_that_does_not_fit_loads_nothing():
    optimizer, _ = trained()
    store = {}
    optimizer.save_own_variables(store)
    plain, _ = trained(SGD, learning_rate=0.5)
    with pytest.raises(ValueError, match="holds 6 arrays; this optimizer has 2 variables"):
        plain.load_own_variables(store)
    with pytest.raises(ValueError, match="Build the optimizer first"):
        Adam().load_own_variables(store)
    store["4"] = np.zeros(3)
    store["0"] = np.array(9)
    with pytest.raises(ValueError, match=r"Array 4 has shape \(3,\); 'adam/b_momentum'"):
        optimizer.load_own_variables(store)
    assert int(optimizer.iterations) == 1
    with pytest.raises(ValueError, match=r"set_weights"):
        Adam().set_weights([])


def test_state_saved_before_the_first_step_fits():
    store = {}
    Adam(0.5).save_own_variables(store)
    fresh = Adam(0.1)
    fresh.build(weights("a"))
    fresh.load_own_variables(store)
    assert float(fresh.learning_rate) == 0.5
    used, _ = trained()
    with pytest.raises(ValueError, match="does not fit"):
        used.load_own_variables(store)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_independent(duplicate):
    optimizer, _ = trained(AdamW)
    twin = duplicate(optimizer)
    assert [v.path for v in twin.variables] == [v.path for v in optimizer.variables]
    twin.apply([ONES, ONES])
    assert int(twin.iterations) == 2
    assert int(optimizer.iterations) == 1
    assert not any(a is b for a, b in zip(twin.variables, optimizer.variables, strict=True))


def test_add_optimizer_variables():
    w = weights("a", "b")
    w[1].overwrite_with_gradient = True
    optimizer = SGD(0.1)
    first, second = optimizer.add_optimizer_variables(w, ["m", "v"], ["zeros", "ones"])
    assert (first[0].name, first[1]) == ("a_m", None)
    np.testing.assert_array_equal(second[0].numpy(), ONES)
    with pytest.raises(ValueError, match="one initializer per name"):
        optimizer.add_optimizer_variables(w, ["m", "v"], ["zeros"])


def test_get():
    assert optimizers.get(None) is None
    for identifier in ("adam", "Adam", "ADAM", Adam):
        assert type(optimizers.get(identifier)) is Adam
    optimizer = SGD(0.5)
    assert optimizers.get(optimizer) is optimizer
    config = {"class_name": "sgd", "config": {"learning_rate": 0.25}}
    assert float(optimizers.get(config).learning_rate) == 0.25


def test_loss_scale_skips_bad_steps_eagerly_and_passes_settings_on():
    w = weights("a")
    optimizer = LossScaleOptimizer(SGD(0.5), initial_scale=4.0, dynamic_growth_steps=1)
    optimizer.apply([np.array([np.inf, 4.0], "float32")], w)
    np.testing.assert_array_equal(w[0].numpy(), ONES)
    assert float(optimizer.dynamic_scale) == 2.0
    assert int(optimizer.iterations) == 0
    optimizer.learning_rate = 0.25
    optimizer.apply([2 * ONES], w)
    np.testing.assert_array_equal(w[0].numpy(), ONES - 0.25)
    assert float(optimizer.dynamic_scale) == 4.0
    assert float(optimizer.inner_optimizer.learning_rate) == 0.25
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    store = {}
    optimizer.save_own_variables(store)
    again.build(w)
    again.load_own_variables(store)
    assert float(again.dynamic_scale) == 4.0


def test_scale_loss():
    assert SGD().scale_loss(3.0) == 3.0
    assert SGD(loss_scale_factor=4.0).scale_loss(3.0) == 12.0


def test_nan_and_infinite_gradients_show_after_global_clipping():
    for bad in (np.inf, np.nan):
        w = weights("a", "b")
        gradient = np.array([bad, 1.0], "float32")
        SGD(1.0, global_clipnorm=1.0).apply([gradient, ONES], w)
        assert np.isnan(w[1].numpy()).all()


@pytest.mark.parametrize("kind", ["clipnorm", "global_clipnorm"])
def test_clipping_leaves_zero_gradients_alone(kind):
    w = weights("a")
    SGD(1.0, **{kind: 1.0}).apply([0 * ONES], w)
    np.testing.assert_array_equal(w[0].numpy(), ONES)
