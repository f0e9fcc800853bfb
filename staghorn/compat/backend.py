"""The functions of `keras.backend` before Keras 3 (`K.sum`, `K.function`, ...) over `staghorn.ops`.

`K`'s names, argument names and defaults; today's numbers. `keras.backend` is this module after
`staghorn.install()`. Functions that need a session or a static graph say what to write instead.
"""

from __future__ import annotations

import builtins
import contextlib
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import activations, config, ops, random
from staghorn import backend as _backend
from staghorn.compat.spelled import as_shape, publish, seeded, spelled, table
from staghorn.compat.tensorflow import nn, sessions, shaping
from staghorn.compat.tensorflow import random as draws
from staghorn.engine import tree
from staghorn.engine.frame import current_frame
from staghorn.engine.jax_internals import is_staging
from staghorn.engine.registry import suggestion
from staghorn.engine.scope import current_scope
from staghorn.engine.spellings import say_once
from staghorn.engine.symbolic import is_symbolic, op
from staghorn.engine.variable import Variable
from staghorn.layers.input import Input
from staghorn.models.model import Model


def _rows(names, parameters, **defaults):
    return {name: spelled(getattr(ops, name), parameters, **defaults) for name in names.split()}


_CONVOLUTION = "strides padding data_format dilation_rate"

TABLE = table(
    _rows("abs cos exp log round sigmoid sign sin softplus softsign square tanh transpose", "x")
    | _rows("all any logsumexp max mean min prod std sum var", "x axis keepdims")
    | _rows("argmax argmin", "x axis", axis=-1)
    | _rows("cumprod cumsum", "x axis", axis=0)
    | _rows("equal greater greater_equal less less_equal maximum minimum not_equal", "x=x1 y=x2")
    | _rows("ones_like zeros_like", "x dtype")
    | {
        "batch_flatten": lambda x: ops.reshape(x, (-1, math.prod(ops.shape(x)[1:]))),
        "batch_get_value": lambda tensors: [get_value(x) for x in tensors],
        "batch_normalization": spelled(
            ops.batch_normalization,
            "x mean var=variance beta=offset gamma=scale axis epsilon",
            axis=-1,
        ),
        "count_params": lambda x: math.prod(ops.shape(x)),
        "dropout": spelled(nn.dropout, "x level=rate noise_shape seed"),
        "dtype": lambda x: ops.dtype(x),
        "flatten": lambda x: ops.reshape(x, (-1,)),
        "hard_sigmoid": lambda x: ops.clip(ops.multiply(x, 0.2) + 0.5, 0.0, 1.0),
        "in_test_phase": lambda x, alt, training=None: in_train_phase(alt, x, training),
        "int_shape": lambda x: tuple(ops.shape(x)),
        "is_sparse": lambda tensor: False,
        "l2_normalize": nn.l2_normalize,
        "manual_variable_initialization": lambda value: None,
        "name_scope": lambda name=None: contextlib.nullcontext(name),
        "ndim": lambda x: len(ops.shape(x)),
        "random_normal": spelled(draws.normal, "shape mean stddev dtype seed", dtype=None),
        "random_uniform": spelled(
            draws.uniform, "shape minval maxval dtype seed", maxval=1.0, dtype=None
        ),
        "repeat": lambda x, n: ops.repeat(ops.expand_dims(x, 1), n, axis=1),
        "reshape": spelled(shaping.reshape, "x=tensor shape"),
        "set_value": lambda x, value: x.assign(value),
        "sqrt": lambda x: ops.sqrt(ops.maximum(x, 0.0)),
        "to_dense": lambda tensor: tensor,
        "truncated_normal": spelled(
            draws.truncated_normal, "shape mean stddev dtype seed", dtype=None
        ),
        "update": lambda x, new_x: x.assign(new_x),
        "update_add": lambda x, increment: x.assign_add(increment),
        "update_sub": lambda x, decrement: x.assign_sub(decrement),
        "binary_crossentropy": spelled(ops.binary_crossentropy, "target output from_logits"),
        "cast": spelled(ops.cast, "x dtype"),
        "categorical_crossentropy": spelled(
            ops.categorical_crossentropy, "target output from_logits axis"
        ),
        "concatenate": spelled(ops.concatenate, "tensors=xs axis", axis=-1),
        "conv1d": spelled(ops.conv, f"x=inputs kernel {_CONVOLUTION}"),
        "conv2d": spelled(ops.conv, f"x=inputs kernel {_CONVOLUTION}"),
        "conv3d": spelled(ops.conv, f"x=inputs kernel {_CONVOLUTION}"),
        "depthwise_conv2d": spelled(
            ops.depthwise_conv, f"x=inputs depthwise_kernel=kernel {_CONVOLUTION}"
        ),
        "dot": spelled(ops.dot, "x=x1 y=x2"),
        "elu": spelled(ops.elu, "x alpha"),
        "expand_dims": spelled(ops.expand_dims, "x axis", axis=-1),
        "gather": spelled(ops.take, "reference=x indices", axis=0),
        "in_top_k": spelled(ops.in_top_k, "predictions targets k"),
        "map_fn": spelled(ops.map, "fn=f elems=xs dtype=_"),
        "one_hot": spelled(ops.one_hot, "indices=x num_classes"),
        "permute_dimensions": spelled(ops.transpose, "x pattern=axes"),
        "pow": spelled(ops.power, "x=x1 a=x2"),
        "relu": spelled(activations.relu, "x alpha=negative_slope max_value threshold"),
        "repeat_elements": spelled(ops.repeat, "x rep=repeats axis"),
        "reverse": spelled(ops.flip, "x axes=axis"),
        "separable_conv2d": spelled(
            ops.separable_conv, f"x=inputs depthwise_kernel pointwise_kernel {_CONVOLUTION}"
        ),
        "shape": spelled(shaping.shape, "x=input"),
        "softmax": spelled(ops.softmax, "x axis"),
        "sparse_categorical_crossentropy": spelled(
            ops.sparse_categorical_crossentropy, "target output from_logits axis"
        ),
        "squeeze": spelled(ops.squeeze, "x axis"),
        "stack": spelled(ops.stack, "x axis"),
        "stop_gradient": spelled(ops.stop_gradient, "variables=variable"),
        "tile": spelled(ops.tile, "x n=repeats"),
    }
)

