"""HostLayer: the base of layers that NumPy computes, since strings never reach the device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config
from staghorn.engine import tree
from staghorn.engine.jax_internals import is_tracer
from staghorn.engine.scope import current_scope
from staghorn.engine.symbolic import KerasTensor
from staghorn.engine.variable import Variable
from staghorn.layers.call import has_tensor, is_text, shape_of
from staghorn.layers.layer import Layer

MODES = ("int", "one_hot", "multi_hot", "count")
_OLD_MODES = {"binary": "multi_hot", "tf-idf": "tf_idf"}

_MISSING = """\
{who}: a string is missing: {value!r} ({kind}) at place {place}.
Fill it in first, for instance with series.fillna(""), or drop these rows."""
_UNEQUAL = """\
{who}: the rows have different lengths, so they make no array.
Pad them with the mask token, or join the words of a row and use TextVectorization."""

_CHANGED = """\
{who} is called inside '{model}' on strings that are not an input of the model as it came. For \
fit, evaluate and predict these must reach it unchanged: layer(inputs), layer(inputs["title"]).
What comes before can be done to the data: model.fit(changed(x), y)."""
_TWICE = """\
'{model}': layers called '{name}' take the same strings in two ways. Give each a name of its own."""
_NOT_HEARD = """\
{who} is given strings here, but was not when the model's call was looked through (with \
training=False, on a few rows). Hand it the same strings in every case."""


class TextCalls:
    """What the `call` of a subclassed model does with strings, found by running it once.

    Attributes:
        found: for each call on strings, the layer or model, and the nest of their places.
    """

    def __init__(self, model: str, leaves: Sequence[Any]) -> None:
        self.model = model
        self.places = {id(leaf): place for place, leaf in enumerate(leaves) if is_text(leaf)}
        self.found: dict[tuple[str, int], tuple[Any, Any]] = {}

    def note(self, owner: Any, inputs: Any) -> None:
        """Write down that `owner` was called on strings."""
        places = tree.map_structure(lambda leaf: self.places.get(id(leaf)), inputs)
        flat = tree.flatten(places)
        if None in flat:
            who = f"{type(owner).__name__} '{owner.name}'"
            raise TypeError(_CHANGED.format(who=who, model=self.model))
        if self.found.setdefault((owner.name, flat[0]), (owner, places)) != (owner, places):
            raise ValueError(_TWICE.format(model=self.model, name=owner.name))


_listening: ContextVar[TextCalls | None] = ContextVar("_listening", default=None)


@contextmanager
def listening(calls: TextCalls | None) -> Iterator[None]:
    """Let `calls` hear of every call on strings; None for nobody."""
    token = _listening.set(calls)
    try:
        yield
    finally:
        _listening.reset(token)


def heard(owner: Any, inputs: Any) -> bool:
    """Tell who listens of a call on strings; say whether somebody does."""
    calls = _listening.get()
    if calls is None or not any(map(is_text, tree.flatten(inputs))):
        return False
    calls.note(owner, inputs)
    return True


def host_key(owner: Any) -> str:
    """Return the key of what a layer made of strings, in the dict that stands for these."""
    return f"{owner.name}, host layer"


def current_mode(mode: Any) -> Any:
    """Return today's name of an output mode."""
    return _OLD_MODES.get(mode, mode) if isinstance(mode, str) else mode


def salt_pair(who: str, salt: Any) -> list[int] | None:
    """Return a salt as two integers."""
    if salt is None:
        return None
    if isinstance(salt, (int, np.integer)):
        return [int(salt)] * 2
    if isinstance(salt, (tuple, list)) and len(salt) == 2:
        return list(salt)
    raise ValueError(f"{who}: salt must be an int or a pair of ints, got {salt!r}.")


def no_sparse(who: str, sparse: Any) -> None:
    """Raise where sparse results are asked for."""
    if sparse:
        raise ValueError(f"{who}: sparse={sparse!r} is not supported: JAX has dense arrays only.")


