"""Every optimizer, with every option, walks the oracle's path: values, state, names, config."""

import json

import jax
import numpy as np
import pytest

import staghorn
from staghorn import functionalize
from tests.oracle import keras

# keras 3.15's Variable.__array__ does not know NumPy 2's `copy`.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STEPS = 20
SHAPES = {"kernel": (4, 3), "bias": (3,), "filters": (2, 3, 4), "scale": ()}

# name of the case → (class, constructor arguments)
RULES = {
    "sgd": ("SGD", {}),
    "sgd-momentum": ("SGD", {"momentum": 0.9}),
    "sgd-nesterov": ("SGD", {"momentum": 0.8, "nesterov": True, "learning_rate": 0.05}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop-momentum": ("RMSprop", {"momentum": 0.5, "rho": 0.8}),
    "rmsprop-centered": ("RMSprop", {"centered": True, "momentum": 0.9, "epsilon": 1e-3}),
    "adam": ("Adam", {}),
    "adam-amsgrad": ("Adam", {"amsgrad": True, "learning_rate": 0.1}),
    "adam-betas": ("Adam", {"beta_1": 0.5, "beta_2": 0.7, "epsilon": 0.1}),
    "adamw": ("AdamW", {"learning_rate": 0.1}),
    "adamax": ("Adamax", {"learning_rate": 0.01}),
    "nadam": ("Nadam", {"learning_rate": 0.01}),
    "lamb": ("Lamb", {"learning_rate": 0.01}),
    "adagrad": ("Adagrad", {"learning_rate": 0.1}),
    "adadelta": ("Adadelta", {"learning_rate": 1.0}),
    "adafactor": ("Adafactor", {"learning_rate": 0.1}),
    "lion": ("Lion", {"learning_rate": 0.01}),
    "ftrl": ("Ftrl", {"learning_rate": 0.1}),
    "ftrl-penalties": (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.7,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.1,
        },
    ),
}

RULES |= {
    "muon": ("Muon", {"learning_rate": 0.1}),
    "muon-plain": (
        "Muon",
        {"nesterov": False, "rms_rate": None, "ns_steps": 3, "adam_lr_ratio": 0.5},
    ),
    "muon-excluded": ("Muon", {"exclude_layers": ["ker"], "weight_decay": None}),
    "schedule-free": ("ScheduleFreeAdamW", {"learning_rate": 0.1}),
    "schedule-free-warmup": ("ScheduleFreeAdamW", {"warmup_steps": 5, "weight_decay": 0.1}),
}