# --- values and Variables -------------------------------------------------------------------------


def variable(value, dtype=None, name=None, constraint=None):
    """A Variable that starts with a value."""
    made = Variable(value, dtype=dtype or config.floatx(), name=name)
    made.constraint = constraint
    return made


def _kept(value, dtype, name):
    """What `K.zeros` gives: a Variable in plain code, as ever, an array inside a layer's `call`."""
    inside = is_staging() or current_scope() is not None or current_frame() is not None
    return value if inside else variable(value, dtype, name)


def zeros(shape, dtype=None, name=None):
    """Zeros: a Variable, or an array inside a layer's `call`."""
    return _kept(ops.zeros(as_shape(shape), dtype or config.floatx()), dtype, name)


def ones(shape, dtype=None, name=None):
    """Ones: a Variable, or an array inside a layer's `call`."""
    return _kept(ops.ones(as_shape(shape), dtype or config.floatx()), dtype, name)


def eye(size, dtype=None, name=None):
    """Ones on the diagonal: a Variable, or an array inside a layer's `call`."""
    return _kept(ops.eye(int(size), dtype=dtype or config.floatx()), dtype, name)


def constant(value, dtype=None, shape=None, name=None):
    """An array of a value, by default of the default float type."""
    return shaping.constant(value, dtype or config.floatx(), shape)


def arange(start, stop=None, step=1, dtype="int32"):
    """Whole numbers from `start` up to, not including, `stop`."""
    return ops.cast(shaping.range(start, stop, step), dtype)


def get_value(x):
    """The value of an array or Variable, as a NumPy array."""
    return np.array(x)[()] if hasattr(x, "dtype") else x


eval = get_value


def batch_set_value(tuples):
    """Assign values to several Variables: pairs (variable, value)."""
    for x, value in tuples:
        x.assign(value)


def moving_average_update(x, value, momentum):
    """Move a Variable towards a value: x · momentum + value · (1 - momentum)."""
    return x.assign(x * momentum + value * (1.0 - momentum))


def cast_to_floatx(x):
    """Cast to the default float type; what is not an array of JAX becomes one of NumPy."""
    symbolic = is_symbolic(x) or isinstance(x, (jax.Array, Variable))
    return ops.cast(x, config.floatx()) if symbolic else np.asarray(x, config.floatx())


def image_dim_ordering():
    """Image layout in Keras 1's words: "tf" for channels_last, "th" for channels_first."""
    return "tf" if config.image_data_format() == "channels_last" else "th"


def set_image_dim_ordering(dim_ordering):
    """Set the image layout in Keras 1's words: "tf" or "th"."""
    config.set_image_data_format(
        {"tf": "channels_last", "th": "channels_first"}.get(dim_ordering, dim_ordering)
    )


