"""InputSpec: what a layer accepts, checked before its `call` runs."""

from collections.abc import Sequence
from typing import Any

from staghorn.engine import tree
from staghorn.engine.dtypes import standardize_dtype


class InputSpec:
    """What a layer expects of an input: type, number of axes, sizes of some axes.

    shapes of inputs → nothing, or an error that names the input

    Args:
        dtype, shape, ndim, max_ndim, min_ndim: expected values. Default: None, anything.
        axes: dict axis → size. Default: None.
        allow_last_axis_squeeze: accept a missing or extra last axis of size 1. Default: False.
        name: name of the input, for dicts and errors. Default: None.
        optional: whether None may be passed. Default: False.

    Example:
        >>> staghorn.layers.InputSpec(min_ndim=2, axes={-1: 3})
        InputSpec(min_ndim=2, axes={-1: 3})
    """

    # What a layer says where an axis is missing, instead of the general guess.
    missing_axis_advice: str = ""

    def __init__(
        self,
        dtype: Any = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else standardize_dtype(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = {"dtype": self.dtype, "shape": self.shape, "ndim": self.ndim}
        told |= {"max_ndim": self.max_ndim, "min_ndim": self.min_ndim, "axes": self.axes or None}
        return {key: value for key, value in told.items() if value is not None}

    def __repr__(self) -> str:
        return f"InputSpec({', '.join(f'{k}={v}' for k, v in self._told().items())})"

    def get_config(self) -> dict[str, Any]:
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes", "optional")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "InputSpec":
        return cls(**config)

    def problem(self, shape: tuple, dtype: Any) -> str | None:
        """Return what is wrong with an input of that shape and type, or None."""
        ndim = len(shape)
        if self.ndim is not None and ndim != self.ndim and not self.allow_last_axis_squeeze:
            return f"expected {self.ndim} axes, got {ndim}."
        if self.max_ndim is not None and ndim > self.max_ndim:
            return f"expected at most {self.max_ndim} axes, got {ndim}."
        if self.min_ndim is not None and ndim < self.min_ndim:
            return (
                f"expected at least {self.min_ndim} axes (the first one is the batch), got {ndim}."
            )
        if self.dtype is not None and standardize_dtype(dtype) != self.dtype:
            return f"expected dtype {self.dtype}, got {standardize_dtype(dtype)}."
        for axis, size in self.axes.items():
            if size is not None and shape[axis] not in (size, None):
                return f"expected axis {axis} to have size {size}, got {shape[axis]}."
        return self._shape_problem(shape)

    def _shape_problem(self, shape: tuple) -> str | None:
        if self.shape is None:
            return None
        accepted = [shape]
        if self.allow_last_axis_squeeze:
            accepted += [shape[:-1]] if shape and shape[-1] == 1 else []
            accepted += [(*shape, 1)] if self.shape and self.shape[-1] == 1 else []
        fits = any(_compatible(self.shape, candidate) for candidate in accepted)
        return None if fits else f"expected shape {self.shape}, got {shape}."


def _compatible(expected: tuple, got: tuple) -> bool:
    return len(expected) == len(got) and all(
        None in (a, b) or a == b for a, b in zip(expected, got, strict=True)
    )


def check_inputs(layer: Any, inputs: Any) -> None:
    """Raise ValueError unless inputs fit the layer's `input_spec`."""
    specs = layer.input_spec
    if not specs:
        return
    specs = tree.flatten(specs)
    if isinstance(inputs, dict) and all(spec.name for spec in specs):
        inputs = _by_name(layer, specs, inputs)
    arrays = tree.flatten(inputs)
    if len(arrays) != len(specs):
        names = [spec.name for spec in specs if spec is not None and spec.name]
        named = f" named {names}" if len(names) == len(specs) else ""
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}' expects {len(specs)} input(s){named}, "
            f"got {len(arrays)}."
        )
    for position, (array, spec) in enumerate(zip(arrays, specs, strict=True)):
        if spec is None or (array is None and spec.optional):
            continue
        if not hasattr(array, "shape"):
            hint = " Call it first: inner(x)." if callable(array) else ""
            raise ValueError(
                f"{type(layer).__name__} '{layer.name}': an input must be a tensor, "
                f"got {array!r} ({type(array).__name__}).{hint}"
            )
        shape = tuple(d if isinstance(d, int) else None for d in array.shape)
        problem = spec.problem(shape, array.dtype)
        if problem is not None:
            which = f"input {position}" + (f" ('{spec.name}')" if spec.name else "")
            raise ValueError(
                f"{type(layer).__name__} '{layer.name}', {which}: {problem}\n"
                f"Full shape received: {shape}.{likely_fix(spec, shape)}"
            )


def _by_name(layer: Any, specs: list[InputSpec], inputs: dict) -> list:
    missing = [spec.name for spec in specs if spec.name not in inputs and not spec.optional]
    if missing:
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}': missing data for input {missing}. "
            f"The dictionary has the keys {sorted(inputs)}."
        )
    return [inputs.get(spec.name) for spec in specs]


def likely_fix(spec: InputSpec, shape: tuple) -> str:
    """Guess the mistake behind a shape that does not fit."""
    expected = spec.shape
    least = spec.min_ndim or spec.ndim or (len(expected) if expected else None)
    if least is not None and len(shape) == least - 1:
        if expected and None not in shape and all(
            e in (None, s) for e, s in zip(expected[1:], shape, strict=False)
        ):
            return " The batch axis is missing: pass x[None], a batch of one."
        if spec.missing_axis_advice:
            return f" {spec.missing_axis_advice}"
        return " An axis is missing: x[..., None] adds one at the end, x[None] a batch of one."
    if least is not None and len(shape) == least + 1 and shape[-1] == 1:
        return " The last axis has size 1: x[..., 0] removes it."
    if expected and None not in expected[1:] and None not in shape[1:]:
        return f" The model was made for {expected[1:]} per sample, the data has {shape[1:]}."
    return ""