def encoded_shape(shape: Any, mode: str, depth: int | None) -> tuple:
    """Return the shape of indices of some shape after they were encoded.

    Example:
        >>> from staghorn.layers.preprocessing.host_layer import encoded_shape
        >>> encoded_shape((None, 3), "one_hot", 5), encoded_shape((None, 3), "count", 5)
        ((None, 3, 5), (None, 5))
    """
    shape = tuple(shape)
    if mode == "int":
        return shape
    if mode == "one_hot":
        if not shape:
            return 1, depth
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*shape[:1], *shape[2:], depth) if len(shape) > 1 else (depth,)


def encoded(indices: np.ndarray, mode: str, depth: int, dtype: Any) -> np.ndarray:
    """Encode indices in NumPy; those outside `0 ... depth - 1` count nothing.

    (batch, n) → (batch, depth) for "multi_hot" and "count"; (..., depth) for "one_hot"

    Example:
        >>> from staghorn.layers.preprocessing.host_layer import encoded
        >>> encoded(np.array([[2, 0, 2]]), "count", 3, "float32").tolist()
        [[1.0, 0.0, 2.0]]
    """
    if mode == "int":
        return indices.astype(dtype)
    shape = encoded_shape(indices.shape, mode, depth)
    if mode == "one_hot":
        rows = indices.reshape(-1, 1)
    elif indices.ndim > 1:
        rows = np.moveaxis(indices, 1, -1)
        rows = rows.reshape(-1, rows.shape[-1])
    else:
        rows = indices.reshape(1, -1)
    which = np.repeat(np.arange(len(rows)), rows.shape[1])
    return scattered(which, rows.ravel(), math.prod(shape[:-1]), mode, depth, dtype).reshape(shape)


def scattered(
    rows: np.ndarray, places: np.ndarray, count: int, mode: str, depth: int, dtype: Any
) -> np.ndarray:
    """Return (count, depth) zeros with a one, or a count, at each place of each row.

    Example:
        >>> from staghorn.layers.preprocessing.host_layer import scattered
        >>> scattered(np.array([0, 1]), np.array([2, 7]), 2, "count", 3, "int32").tolist()
        [[0, 0, 1], [0, 0, 0]]
    """
    inside = (places >= 0) & (places < depth)
    rows, places = rows[inside], places[inside]
    out = np.zeros((count, depth), dtype)
    if mode == "count":
        np.add.at(out, (rows, places), 1)
    else:
        out[rows, places] = 1
    return out


def text_array(value: Any, who: str) -> np.ndarray:
    """Return strings of any kind as an array of bytes objects (UTF-8).

    Args:
        value: a string; nested lists, arrays or columns of them.
        who: for errors.

    Example:
        >>> from staghorn.layers.preprocessing.host_layer import text_array
        >>> text_array(["a", "ü"], "me").tolist()
        [b'a', b'\\xc3\\xbc']
    """
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value, dtype=object)
    except ValueError:
        raise ValueError(_UNEQUAL.format(who=who)) from None
    flat = array.ravel().tolist()
    try:
        data = [text.encode() for text in flat]
    except (AttributeError, UnicodeEncodeError):
        data = [_bytes(text, who, place) for place, text in enumerate(flat)]
    result = np.empty(len(data), dtype=object)
    result[:] = data
    return result.reshape(array.shape)


def _bytes(text: Any, who: str, place: int) -> bytes:
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    if isinstance(text, (list, tuple, np.ndarray)):
        raise ValueError(_UNEQUAL.format(who=who))
    if text is None or text != text or type(text).__name__ == "NAType":  # NaN is not itself
        raise ValueError(
            _MISSING.format(who=who, value=text, kind=type(text).__name__, place=place)
        )
    raise TypeError(f"{who}: expected strings, got {text!r} ({type(text).__name__}).")


def gives_batches(data: Any) -> bool:
    """Say whether `adapt` got batches one after the other, not data that is there at once."""
    whole = (list, tuple, np.ndarray, jax.Array, str, bytes)
    return hasattr(data, "__iter__") and not isinstance(data, whole) and not hasattr(data, "dtype")


