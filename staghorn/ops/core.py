"""Conversion, control flow and scattered reads and writes: `keras.ops`'s core part."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config
from staghorn.engine.dtypes import standardize_dtype
from staghorn.engine.symbolic import op
from staghorn.engine.tree import map_structure
from staghorn.engine.variable import Variable

__all__ = [
    "associative_scan", "cast", "cond", "convert_to_numpy", "convert_to_tensor", "custom_gradient",
    "dtype", "fori_loop", "is_tensor", "map", "saturate_cast", "scan", "scatter", "scatter_update",
    "shape", "slice", "slice_update", "stop_gradient", "switch", "unstack", "vectorized_map",
    "while_loop",
]  # fmt: skip


def as_type(dtype: Any, default: str | None = None) -> Any:
    """Return the data type JAX will use for a name; None stands for `default`.

    Example:
        >>> staghorn.ops.core.as_type(None, "float32"), staghorn.ops.core.as_type("int64")
        (dtype('float32'), dtype('int32'))
    """
    name = default if dtype is None else standardize_dtype(dtype)
    return None if name is None else jax.dtypes.canonicalize_dtype(name)


def as_array(x: Any, dtype: Any = None) -> jax.Array:
    """Return `x` as a JAX array: the step every array function of `ops` takes first.

    A data type that JAX cannot hold in its 32-bit mode becomes the 32-bit one without a warning,
    and a Python number keeps its weak type, so `as_array(2.0) * half` stays a half.

    Example:
        >>> staghorn.ops.core.as_array([1, 2], "float32").dtype
        dtype('float32')
    """
    if isinstance(x, Variable):
        x = x.value
    if dtype is None:
        return x if isinstance(x, jax.Array) else jnp.asarray(x)
    return jnp.asarray(x, dtype=as_type(dtype))


def computed_once(*arrays: jax.Array) -> list[jax.Array]:
    """Return arrays that XLA's CPU backend shall not compute again in what reads them.

    Which it does, element by element, whatever the order it reads them in. Programs that hold such
    arrays need `compiler_options.options_for`. Other backends join operations better.

    Example:
        >>> (x,) = staghorn.ops.core.computed_once(jnp.ones(2))
        >>> x.tolist()
        [1.0, 1.0]
    """
    if jax.default_backend() != "cpu":
        return list(arrays)
    return jax.lax.optimization_barrier(list(arrays))


@lru_cache
def common_type(first: Any, second: Any) -> Any:
    """Return the type two array types promote to, also where JAX is told not to promote.

    Example:
        >>> staghorn.ops.core.common_type(np.dtype("int32"), np.dtype("float16"))
        dtype('float16')
    """
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(first, second)


def as_float(x: Any) -> jax.Array:
    """Return `x` as a JAX array of a float (or complex) type: ints and bools become floatx.

    Example:
        >>> staghorn.ops.core.as_float([1, 2]).dtype
        dtype('float32')
    """
    x = as_array(x)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(config.floatx())


@op
def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Any:
    """Turn a number, list, NumPy array or Variable into a JAX array.

    (...) → (...)

    Args:
        x: the value.
        dtype: name of a data type. Default: the type of `x` (float64 becomes float32).
        sparse: accepted for Keras's sake; arrays here are dense. Default: None.
        ragged: must not be true. Default: None.

    Raises:
        ValueError: if `ragged` is true.

    Example:
        >>> staghorn.ops.convert_to_tensor(np.ones((2, 3))).dtype
        dtype('float32')
    """
    if ragged:
        raise ValueError(
            "convert_to_tensor: ragged=True is not supported; pad the rows to one length instead."
        )
    return as_array(x, dtype)


def convert_to_numpy(x: Any) -> np.ndarray:
    """Copy an array to the host as a NumPy array (waits for the device).

    (...) → (...)

    Args:
        x: an array, Variable, number or list.

    Example:
        >>> staghorn.ops.convert_to_numpy(staghorn.ops.zeros((2,)))
        array([0., 0.], dtype=float32)
    """
    return np.array(x.value if isinstance(x, Variable) else x)


def is_tensor(x: Any) -> bool:
    """Say whether `x` is a JAX array (a traced one too).

    Args:
        x: anything.

    Example:
        >>> staghorn.ops.is_tensor(staghorn.ops.zeros(())), staghorn.ops.is_tensor(0.0)
        (True, False)
    """
    return isinstance(x, jax.Array)


def shape(x: Any) -> tuple:
    """Return the shape of an array; an unknown size of a KerasTensor is None.

    (...) → sizes

    Args:
        x: an array, KerasTensor, Variable or nested list.

    Example:
        >>> staghorn.ops.shape(np.ones((2, 3)))
        (2, 3)
    """
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def dtype(x: Any) -> str:
    """Return the name of an array's data type.

    (...) → name

    Args:
        x: an array, KerasTensor or Variable.

    Example:
        >>> staghorn.ops.dtype(staghorn.ops.zeros((2,)))
        'float32'
    """
    return standardize_dtype(x.dtype)


@op
def cast(x: Any, dtype: Any) -> Any:
    """Convert an array to another data type.

    (...) → (...)

    Args:
        x: an array.
        dtype: name of a data type.

    Example:
        >>> print(staghorn.ops.cast([1.7, -1.7], "int32"))
        [ 1 -1]
    """
    return as_array(x, dtype)


def _limits(name: str) -> tuple[Any, Any]:
    if name == "bool":
        return 0, 1
    info = jnp.iinfo(name) if "int" in name else jnp.finfo(name)
    return info.min, info.max


@op
def saturate_cast(x: Any, dtype: Any) -> Any:
    """Convert to another data type, clipping first to what that type can hold.

    (...) → (...)        y = min(max(x, lowest), highest)

    Args:
        x: an array.
        dtype: name of a data type.

    Example:
        >>> print(staghorn.ops.saturate_cast([-5.0, 300.0], "uint8"))
        [  0 255]
    """
    x = as_array(x)
    source, target = standardize_dtype(x.dtype), standardize_dtype(dtype)
    (low, high), (target_low, target_high) = _limits(source), _limits(target)
    lower = np.maximum(low, target_low).astype(source)
    upper = np.minimum(high, target_high).astype(source)
    # Rounding a limit to the source type may step over it (2**31 - 1 in float32): step back.
    if lower < target_low:
        lower = np.nextafter(lower, np.zeros((), source))
    if upper > target_high:
        upper = np.nextafter(upper, np.zeros((), source))
    return as_array(jnp.clip(x, jnp.asarray(lower), jnp.asarray(upper)), dtype)


@op
def stop_gradient(variable: Any) -> Any:
    """Return the same values; the gradient does not flow through them.

    (...) → (...)

    Args:
        variable: an array or Variable.

    Example:
        >>> print(staghorn.ops.stop_gradient(np.array([1.0, 2.0])))
        [1. 2.]
    """
    return jax.lax.stop_gradient(map_structure(as_array, variable))


@op
def cond(pred: Any, true_fn: Callable, false_fn: Callable) -> Any:
    """Run one of two functions without arguments, chosen by a scalar.

    () → what the function returns

    Both must return the same structure, shapes and types.

    Args:
        pred: a bool scalar.
        true_fn: the function for True.
        false_fn: the function for False.

    Example:
        >>> print(staghorn.ops.cond(True, lambda: 1.0, lambda: 2.0))
        1.0
    """
    return jax.lax.cond(as_array(pred), true_fn, false_fn)


@op
def switch(index: Any, branches: Sequence[Callable], *operands: Any) -> Any:
    """Run `branches[index](*operands)`; the index is clipped to the list.

    () → what the function returns

    Args:
        index: a whole number.
        branches: functions of the operands, which return the same structure.
        *operands: what the chosen function is given.

    Example:
        >>> print(staghorn.ops.switch(1, [lambda x: x, lambda x: -x], 3.0))
        -3.0
    """
    return jax.lax.switch(as_array(index), branches, *operands)


@op
def while_loop(
    cond: Callable, body: Callable, loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Repeat `loop_vars = body(*loop_vars)` while `cond(*loop_vars)` is true.

    Args:
        cond: from the loop variables to a scalar bool.
        body: from the loop variables to their next values.
        loop_vars: one array, or a list or tuple of them.
        maximum_iterations: upper bound of the count. Default: no bound.

    Example:
        >>> print(staghorn.ops.while_loop(lambda i: i < 10, lambda i: i + 3, 0))
        12
    """
    many = isinstance(loop_vars, (tuple, list))
    start = tuple(loop_vars) if many else (loop_vars,)

    def keep_going(carry: tuple) -> Any:
        count, values = carry
        more = as_array(cond(*values))
        return more if maximum_iterations is None else more & (count < maximum_iterations)

    def step(carry: tuple) -> tuple:
        count, values = carry
        after = body(*values)
        return count + 1, tuple(after) if many else (after,)

    _, end = jax.lax.while_loop(keep_going, step, (0, start))
    return end if many else end[0]


