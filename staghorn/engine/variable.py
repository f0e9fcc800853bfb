"""Variable: a named slot that holds one array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine import compile_cache, frame, naming, scope
from staghorn.engine.dtypes import is_float, standardize_dtype
from staghorn.engine.host_memory import cannot_change, own_copy
from staghorn.engine.jax_internals import is_staging, is_tracer

_LEAKED = """\
Variable '{path}' was assigned a traced value outside any compiled step of Staghorn.
You wrote something like      jax.jit(lambda x: variable.assign(x))
Write instead                 staghorn.jit(lambda x: variable.assign(x))"""

_NO_LAYOUT = "Variable: layout must be None: keras.distribution is not there yet."


def _copied(value: Any, dtype: str) -> jax.Array:
    """Return a device array of its own.

    Two Variables with one buffer of the device could not both be donated to a program, and a view
    of the caller's array would change with it.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        # JAX copies what lies in the host's memory when it is donated.
        ready = value.dtype == dtype and cannot_change(value)
        return jax.device_put(value if ready else own_copy(value, dtype), may_alias=True)
    return jnp.array(value, dtype=dtype, copy=True)


class Variable:
    """A named slot that holds one array, read and assigned through the open Scope.

    Args:
        initializer: an array, a number, or a callable `(shape, dtype) → array`.
        shape: needed with a callable initializer. Default: None.
        dtype: data type. Default: that of the array, or `floatx()`.
        trainable: whether optimizers change it. Default: True.
        autocast: whether layers with a mixed policy read it in their compute type. Default: True.
        aggregation, synchronization: accepted for Keras's sake, without effect on one engine.
        name: a label. Default: `variable`, `variable_1`, ...
        layout: how devices share it: only None until `keras.distribution` is here. Default: None.
        **kwargs: none; unknown arguments are errors.

    Example:
        >>> counter = staghorn.Variable(np.zeros(2, "float32"), name="counter")
        >>> _ = counter.assign_add([1.0, 2.0])
        >>> counter.numpy()
        array([1., 2.], dtype=float32)

    Notes: `==` is elementwise, as in Keras: compare Variables with `is`.
    """

    __slots__ = (
        "__weakref__",
        "_dtype",
        "_shape",
        "_value",
        "aggregation",
        "autocast",
        "constraint",
        "name",
        "overwrite_with_gradient",
        "path",
        "regularizer",
        "synchronization",
        "trainable",
    )

    def __init__(
        self,
        initializer: Any,
        shape: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str = "auto",
        name: str | None = None,
        layout: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            known = ", ".join(Variable.__init__.__code__.co_varnames[1:10])
            raise TypeError(f"Variable: unknown argument {next(iter(kwargs))!r}. Known: {known}.")
        if layout is not None:
            raise NotImplementedError(_NO_LAYOUT)
        self.name = name or naming.unique_name("variable")
        if "/" in self.name:
            raise ValueError(f"Variable: a name cannot contain '/', got {self.name!r}.")
        self.path = "/".join([*naming.scopes.get(), self.name])
        self.trainable = bool(trainable)
        self.autocast = bool(autocast)
        self.aggregation = aggregation
        self.synchronization = synchronization
        self.regularizer: Callable | None = None
        self.constraint: Callable | None = None
        self.overwrite_with_gradient = False
        scope.check_creation(self.name)
        compile_cache.enable()  # JAX compiles from here on
        # Compile-time evaluation: a layer may be built while JAX traces for shapes.
        with jax.ensure_compile_time_eval():
            self._value = _first_value(initializer, shape, dtype, self.name)
        self._shape: tuple[int, ...] = tuple(self._value.shape)
        self._dtype: str = standardize_dtype(self._value.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def dtype(self) -> str:
        """The type a read gives here and now (a mixed policy may be in force)."""
        cast_to = frame.autocast_dtype()
        if cast_to is not None and self.autocast and self._dtype.startswith(("float", "bfloat")):
            return cast_to
        return self._dtype

    @property
    def ndim(self) -> int:
        return len(self._shape)

    @property
    def size(self) -> int:
        return int(np.prod(self._shape))

    @property
    def value(self) -> jax.Array:
        """The array, cast to the compute type of the layer that reads it."""
        value = self._value if scope._current.get() is None and not is_staging() else self._read()
        cast_to = frame.autocast_dtype()
        if cast_to is None or not self.autocast or value.dtype == cast_to:
            return value
        return value.astype(cast_to) if is_float(value.dtype) else value

    @property
    def stored(self) -> jax.Array:
        """The array in the slot itself, whatever Scope is open: for state that starts as a copy."""
        return self._value

    def _read(self) -> Any:
        # The Scope asks for shape and stored dtype, so hide the policy while it answers.
        with frame.no_autocast():
            return scope.read(self)

    def assign(self, value: Any) -> Variable:
        """Give the slot a new array of the same shape; it is cast to the slot's type."""
        if isinstance(value, Variable):
            value = value.value
        if is_tracer(value):
            # Also drops "weak" types, with which a loop's state would change its type.
            array = jax.lax.convert_element_type(value, self._dtype)
        else:
            array = _copied(value, self._dtype)
        if tuple(array.shape) != self._shape:
            raise ValueError(
                f"Variable '{self.path}' has shape {self._shape}; a value of shape "
                f"{tuple(array.shape)} cannot be assigned to it."
            )
        scope.write(self, array)
        return self

    def _adopt(self, array: jax.Array) -> None:
        """Take over an array that a compiled program made for this slot (no checks, no copy)."""
        self._value = array

    def _store(self, array: Any) -> None:
        if is_tracer(array):
            raise RuntimeError(_LEAKED.format(path=self.path))
        self._value = array

    def assign_add(self, value: Any) -> Variable:
        """Add to the slot."""
        return self.assign(self._stored() + jnp.asarray(_raw(value), self._dtype))

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the slot."""
        return self.assign(self._stored() - jnp.asarray(_raw(value), self._dtype))

    def _stored(self) -> jax.Array:
        with frame.no_autocast():
            return self.value

    def numpy(self) -> np.ndarray:
        """Return a copy as a NumPy array (a live view would stop buffer donation)."""
        return np.array(self._stored())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy  # always a copy, see numpy()
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __jax_array__(self) -> jax.Array:
        return self.value

    def __repr__(self) -> str:
        with frame.no_autocast():
            return f"<Variable path={self.path}, shape={self._shape}, dtype={self._dtype}>"

    def __float__(self) -> float:
        return float(self._stored())

    def __int__(self) -> int:
        return int(self._stored())

    def __index__(self) -> int:
        return int(self._stored())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise TypeError(f"Variable '{self.path}' of shape {self._shape} has no truth value.")
        return bool(self._stored())

    def __len__(self) -> int:
        return self._shape[0]

    def __iter__(self) -> Any:
        return iter(self.value)

    def __hash__(self) -> int:
        return id(self)

    def __getitem__(self, key: Any) -> jax.Array:
        return self.value[key]

    def __deepcopy__(self, memo: dict) -> Variable:
        twin = object.__new__(Variable)
        for slot in Variable.__slots__:
            if slot not in ("__weakref__", "_value"):
                setattr(twin, slot, getattr(self, slot))
        twin._value = jnp.array(self._stored(), copy=True)
        memo[id(self)] = twin
        return twin

    def __reduce__(self) -> Any:
        return (_restore, (np.asarray(self), {s: getattr(self, s) for s in _PICKLED}))


_PICKLED = ("name", "path", "trainable", "autocast", "aggregation", "synchronization")


def _restore(value: np.ndarray, attributes: dict) -> Variable:
    variable = Variable(value, name=attributes["name"])
    for name, attribute in attributes.items():
        setattr(variable, name, attribute)
    return variable


def _first_value(initializer: Any, shape: Any, dtype: Any, name: str) -> jax.Array:
    if not callable(initializer):
        value = _raw(initializer)
        if is_tracer(value):
            raise ValueError(f"Variable '{name}' cannot start from a traced value.")
        chosen = dtype if dtype is not None else _default_dtype(value)
        array = _copied(value, standardize_dtype(chosen))
        if shape is not None and tuple(shape) != tuple(array.shape):
            raise ValueError(
                f"Variable '{name}': shape={tuple(shape)} does not fit the given array of shape "
                f"{tuple(array.shape)}."
            )
        return array
    if shape is None:
        raise ValueError(f"Variable '{name}': a callable initializer needs shape=.")
    wanted = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if any(d is None for d in wanted):
        raise ValueError(
            f"Variable '{name}': shape={wanted} has unknown dimensions. A weight needs every "
            "dimension; give the layer an input whose axis sizes are known."
        )
    chosen = standardize_dtype(dtype)
    array = _copied(_raw(initializer(wanted, dtype=chosen)), chosen)
    if tuple(array.shape) != wanted:
        raise ValueError(
            f"Variable '{name}': the initializer returned shape {tuple(array.shape)}, "
            f"expected {wanted}."
        )
    return array


def _default_dtype(value: Any) -> Any:
    if hasattr(value, "dtype"):
        return jax.dtypes.canonicalize_dtype(value.dtype)
    kind = np.asarray(value).dtype
    return None if kind.kind == "f" else jax.dtypes.canonicalize_dtype(kind)


def _raw(value: Any) -> Any:
    return value.value if isinstance(value, Variable) else value


def _operator(name: str) -> Callable:
    def apply(self: Variable, *others: Any) -> Any:
        return getattr(self.value, name)(*map(_raw, others))

    apply.__name__ = name
    return apply


_OPERATORS = """
    __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __floordiv__
    __rfloordiv__ __mod__ __rmod__ __pow__ __rpow__ __matmul__ __rmatmul__ __neg__ __pos__ __abs__
    __invert__ __lt__ __le__ __gt__ __ge__ __eq__ __ne__ __and__ __rand__ __or__ __ror__ __xor__
    __rxor__ __round__
"""
for _name in _OPERATORS.split():
    setattr(Variable, _name, _operator(_name))
Variable.__hash__ = lambda self: id(self)  # type: ignore[method-assign]
