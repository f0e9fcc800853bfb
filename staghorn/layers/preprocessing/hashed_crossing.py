"""HashedCrossing: combinations of features into a fixed number of bins."""

from __future__ import annotations

from typing import Any

import numpy as np

from staghorn.engine.arguments import Options, Positive
from staghorn.layers.preprocessing.host_layer import (
    HostLayer,
    encoded,
    encoded_shape,
    no_sparse,
)
from staghorn.ops.fingerprint import fingerprint64, fingerprint_cat64

_KEY = 0xDECAFCAFFE  # TensorFlow's

_INPUTS = """\
{who}: expected a list or tuple of two or more features, each of shape (), (batch,) or \
(batch, 1), all alike and of strings or integers; got {got}.
Write layer([first, second])."""


class HashedCrossing(HostLayer):
    """A bin for each combination of two or more features, by a hash.

    [(batch, 1), (batch, 1), ...] → ints (batch, 1), or (batch, num_bins) for "one_hot"

    Args:
        num_bins: number of bins.
        output_mode: "int" or "one_hot". Default: "int".
        sparse: must be False.
        name: a label.
        dtype: of the output. Default: "int64" for "int", else the global policy.

    Raises:
        ValueError: for one input only, or inputs of different or other shapes.

    Example:
        >>> layer = staghorn.layers.HashedCrossing(num_bins=5)
        >>> towns, years = np.array(["A", "B", "A"]), np.array([101, 101, 102])
        >>> np.asarray(layer((towns, years))).tolist()
        [1, 4, 3]

    Notes: without TensorFlow, with its bins.

    Reference: https://github.com/google/farmhash
    """

    arguments = {"num_bins": Positive(int), "output_mode": Options("int", "one_hot")}

    def __init__(
        self, num_bins: int, output_mode: str = "int", sparse: bool = False,
        name: str | None = None, dtype: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        if output_mode == "int" and dtype is None:
            dtype = "int64"
        super().__init__(name=name, dtype=dtype, **kwargs)
        no_sparse("HashedCrossing", sparse)
        self.num_bins = num_bins
        self.output_mode = output_mode
        self.sparse = sparse

    def _check(self, shapes: list[tuple]) -> None:
        first = shapes[0] if shapes else ()
        known = all(None not in shape for shape in shapes)
        alike = all(shape == first if known else len(shape) == len(first) for shape in shapes)
        if len(shapes) < 2 or not alike or len(first) > 2 or (len(first) == 2 and first[1] != 1):
            raise ValueError(_INPUTS.format(who=self._who, got=f"shapes {shapes}"))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        shapes = [tuple(shape) for shape in input_shape]
        self._check(shapes)
        return encoded_shape(shapes[0], self.output_mode, self.num_bins)

    def _inputs(self, inputs: Any) -> list[np.ndarray]:
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(_INPUTS.format(who=self._who, got=type(inputs).__name__))
        arrays = [self._array(x) for x in inputs]
        self._check([x.shape for x in arrays])
        wrong = [x.dtype for x in arrays if x.dtype.kind not in "Oiu"]
        if wrong:
            raise ValueError(_INPUTS.format(who=self._who, got=f"dtype {wrong[0]}"))
        return arrays

    def _compute(self, inputs: list[np.ndarray]) -> np.ndarray:
        mixed = np.full(inputs[0].size, _KEY, np.uint64)
        for feature in inputs:
            flat = feature.ravel()
            strings = flat.dtype == object
            part = fingerprint64(flat.tolist()) if strings else flat.astype(np.int64)
            mixed = fingerprint_cat64(mixed, part.astype(np.uint64))
        bins = (mixed % np.uint64(self.num_bins)).astype(np.int64).reshape(inputs[0].shape)
        return encoded(bins, self.output_mode, self.num_bins, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        names = ("num_bins", "output_mode", "sparse", "name", "dtype")
        return {name: getattr(self, name) for name in names}