OPTIONS = {
    "weight_decay": {"weight_decay": 0.1},
    "clipnorm": {"clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.3},
    "global_clipnorm": {"global_clipnorm": 0.7},
    "ema": {"use_ema": True, "ema_momentum": 0.8},
    "ema-overwrite": {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    "accumulation": {"gradient_accumulation_steps": 3},
    "accumulation-ema-clip-decay": {
        "gradient_accumulation_steps": 2,
        "use_ema": True,
        "ema_overwrite_frequency": 2,
        "clipnorm": 0.5,
        "weight_decay": 0.1,
    },
    "loss_scale": {"loss_scale_factor": 16.0},
}

# The options live in the base class: one rule tries them always, the slow ones are its witnesses.
CASES = [pytest.param(cls, args, id=name) for name, (cls, args) in RULES.items()] + [
    pytest.param(cls, {**args, **option}, id=f"{cls}-{name}", marks=marks)
    for cls, args, marks in (
        ("Adam", {}, []),
        ("SGD", {"momentum": 0.9}, [pytest.mark.slow]),
        ("Nadam", {}, [pytest.mark.slow]),
    )
    for name, option in OPTIONS.items()
]


def first_values():
    rng = np.random.default_rng(0)
    return {name: np.float32(rng.normal(size=shape)) for name, shape in SHAPES.items()}


def gradients(step):
    rng = np.random.default_rng(100 + step)
    return [np.float32(rng.normal(size=shape)) for shape in SHAPES.values()]


def both(cls, args, constraint=None):
    """Return (optimizer, variables) in each library."""
    pairs = []
    for library in (staghorn, keras):
        variables = [library.Variable(v, name=name) for name, v in first_values().items()]
        for variable in variables:
            variable.constraint = constraint
        pairs.append((getattr(library.optimizers, cls)(**args), variables))
    return pairs


def walk(optimizer, variables, steps=STEPS):
    if isinstance(optimizer, staghorn.Optimizer):
        for step in range(steps):
            optimizer.apply(gradients(step), variables)
        return
    # Compiled: the oracle's own eager steps compile each `cond` anew.
    optimizer.build(variables)
    apply = jax.jit(optimizer.stateless_apply)
    state, values = [v.value for v in optimizer.variables], [v.value for v in variables]
    for step in range(steps):
        values, state = apply(state, gradients(step), values)
    for variable, value in zip([*variables, *optimizer.variables], [*values, *state], strict=True):
        variable.assign(value)


def assert_same(ours, theirs, rtol=1e-5):
    assert [v.name for v in ours] == [v.name for v in theirs]
    assert [v.dtype for v in ours] == [v.dtype for v in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.numpy(), np.asarray(other), rtol, 2e-6, err_msg=mine.name)


@pytest.mark.parametrize(("cls", "args"), CASES)
def test_twenty_steps(cls, args):
    (ours, w), (theirs, v) = both(cls, args)
    walk(ours, w)
    walk(theirs, v)
    assert_same(w, v)
    assert_same(
        [x for x in ours.variables if x.name != "variable"],
        [x for x in theirs.variables if not x.name.startswith("variable")],
    )
    assert len(ours.variables) == len(theirs.variables)
    assert [x.shape for x in ours.variables] == [tuple(x.shape) for x in theirs.variables]


@pytest.mark.parametrize(("cls", "args"), CASES)
def test_config(cls, args):
    (ours, _), (theirs, _) = both(cls, {**args, "name": "the_optimizer"})
    assert ours.get_config() == theirs.get_config()
    json_form = staghorn.optimizers.serialize(ours)
    assert json_form == keras.optimizers.serialize(theirs)
    again = staghorn.optimizers.deserialize(json.loads(json.dumps(json_form)))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()


@pytest.mark.parametrize(("cls", "args"), CASES)
def test_compiled_loop_equals_eager(cls, args):
    (ours, w), _ = both(cls, args)
    ours.build(w)
    state = [*w, *ours.variables]
    step = functionalize(lambda g: ours.apply(g), state)
    stacked = [np.stack(g) for g in zip(*map(gradients, range(STEPS)), strict=True)]

    @jax.jit
    def run(values, grads):
        return jax.lax.fori_loop(
            0, STEPS, lambda i, values: step(values, [g[i] for g in grads])[1], values
        )

    compiled = run([v.value for v in state], stacked)
    walk(ours, w)
    for variable, value in zip(state, compiled, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, 1e-4, 2e-6, err_msg=variable.name)


@pytest.mark.parametrize(("cls", "args"), CASES)
def test_stateless_equals_stateful(cls, args):
    (ours, w), _ = both(cls, args)
    ours.build(w)
    values, state = [v.value for v in w], [v.value for v in ours.variables]
    for step in range(4):
        values, state = ours.stateless_apply(state, gradients(step), values)
    assert int(ours._iterations) == 0
    walk(ours, w, 4)
    for variable, value in zip([*w, *ours.variables], [*values, *state], strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.name)


def test_constraints_come_after_the_update():
    (ours, w), (theirs, v) = both("Adam", {"learning_rate": 0.1}, lambda x: x * (x >= 0))
    walk(ours, w)
    walk(theirs, v)
    assert_same(w, v)
    assert min(x.numpy().min() for x in w) == 0


@pytest.mark.parametrize("by", ["names", "variables"])
def test_weight_decay_exclusions(by):
    pairs = both("AdamW", {"weight_decay": 0.5, "learning_rate": 0.1})
    for optimizer, variables in pairs:
        if by == "names":
            optimizer.exclude_from_weight_decay(var_names=["bias", "^scale"])
        else:
            optimizer.exclude_from_weight_decay(var_list=variables[1:])
        walk(optimizer, variables)
    assert_same(pairs[0][1], pairs[1][1])


SCHEDULES = {
    "ExponentialDecay": {"decay_steps": 5, "decay_rate": 0.5},
    "PolynomialDecay": {"decay_steps": 10, "power": 2.0},
    "CosineDecay": {"decay_steps": 10, "warmup_target": 0.5, "warmup_steps": 4},
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("args", [{}, {"gradient_accumulation_steps": 2}], ids=["", "accumulated"])
def test_schedules_drive_the_rate(name, args):
    pairs = []
    for library in (staghorn, keras):
        rate = getattr(library.optimizers.schedules, name)(0.1, **SCHEDULES[name])
        variables = [library.Variable(v, name=n) for n, v in first_values().items()]
        optimizer = library.optimizers.SGD(rate, momentum=0.9, weight_decay=0.1, name="o", **args)
        walk(optimizer, variables)
        pairs.append((optimizer, variables))
    (ours, w), (theirs, v) = pairs
    assert_same(w, v)
    assert_same(ours.variables, theirs.variables)
    np.testing.assert_allclose(float(ours.learning_rate), float(theirs.learning_rate), 1e-5)
    assert ours.get_config() == theirs.get_config()
    again = staghorn.optimizers.deserialize(staghorn.optimizers.serialize(ours))
    assert again.get_config() == ours.get_config()


def test_finalize_writes_the_averages():
    pairs = both("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.5})
    for optimizer, variables in pairs:
        walk(optimizer, variables)
        optimizer.finalize_variable_values(variables)
    assert_same(pairs[0][1], pairs[1][1])


@pytest.mark.parametrize("steps", [None, 2])
def test_overwrite_with_gradient(steps):
    args = {"learning_rate": 0.1, "use_ema": True, "gradient_accumulation_steps": steps}
    pairs = both("Adam", args)
    for optimizer, variables in pairs:
        variables[1].overwrite_with_gradient = True
        walk(optimizer, variables, 5)
    assert_same(pairs[0][1], pairs[1][1])
    assert_same(pairs[0][0].variables, pairs[1][0].variables)


def test_loss_scaling_follows_the_oracle():
    pairs = []
    for library in (staghorn, keras):
        inner = library.optimizers.Adam(0.1, name="inner", clipnorm=0.5)
        optimizer = library.optimizers.LossScaleOptimizer(inner, 8.0, 3, name="scaled")
        variables = [library.Variable(v, name=name) for name, v in first_values().items()]
        optimizer.build(variables)
        apply = jax.jit(optimizer.stateless_apply)
        state, values = [v.value for v in optimizer.variables], [v.value for v in variables]
        scales = []
        for step in range(8):
            scale = np.float32(np.inf if step == 4 else 8.0)
            values, state = apply(state, [scale * g for g in gradients(step)], values)
            scales.append(float(state[3]))
        pairs.append((values, state, scales, optimizer.get_config()))
    ours, theirs = pairs
    assert ours[2:] == theirs[2:]
    assert ours[2] == [8.0, 8.0, 16.0, 16.0, 8.0, 8.0, 8.0, 16.0]
    for mine, other in zip(ours[0] + ours[1], theirs[0] + theirs[1], strict=True):
        np.testing.assert_allclose(mine, other, 1e-5, 2e-6)


def test_iterations_count_updates():
    (ours, w), (theirs, v) = both("SGD", {"gradient_accumulation_steps": 3})
    walk(ours, w, 7)
    walk(theirs, v, 7)
    assert int(ours.iterations) == int(theirs.iterations) == 2
    assert int(ours._iterations) == 7


def test_paths_and_default_names():
    pairs = both("RMSprop", {})
    for optimizer, variables in pairs:
        optimizer.build(variables)
    assert pairs[0][0].name == "rm_sprop"
    assert pairs[0][0].variables[2].path == "rm_sprop/kernel_velocity"
    names = [[v.path.split("/")[1] for v in optimizer.variables] for optimizer, _ in pairs]
    assert names[0] == names[1]


def test_half_precision_gradients_are_clipped_by_their_true_norm():
    w = staghorn.Variable(np.zeros(4, "float16"), name="w")
    optimizer = staghorn.optimizers.SGD(1.0, clipnorm=1.0)
    optimizer.apply([np.full(4, 300.0, "float16")], [w])
    np.testing.assert_allclose(w.numpy(), np.full(4, -0.5), 1e-3)


def test_adam_moves_bfloat16_variables():
    w = staghorn.Variable(np.ones(4), dtype="bfloat16", name="w")
    staghorn.optimizers.Adam(0.125).apply([np.ones(4, "float32")], [w])
    np.testing.assert_allclose(w.numpy().astype("float32"), np.full(4, 0.875), 1e-2)