# --- arithmetic -----------------------------------------------------------------------------------


def clip(x, min_value, max_value):
    """Values cut at both ends; None is no bound, and the lower bound wins."""
    x = x if max_value is None else ops.minimum(x, max_value)
    return x if min_value is None else ops.maximum(x, min_value)


@op
def batch_dot(x, y, axes=None):
    """Product of corresponding rows of a batch, summed over one axis of each."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    if axes is None:
        axes = (x.ndim - 1, builtins.max(1, y.ndim - 2))
    first, second = (axes, axes) if isinstance(axes, int) else axes
    first, second = first % x.ndim, second % y.ndim
    if 0 in (first, second):
        raise ValueError(f"K.batch_dot: axes={axes} names the batch axis; the first is axis 1.")
    product = jax.lax.dot_general(x, y, (((first,), (second,)), ((0,), (0,))))
    return product[:, None] if product.ndim == 1 else product


def _channels_first(data_format):
    return (data_format or config.image_data_format()) == "channels_first"


def bias_add(x, bias, data_format=None):
    """Add a bias: one number per channel, or one per place and channel."""
    sizes = tuple(ops.shape(bias))
    first = _channels_first(data_format)
    if len(sizes) == 1:
        sizes = (
            (*sizes, *(1,) * (len(ops.shape(x)) - 2))
            if first
            else (*(1,) * (len(ops.shape(x)) - 2), *sizes)
        )
    elif first:
        sizes = (sizes[-1], *sizes[:-1])
    return ops.add(x, ops.reshape(bias, (1, *sizes)))


def _padding(x, pairs, data_format):
    first = _channels_first(data_format)
    none = (0, 0)
    pairs = [tuple(pair) for pair in pairs]
    return ops.pad(x, [none, none, *pairs] if first else [none, *pairs, none])


def temporal_padding(x, padding=(1, 1)):
    """Add zeros before and after the time steps."""
    return _padding(x, [padding], "channels_last")


def spatial_2d_padding(x, padding=((1, 1), (1, 1)), data_format=None):
    """Add zeros around images."""
    return _padding(x, padding, data_format)


def spatial_3d_padding(x, padding=((1, 1), (1, 1), (1, 1)), data_format=None):
    """Add zeros around volumes."""
    return _padding(x, padding, data_format)


def resize_images(x, height_factor, width_factor, data_format=None, interpolation="nearest"):
    """Enlarge images by whole factors."""
    first = _channels_first(data_format)
    height, width = ops.shape(x)[2:4] if first else ops.shape(x)[1:3]
    size = (height * height_factor, width * width_factor)
    return ops.image.resize(x, size, interpolation, data_format=data_format)


def resize_volumes(x, depth_factor, height_factor, width_factor, data_format=None):
    """Enlarge volumes by whole factors, repeating values."""
    first = _channels_first(data_format)
    for axis, factor in enumerate((depth_factor, height_factor, width_factor), 1 + first):
        x = ops.repeat(x, factor, axis)
    return x


def _pool(x, pool_size, strides=1, padding="valid", data_format=None, pool_mode="max"):
    """Largest value ("max") or mean ("avg") of each window."""
    pool = {"max": ops.max_pool, "avg": ops.average_pool}[pool_mode]
    return pool(x, pool_size, strides, padding, data_format)


pool2d = pool3d = _pool

# --- control --------------------------------------------------------------------------------------


def _value(x):
    return x() if callable(x) else x


def switch(condition, then_expression, else_expression):
    """One of two values, by a scalar, or by a mask over the first axes."""
    condition = ops.cast(condition, "bool")
    first, second = _value(then_expression), _value(else_expression)
    missing = len(ops.shape(first)) - len(ops.shape(condition))
    for _ in range(missing if ops.shape(condition) else 0):
        condition = ops.expand_dims(condition, -1)
    return ops.where(condition, first, second)


def learning_phase():
    """1 while a layer is called with `training=True`, else 0."""
    frame = current_frame()
    while frame is not None and frame.training is None:
        frame = frame.parent
    return int(bool(frame is not None and frame.training))


def set_learning_phase(value):
    """Understood for 0: calls and `predict` infer anyway, and `fit` trains in any case."""
    if value:
        raise NotImplementedError(
            "K.set_learning_phase(1): no global flag is kept. Write model(x, training=True)."
        )
    say_once("K.set_learning_phase(0)", "model(x, training=False), layer.trainable = False")


def in_train_phase(x, alt, training=None):
    """`x` in training, `alt` elsewhere; functions are called."""
    flag = learning_phase() if training is None else training
    return _value(x) if flag else _value(alt)


def foldl(fn, elems, initializer=None, name=None):
    """Combine the slices of an array from the first to the last."""
    elems = ops.convert_to_tensor(elems)
    start, rest = (elems[0], elems[1:]) if initializer is None else (initializer, elems)
    return ops.scan(lambda total, x: (fn(total, x), None), start, rest)[0]


def foldr(fn, elems, initializer=None, name=None):
    """Combine the slices of an array from the last to the first."""
    return foldl(fn, ops.flip(elems, 0), initializer)


def print_tensor(x, message="", summarize=3):
    """Print a value, also from compiled code, and return it."""
    jax.debug.callback(lambda value: print(message, value), x)
    return x


# --- random ---------------------------------------------------------------------------------------


def random_bernoulli(shape, p=0.0, dtype=None, seed=None):
    """1 with probability p, else 0."""
    drawn = random.uniform(as_shape(shape), seed=seeded(seed))
    return ops.cast(drawn <= p, dtype or config.floatx())


random_binomial = random_bernoulli


def random_normal_variable(shape, mean, scale, dtype=None, name=None, seed=None):
    """A Variable of normal numbers."""
    return variable(draws.normal(shape, mean, scale, dtype, seed), dtype, name)


def random_uniform_variable(shape, low, high, dtype=None, name=None, seed=None):
    """A Variable of evenly spread numbers."""
    return variable(draws.uniform(shape, low, high, dtype, seed), dtype, name)


# --- graphs ---------------------------------------------------------------------------------------


def placeholder(shape=None, ndim=None, dtype=None, sparse=False, name=None, ragged=False):
    """A symbolic tensor, as `Input` makes it."""
    sizes = (None,) * (ndim or 0) if shape is None else tuple(shape)
    return Input(batch_shape=sizes, dtype=dtype, name=name)


def function(inputs, outputs, updates=None, name=None):
    """A function from data for symbolic inputs to a list of NumPy arrays for symbolic outputs.

    A learning phase among the inputs is the training flag of the call. For new code,
    `staghorn.Model(inputs, outputs)` and its `predict`.
    """
    if updates:
        raise ValueError(
            "K.function: updates= needs a static graph. Assign Variables in a layer's `call`, or "
            "write a `train_step` in a subclass of staghorn.Model."
        )
    many = isinstance(outputs, (list, tuple))
    wanted = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    symbolic = [is_symbolic(x) for x in wanted]
    model = Model(
        [x for x, real in zip(wanted, symbolic, strict=True) if real],
        list(outputs) if many else [outputs],
    )

    def run(values):
        given = list(values) if isinstance(values, (list, tuple)) else [values]
        if len(given) != len(wanted):
            raise ValueError(
                f"K.function: it was made for {len(wanted)} inputs, got {len(given)}; call it with "
                "a list of arrays, f([x])."
            )
        data = [ops.convert_to_tensor(v) for v, real in zip(given, symbolic, strict=True) if real]
        training = builtins.any(v for v, real in zip(given, symbolic, strict=True) if not real)
        results = [get_value(x) for x in tree.flatten(model(data, training=training))]
        return results if many else results[0]

    return run


_GRADIENTS = """\
there is no static graph to differentiate. Write the loss as a function:
    gradient = jax.grad(lambda x: staghorn.ops.mean(model(x)[:, index]))(images)
and for the gradients by weights
    loss, gradients = staghorn.value_and_grad(loss_of, model.trainable_weights)(x, y)"""
_RNN = "write a Layer with state_size and call(inputs, states), and staghorn.layers.RNN(cell)."
_CTC = "it is not offered so far; optax.ctc_loss takes JAX arrays."
_REFUSED = {
    "ctc_batch_cost": _CTC,
    "ctc_decode": _CTC,
    "gradients": _GRADIENTS,
    "rnn": _RNN,
}


def _refusing(name, advice):
    def refuse(*args, **kwargs):
        raise NotImplementedError(f"K.{name}: {advice}")

    return refuse


TABLE |= table({name: _refusing(name, advice) for name, advice in _REFUSED.items()})
TABLE |= table({"get_session": sessions.get_session, "set_session": sessions.set_session})
TABLE |= {name: getattr(_backend, name) for name in _backend.__all__}
__all__ = publish(globals(), TABLE)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # Python itself asks for `__path__` and its like
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise AttributeError(
        f"keras.backend has no {name!r}.{suggestion(name, __all__)} Most of today's functions are "
        "in staghorn.ops."
    )
