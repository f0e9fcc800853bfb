"""Small functions and base classes that no family's table has: both libraries run the same lines.

A row of CALLS gets the library and returns plain values, arrays or configs, which must be equal.
"""

import contextlib
import io
import re

import jax
import numpy as np
import pytest

import staghorn
from tests.oracle import assert_same, keras

RNG = np.random.default_rng(0)
LABELS = np.eye(3, dtype="float32")[[0, 2, 1, 1]]
SPARSE = np.array([0, 2, 1, 1])
SHARES = RNG.dirichlet(np.ones(3), 4).astype("float32")
REAL = RNG.uniform(0.5, 2.0, (4, 3)).astype("float32")
SPOKEN = RNG.normal(size=(4, 5, 3)).astype("float32")
SPELLED = np.array([[1, 2], [1, 0], [2, 1], [2, 2]])


def round_trip(family, made):
    """What a family says of a name, of its JSON form, and of what becomes of that."""
    written = family.serialize(made)
    return written, family.serialize(family.deserialize(written)), family.get(None)


def initializer(k):
    class Threes(k.initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return 3 * np.ones(shape, dtype)

    dense = k.layers.Dense(2, kernel_initializer=Threes())
    return dense(np.ones((1, 4), "float32")), Threes().get_config(), Threes().clone().get_config()


def regularizer(k):
    class Tenth(k.regularizers.Regularizer):
        def __call__(self, x):
            return 0.1 * k.ops.sum(x)

        def get_config(self):
            return {}

    dense = k.layers.Dense(2, kernel_initializer="ones", kernel_regularizer=Tenth())
    dense.build((None, 4))
    return dense.losses


def constraint(k):
    class Halved(k.constraints.Constraint):
        def __call__(self, w):
            return w / 2

    weight = k.Variable(np.ones(2, "float32"))
    weight.constraint = Halved()
    k.optimizers.SGD(0.0).apply([np.ones(2, "float32")], [weight])
    return k.ops.convert_to_numpy(weight), Halved().get_config()


def loss(k):
    class Largest(k.losses.Loss):
        def call(self, y_true, y_pred):
            return k.ops.max(k.ops.abs(y_true - y_pred), axis=-1)

    made = Largest(name="largest", reduction="sum")
    return made(LABELS, SHARES), made.get_config()


def optimizer(k):
    class Descent(k.optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            variable.assign_sub(learning_rate * gradient)

    weight = k.Variable(np.ones(2, "float32"))
    made = Descent(learning_rate=0.5, name="descent")
    made.apply([np.ones(2, "float32")], [weight])
    return k.ops.convert_to_numpy(weight), int(made.iterations.numpy())


def schedule(k):
    class Halving(k.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.5 / (step + 1.0)

    made = k.optimizers.SGD(Halving())
    return float(made.learning_rate)


def wrapped(k):
    metric = k.metrics.MeanMetricWrapper(fn=lambda y, p: abs(y - p), name="mine")
    metric.update_state(LABELS, SHARES)
    return metric.result(), metric.name


def settings(k):
    found = [k.config.floatx(), k.config.epsilon(), k.config.image_data_format()]
    k.config.set_floatx("float16")
    k.config.set_epsilon(1e-3)
    found += [k.config.floatx(), k.config.epsilon(), k.backend.floatx(), k.config.backend()]
    k.config.set_floatx("float32")
    k.config.set_epsilon(1e-7)
    return found


def switches(k):
    found = []
    for off, on, ask in (
        (
            k.config.disable_interactive_logging,
            k.config.enable_interactive_logging,
            k.config.is_interactive_logging_enabled,
        ),
        (
            k.config.disable_traceback_filtering,
            k.config.enable_traceback_filtering,
            k.config.is_traceback_filtering_enabled,
        ),
    ):
        found += [ask(), off(), ask(), on(), ask()]
    k.config.set_max_epochs(3)
    k.config.set_max_steps_per_epoch(4)
    found += [k.config.max_epochs(), k.config.max_steps_per_epoch()]
    k.config.set_max_epochs(None)
    k.config.set_max_steps_per_epoch(None)
    return found


def policies(k):
    k.config.set_dtype_policy("mixed_bfloat16")
    found = k.config.dtype_policy().name, k.layers.Dense(1).compute_dtype
    k.config.set_dtype_policy("float32")
    policy = k.dtype_policies.FloatDTypePolicy("mixed_float16")
    return *found, policy.compute_dtype, policy.variable_dtype, policy.name


def registered(k):
    def double(x):
        return 2 * x

    name = k.saving.register_keras_serializable("equal")(double)
    known = "equal>double" in k.saving.get_custom_objects()
    del k.saving.get_custom_objects()["equal>double"]
    with k.saving.CustomObjectScope({"mine": len}) as scope:
        inside = k.saving.get_registered_object("mine") is len
    outside = k.saving.get_registered_object("mine")
    return known, name is double, k.saving.get_registered_name(len), inside, outside, scope is None


def not_a_number(k):
    class Poison(k.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

    seen: list = []
    model = k.Sequential([k.Input((1,)), k.layers.Dense(1)])
    model.compile("sgd", "mse")
    calls = [k.callbacks.TerminateOnNaN(), Poison()]
    model.fit(np.full((6, 1), np.nan), np.ones((6, 1)), 2, 3, verbose=0, callbacks=calls)
    return seen


def names(k):
    k.utils.clear_session()
    return k.layers.Dense(1).name, k.layers.Dense(1).name, k.backend.get_uid("thing")


def model_text(k):
    k.utils.clear_session()
    model = k.Sequential([k.Input((3,), name="x"), k.layers.Dense(1, name="d")], name="m")
    again = k.models.model_from_json(model.to_json())
    return again.name, [layer.name for layer in again.layers], again.count_params()


def compiled(k):
    k.utils.clear_session()
    k.utils.set_random_seed(0)
    start = [k.Input((3,), name="x"), k.layers.BatchNormalization(name="norm")]
    model = k.Sequential([*start, k.layers.Dense(2, name="d", kernel_regularizer="l2")], name="m")
    model.compile(k.optimizers.Adam(0.1, name="adam"), "mse", metrics=["mae"])
    model.train_on_batch(REAL, SHARES[:, :2])
    return model


def state_tree(k):
    model = compiled(k)
    tree = model.get_state_tree("numpy_array")
    other = compiled(k)
    other.set_state_tree({**tree, "trainable_variables": {"m": {"d": {"bias": np.ones(2)}}}})
    return tree, other.get_state_tree("numpy_array")


def pure_loss(k):
    model = compiled(k)
    state = [
        [variable.value + 1 for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    metrics = [variable.value for variable in model.metrics_variables]
    return model.stateless_compute_loss(*state, metrics, REAL, LABELS[:, :2], SHARES[:, :2])


def holders(k):
    class Twice(k.layers.Wrapper):
        def call(self, x):
            return self.layer(self.layer(x))

    twice = Twice(k.layers.Dense(3, kernel_initializer="ones", name="d"), name="t")
    ones = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}
    cells = [k.layers.SimpleRNNCell(2, **ones, name=name) for name in "ab"]
    stack = k.layers.StackedRNNCells(cells, name="s")
    config = stack.get_config()
    again = k.layers.StackedRNNCells.from_config(config, custom_objects={"mine": len})
    return twice(REAL), Twice.from_config(twice.get_config()).layer.units, [
        k.layers.RNN(made)(SPOKEN) for made in (stack, again)
    ]  # fmt: skip


def told_of(k):
    def double(x):
        return 2 * x

    class Cell(k.layers.SimpleRNNCell):
        def call(self, x, states, training=False):
            return x, [x]

    layer = k.layers.RNN(Cell(3, name="c"), name="r")
    again = k.layers.RNN.from_config(layer.get_config(), custom_objects={"Cell": Cell})
    function = k.saving.serialize_keras_object(double)
    config = {**k.layers.Lambda(k.ops.abs, name="l").get_config(), "function": function}
    twice = k.layers.Lambda.from_config(config, custom_objects={"double": double})
    return again(SPOKEN), again.cell.units, twice(REAL)


def one_picture(k):
    picture = np.arange(60, dtype="float32").reshape(4, 5, 3)
    boxes = {
        "boxes": np.array([[0.0, 0, 3, 3], [2, 1, 5, 4]], "float32"),
        "labels": np.array([1, 2]),
    }
    layer = k.layers.RandomFlip("horizontal", seed=3, bounding_box_format="xyxy")
    drawn = layer.get_random_transformation(picture[None], training=True)
    crop = k.layers.CenterCrop(2, 3)
    return [
        layer.transform_single_image(picture, drawn),
        layer.transform_single_segmentation_mask(picture, drawn),
        layer.transform_single_label(np.array([3]), drawn),
        layer.transform_single_bounding_box(boxes, drawn)["boxes"],
        crop.transform_single_image(picture, None),
        crop.transform_images(picture[None]),
    ]


def scopes(k):
    with k.device("cpu:0"), k.SymbolicScope():
        symbolic = k.layers.Dense(2)(k.Input((3,))).shape
    with k.RematScope("full"):
        layer = k.layers.Dense(2, kernel_initializer="ones", activation="tanh")
    again = k.remat(lambda x: k.ops.sum(k.ops.sin(x) * x))
    return symbolic, layer(REAL), again(REAL), jax.grad(again)(REAL), k.version() == k.__version__


def quantizers(k):
    class Halves(k.quantizers.Quantizer):
        def __call__(self, x):
            return np.round(x * 2).astype(self.output_dtype)

    family = k.quantizers
    made = family.deserialize(family.serialize(family.AbsMaxQuantizer(axis=-1)))
    policy = k.dtype_policies.QuantizedDTypePolicy("int8", "mixed_bfloat16")
    written = k.dtype_policies.serialize(policy)
    return Halves()(REAL), *made(REAL), isinstance(made, family.Quantizer), written, repr(policy)


def progress(k):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        logger = k.callbacks.ProgbarLogger()
        logger.set_params({"verbose": 2, "epochs": 2, "steps": 2})
        logger.on_train_begin()
        logger.on_epoch_begin(0)
        for batch in range(2):
            logger.on_train_batch_end(batch, {"loss": 0.5})
        logger.on_epoch_end(0, {"loss": 0.25})
    # without times; Keras begins a line for the epoch's number
    return re.findall(r"[^\s-]+", re.sub(r"\d+[mu]?s\b", "", said.getvalue()))


CALLS = {
    "activations": lambda k: round_trip(k.activations, k.activations.get("relu"))[:2],
    "initializers": lambda k: round_trip(k.initializers, k.initializers.get("zeros")),
    "regularizers": lambda k: round_trip(k.regularizers, k.regularizers.get("l1")),
    "constraints": lambda k: round_trip(k.constraints, k.constraints.get("max_norm")),
    "losses": lambda k: round_trip(k.losses, k.losses.get("Huber")),
    "metrics": lambda k: round_trip(k.metrics, k.metrics.get("AUC")),
    "layers": lambda k: [
        k.layers.serialize(k.layers.deserialize(k.layers.serialize(k.layers.Dense(2, name="d"))))
    ],
    "optimizers": lambda k: [
        k.optimizers.serialize(
            k.optimizers.deserialize(k.optimizers.serialize(k.optimizers.get("adam")))
        )
    ],
    "schedules": lambda k: [
        k.optimizers.schedules.deserialize(
            k.optimizers.schedules.serialize(k.optimizers.schedules.CosineDecay(0.1, 3))
        ).get_config()
    ],
    "dtype_policies": lambda k: (
        k.dtype_policies.deserialize(
            k.dtype_policies.serialize(k.dtype_policies.get("mixed_float16"))
        ).name
    ),
    "loss functions": lambda k: [
        k.losses.categorical_focal_crossentropy(LABELS, SHARES, label_smoothing=0.1),
        k.losses.categorical_generalized_cross_entropy(SPARSE, SHARES, 0.5),
        k.losses.ctc(SPELLED, SPOKEN),
        k.losses.mean_absolute_error(REAL, SHARES),
        k.losses.mean_absolute_percentage_error(REAL, SHARES),
        k.losses.mean_squared_logarithmic_error(REAL, SHARES),
        k.losses.sparse_categorical_crossentropy(SPARSE, SHARES, ignore_class=1),
    ],
    "metric functions": lambda k: [
        k.metrics.categorical_accuracy(LABELS, SHARES),
        k.metrics.sparse_categorical_accuracy(SPARSE, SHARES),
        k.metrics.top_k_categorical_accuracy(LABELS, SHARES, 2),
        k.metrics.sparse_top_k_categorical_accuracy(SPARSE, SHARES, 2),
        k.metrics.pearson_correlation(REAL, SHARES),
        k.metrics.concordance_correlation(REAL, SHARES),
    ],
    "types": lambda k: [
        *map(k.backend.is_float_dtype, ("float16", "bfloat16", "int8", "bool")),
        *map(k.backend.is_int_dtype, ("uint8", "int64", "float32")),
        *map(k.utils.standardize_dtype, ("float64", np.int8, int, None)),
    ],
    "tensors": lambda k: [
        k.ops.is_tensor(k.ops.ones(2)),
        k.ops.is_tensor(np.ones(2)),
        k.ops.ndim(k.ops.ones((2, 3))),
        k.ops.convert_to_numpy(k.Variable(REAL)),
        k.ops.empty((2, 3), "int32").shape,
    ],
    "batches": lambda k: [
        k.utils.pack_x_y_sample_weight(1),
        k.utils.pack_x_y_sample_weight([1]),
        k.utils.pack_x_y_sample_weight(1, 2, 3),
        k.utils.unpack_x_y_sample_weight((1, 2)),
        k.utils.unpack_x_y_sample_weight([1]),
    ],
    "a class of one's own: initializer": initializer,
    "a class of one's own: regularizer": regularizer,
    "a class of one's own: constraint": constraint,
    "a class of one's own: loss": loss,
    "a class of one's own: optimizer": optimizer,
    "a class of one's own: schedule": schedule,
    "a class of one's own: metric": wrapped,
    "settings": settings,
    "switches": switches,
    "policies": policies,
    "registered names": registered,
    "automatic names": names,
    "model_from_json": model_text,
    "state tree": state_tree,
    "pure loss": pure_loss,
    "InputSpec": lambda k: k.layers.InputSpec("int32", (2, 3), axes={-1: 3}).get_config(),
    "TerminateOnNaN": not_a_number,
    "layers that hold others": holders,
    "custom objects": told_of,
    "one picture": one_picture,
    "scopes": scopes,
    "quantizers": quantizers,
    "ProgbarLogger": progress,
}


def split(result):
    """Arrays, and the rest."""
    leaves, structure = jax.tree.flatten(result, is_leaf=lambda x: x is None)
    arrays = [leaf for leaf in leaves if hasattr(leaf, "__array__")]
    rest = [leaf for leaf in leaves if not hasattr(leaf, "__array__")]
    return arrays, rest, str(structure)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", CALLS)
def test_equals_keras(name, capsys):
    for library in (staghorn, keras):
        library.backend.clear_session()  # automatic names are counted
    ours, theirs = (split(CALLS[name](library)) for library in (staghorn, keras))
    assert ours[1:] == theirs[1:]
    assert_same(ours[0], theirs[0])