def _ready(inputs: Any) -> dict[str, Any] | None:
    """Return what stands for strings inside a compiled program, if inputs are that."""
    while isinstance(inputs, (list, tuple)) and inputs:
        inputs = inputs[0]
    return inputs if isinstance(inputs, dict) else None


class HostLayer(Layer):
    """A layer whose result NumPy computes; a subclass writes `_compute` and the output's shape.

    Integers may come from a running program, which then asks the host. Strings may not: a model
    that takes strings has its first layers run before the program (`models/host_part.py`).
    """

    _convert_input_args = False

    def _build_once(self, call: Any) -> None:
        if not self.built and has_tensor(call.first) and _ready(call.first) is None:
            self._build_shapes = shape_of(call.first)

    @property
    def _output_dtype(self) -> str:
        return self.compute_dtype

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        first = tree.flatten(inputs)[0]
        if self.compute_dtype == "string" and getattr(first, "dtype", "string") != "string":
            raise TypeError(
                f"{self._who} takes strings, but is called on {first.dtype} numbers. Say what the "
                "input holds: Input(shape=(1,), dtype='string')."
            )
        shape = self.compute_output_shape(tree.map_structure(lambda x: x.shape, inputs))
        return KerasTensor(shape, self._output_dtype)

    def _array(self, value: Any) -> np.ndarray:
        """Return one input as a NumPy array, strings as bytes objects."""
        if isinstance(value, Variable):
            value = value.value
        if is_text(value):
            return text_array(value, self._who)
        return np.asarray(value)

    @property
    def _who(self) -> str:
        return f"{type(self).__name__} '{self.name}'"

    def _inputs(self, inputs: Any) -> Any:
        return self._array(inputs)

    def _compute(self, inputs: Any) -> np.ndarray:
        """Return the output for arrays in memory."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        ready = _ready(inputs)
        if ready is not None:
            if host_key(self) not in ready:
                raise TypeError(_NOT_HEARD.format(who=self._who))
            return ready[host_key(self)]
        heard(self, inputs)
        if any(map(is_tracer, tree.flatten(inputs) if has_tensor(inputs) else ())):
            return self._from_program(inputs)
        return self._result(self._compute(self._inputs(inputs)))

    def _result(self, array: Any) -> Any:
        if array.dtype == object:
            return array
        return jnp.asarray(array.astype(jax.dtypes.canonicalize_dtype(array.dtype)))

    def _from_program(self, inputs: Any) -> jax.Array:
        """Let a running program ask the host: its inputs are known only then."""
        if self.compute_dtype == "string":
            scope = current_scope()
            if scope is not None and scope.abstract:  # a model is built from shapes alone
                shape = self.compute_output_shape(inputs.shape)
                dtype = jax.dtypes.canonicalize_dtype(self._output_dtype)
                return jnp.zeros([1 if n is None else n for n in shape], dtype)
            raise TypeError(
                f"{self._who} takes strings, but it was given numbers, inside a compiled program. "
                "Strings go straight from an Input(dtype='string'), or from the data, into it."
            )
        if self._output_dtype == "string":
            raise ValueError(
                f"{self._who} returns strings, which a compiled program cannot hold. Call it on "
                "what the model predicts: layer(model.predict(x).argmax(-1))."
            )
        shape = self.compute_output_shape(tree.map_structure(lambda x: x.shape, inputs))
        dtype = jax.dtypes.canonicalize_dtype(self._output_dtype)

        def run(values: Any) -> np.ndarray:
            return self._compute(self._inputs(values)).astype(dtype)

        out = jax.ShapeDtypeStruct(shape, dtype)
        return jax.pure_callback(run, out, inputs, vmap_method="sequential")


def encoding_dtype(mode: str) -> str:
    """Return the type of a lookup's output: indices are integers, encodings floats."""
    return "int64" if mode == "int" else config.floatx()