@op
def fori_loop(lower: Any, upper: Any, body_fun: Callable, init_val: Any) -> Any:
    """Repeat `value = body_fun(i, value)` for i from `lower` up to, not including, `upper`.

    Args:
        lower: first i.
        upper: the i to stop before.
        body_fun: function of (i, value).
        init_val: first value, an array or a nest of arrays.

    Example:
        >>> print(staghorn.ops.fori_loop(0, 4, lambda i, total: total + i, 0))
        6
    """
    return jax.lax.fori_loop(lower, upper, body_fun, init_val)


@op
def scan(
    f: Callable,
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> Any:
    """Carry a state along the first axis: `carry, y = f(carry, x)`; return (carry, stacked ys).

    Args:
        f: from (carry, x) to (next carry, y).
        init: the first carry.
        xs: arrays to walk along their first axis. Default: None.
        length: number of steps, when `xs` is None. Default: None.
        reverse: walk from the end. Default: False.
        unroll: steps per compiled iteration, or True for all of them. Default: 1.

    Raises:
        ValueError: if `unroll` is neither a bool nor a positive int.

    Example:
        >>> add = lambda total, x: (total + x, total + x)
        >>> print(staghorn.ops.scan(add, 0.0, np.array([1.0, 2.0, 3.0], "float32"))[1])
        [1. 3. 6.]
    """
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(
            f"scan: unroll must be a bool or a positive int, got {unroll!r} "
            f"({type(unroll).__name__})."
        )
    return jax.lax.scan(f, init, xs, length=length, reverse=reverse, unroll=unroll)


@op
def associative_scan(f: Callable, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Running combination of elements with an associative function, in logarithmic depth.

    (n, ...) → (n, ...)        y[i] = f(y[i - 1], x[i])

    Args:
        f: a function of two elements with f(f(a, b), c) = f(a, f(b, c)); it gets many at once.
        elems: an array or a nest of arrays.
        reverse: whether to start at the end. Default: False.
        axis: the axis to run along. Default: 0.

    Example:
        >>> print(staghorn.ops.associative_scan(lambda a, b: a + b, np.arange(5)))
        [ 0  1  3  6 10]
    """
    return jax.lax.associative_scan(f, map_structure(as_array, elems), reverse=reverse, axis=axis)


@op
def map(f: Callable, xs: Any) -> Any:
    """Apply `f` to the slices of `xs` along its first axis, one after the other.

    (n, ...) → (n, ...)        y[i] = f(x[i])

    Args:
        f: a function of one slice.
        xs: an array or a nest of arrays.

    Example:
        >>> print(staghorn.ops.map(lambda row: row.sum(), np.ones((2, 3))))
        [3. 3.]
    """
    return jax.lax.map(f, map_structure(as_array, xs))


@op
def vectorized_map(function: Callable, elements: Any) -> Any:
    """Apply `function` to the slices of `elements` along the first axis, all at once.

    (n, ...) → (n, ...)        y[i] = function(x[i])

    Args:
        function: of one slice.
        elements: an array or a nest of arrays.

    Example:
        >>> print(staghorn.ops.vectorized_map(lambda row: row.sum(), np.ones((2, 3))))
        [3. 3.]
    """
    return jax.vmap(function)(map_structure(as_array, elements))


@op
def slice(inputs: Any, start_indices: Any, shape: Sequence[int]) -> Any:
    """Cut a block of a given shape out of an array; -1 takes what remains of an axis.

    (...) → `shape`

    Args:
        inputs: the array.
        start_indices: where the block starts, one index per axis (may be traced).
        shape: sizes of the block.

    Example:
        >>> print(staghorn.ops.slice(np.arange(9).reshape(3, 3), [1, 0], [2, -1]))
        [[3 4 5]
         [6 7 8]]
    """
    inputs = as_array(inputs)
    sizes = tuple(
        inputs.shape[axis] - int(start_indices[axis]) if size == -1 else size
        for axis, size in enumerate(shape)
    )
    return jax.lax.dynamic_slice(inputs, _per_axis(start_indices), sizes)


@op
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    """Return a copy of an array with a block replaced.

    (...), (rank,), the block → (...)

    Args:
        inputs: the array.
        start_indices: where the block starts, one index per axis (may be traced).
        updates: the block, with as many axes.

    Example:
        >>> print(staghorn.ops.slice_update(np.zeros((2, 3)), [0, 1], np.ones((1, 2))))
        [[0. 1. 1.]
         [0. 0. 0.]]
    """
    return jax.lax.dynamic_update_slice(
        as_array(inputs), as_array(updates), _per_axis(start_indices)
    )


def _per_axis(indices: Any) -> list:
    # dynamic_slice wants one scalar per axis; a traced vector is taken apart.
    return list(indices) if isinstance(indices, (list, tuple)) else list(as_array(indices))


@op
def scatter(indices: Any, values: Any, shape: Sequence[int]) -> Any:
    """Put values at given places of an array of zeros; values of one place add up.

    indices: (n, rank), values: (n, ...) → an array of the given shape

    Args:
        indices: places, one index for each axis.
        values: what to add there.
        shape: of the result.

    Example:
        >>> print(staghorn.ops.scatter([[0], [2], [0]], np.array([1.0, 2.0, 4.0]), (4,)))
        [5. 0. 2. 0.]
    """
    values = as_array(values)
    places = tuple(jnp.moveaxis(as_array(indices), -1, 0))
    return jnp.zeros(tuple(shape), values.dtype).at[places].add(values)


_REDUCTIONS = {None: "set", "add": "add", "max": "max", "min": "min", "mul": "multiply"}


@op
def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Any:
    """Return a copy of an array with values written (or combined) at given places.

    (...), (n, rank), (n, ...) → the shape of `inputs`

    Args:
        inputs: the array.
        indices: (n, rank) places.
        updates: (n, ...) values.
        reduction: how to combine with what is there: "add", "max", "min", "mul".
            Default: None, replace.

    Raises:
        ValueError: for an unknown reduction.

    Example:
        >>> print(staghorn.ops.scatter_update(np.zeros(3), [[1]], np.ones(1)))
        [0. 1. 0.]
    """
    key = None if reduction is None else reduction.lower()
    if key not in _REDUCTIONS:
        raise ValueError(
            f"scatter_update: reduction must be None, 'add', 'max', 'min' or 'mul', "
            f"got {reduction!r}."
        )
    inputs = as_array(inputs)
    places = tuple(jnp.moveaxis(as_array(indices), -1, 0))
    return getattr(inputs.at[places], _REDUCTIONS[key])(as_array(updates, inputs.dtype))


@op
def unstack(x: Any, num: int | None = None, axis: int = 0) -> list:
    """Cut an array into its slices along an axis, which is dropped.

    (..., n, ...) → n arrays of shape (..., ...)

    Args:
        x: an array.
        num: how many; needed where the size is unknown. Default: None, the axis's size.
        axis: the axis to cut. Default: 0.

    Example:
        >>> [part.shape for part in staghorn.ops.unstack(np.ones((2, 3)), axis=1)]
        [(2,), (2,), (2,)]
    """
    x = as_array(x)
    count = x.shape[axis] if num is None else num
    return [jax.lax.index_in_dim(x, i, axis, keepdims=False) for i in range(count)]


def custom_gradient(f: Callable) -> Callable:
    """Decorate a function that returns (value, gradient function).

    f(*args) → the value alone

    The gradient function takes the incoming gradient and returns one gradient per argument.

    Args:
        f: a function of arrays that returns (value, gradient function).

    Example:
        >>> @staghorn.ops.custom_gradient
        ... def clipped(x):
        ...     return x, lambda upstream: staghorn.ops.clip(upstream, -1.0, 1.0)
        >>> print(clipped(3.0))
        3.0
    """
    with_gradient = jax.custom_gradient(f)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        unwrapped = map_structure(
            lambda x: x.value if isinstance(x, Variable) else x, [list(args), kwargs]
        )
        return with_gradient(*unwrapped[0], **unwrapped[1])

    return wrapper
