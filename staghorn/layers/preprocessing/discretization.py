"""Discretization: numbers into bins, given or learned from data."""

from __future__ import annotations

from itertools import islice
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config, ops
from staghorn.engine.arguments import NonNegative, Options, Positive
from staghorn.engine.serialization import WithCustomObjects
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.layer import Layer
from staghorn.layers.preprocessing.category_encoding import encoded_on_device
from staghorn.layers.preprocessing.host_layer import (
    MODES,
    encoded_shape,
    no_sparse,
)


def summarized(values: Any, epsilon: float) -> np.ndarray:
    """Reduce numbers to about `1 / epsilon` of them with weights: how many each stands for.

    (...) → (2, n): values in order, weights

    Example:
        >>> from staghorn.layers.preprocessing.discretization import summarized
        >>> summarized(np.arange(8.0), 0.5).tolist()
        [[3.0, 7.0], [4.0, 4.0]]
    """
    values = np.sort(np.reshape(values, -1))
    step = max(values.size / (1.0 / epsilon), 1)
    kept = values[int(step - 1) :: int(step)]
    return np.stack([kept, np.ones_like(kept) * step])


def compressed(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """Reduce a summary to about `1 / epsilon` values, by interpolating its quantiles.

    (2, n) → (2, m)

    Example:
        >>> from staghorn.layers.preprocessing.discretization import compressed
        >>> compressed(np.array([[1.0, 2.0, 3.0, 4.0], [1.0] * 4]), 0.5).tolist()
        [[2.0, 4.0], [2.0, 2.0]]
    """
    if summary.shape[1] * epsilon < 1:
        return summary
    percents = epsilon + np.arange(0.0, 1.0, epsilon)
    totals = summary[1].cumsum()
    reached = totals / totals[-1]
    values = np.interp(percents, reached, summary[0])
    totals = np.interp(percents, reached, totals)
    return np.stack([values, np.diff(totals, prepend=0)]).astype("float32")


class Discretization(WithCustomObjects, Layer):
    """The bin of each number: how many boundaries lie at or below it.

    (...) → ints (...), or encodings (..., bins)        bin(x) = #{b in boundaries: b ≤ x}

    Args:
        bin_boundaries: list of boundaries in order; n of them make n + 1 bins. Default: None.
        num_bins: instead of boundaries: how many bins `adapt` makes, of about equally many numbers.
            Default: None.
        epsilon: precision of the quantiles that `adapt` finds. Default: 0.01.
        output_mode: "int"; "one_hot" (each number), "multi_hot" (which bins are in a row), "count"
            (how often). Default: "int".
        sparse: must be False.
        dtype: of the encodings. Default: the global policy.
        name: a label.

    Raises:
        ValueError: unless one of `bin_boundaries` and `num_bins` is given; if it is called before
            it has boundaries.

    Example:
        >>> layer = staghorn.layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0])
        >>> np.asarray(layer([[-1.5, 1.0, 3.4, 0.5]])).tolist()
        [[0, 2, 3, 1]]

    Reference: Greenwald and Khanna, 2001, https://dl.acm.org/doi/10.1145/375663.375670
    """

    arguments = {
        "output_mode": Options(*MODES),
        "num_bins": NonNegative(int, optional=True),
        "epsilon": Positive(float),
    }
    _untracked = Layer._untracked | {"bin_boundaries"}

    def __init__(
        self, bin_boundaries: Any = None, num_bins: int | None = None, epsilon: float = 0.01,
        output_mode: str = "int", sparse: bool = False, dtype: Any = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name=name, dtype=dtype)
        if (num_bins is None) == (bin_boundaries is None):
            raise ValueError(
                "Discretization: give bin_boundaries= or num_bins=, one of them; got "
                f"bin_boundaries={bin_boundaries!r}, num_bins={num_bins!r}."
            )
        no_sparse("Discretization", sparse)
        self.bin_boundaries = bin_boundaries
        self.num_bins = num_bins
        self.epsilon = epsilon
        self.output_mode = output_mode
        self.sparse = sparse
        self.summary = np.zeros((2, 0), "float32")

    @property
    def input_dtype(self) -> str:
        return config.floatx()

    @property
    def output_dtype(self) -> str:
        """The type of the output."""
        return "int32" if self.output_mode == "int" else self.compute_dtype

    # Learning the boundaries -----------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn boundaries between bins of about equally many numbers.

        Args:
            data: an array, or batches: a list of arrays, a generator, a loader.
            steps: how many batches to take. Default: all.

        Raises:
            ValueError: if the layer was made with boundaries, or there is no data.
        """
        if self.num_bins is None:
            raise ValueError(
                f"Discretization '{self.name}' was made with bin_boundaries. Write "
                "Discretization(num_bins=...) to learn them."
            )
        self.reset_state()
        whole = hasattr(data, "dtype") or not hasattr(data, "__iter__")
        for batch in [data] if whole else islice(data, steps):
            self.update_state(batch)
        if not self.summary.size:
            raise ValueError(f"Discretization '{self.name}': adapt() got no data.")
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Merge a batch into the summary of what was seen."""
        fresh = summarized(np.array(data).astype("float32"), self.epsilon)
        merged = np.concatenate([fresh, self.summary], axis=1)
        self.summary = compressed(merged[:, np.argsort(merged[0])], self.epsilon)

    def finalize_state(self) -> None:
        """Make the boundaries from the summary."""
        if self.num_bins is not None:
            self.bin_boundaries = compressed(self.summary, 1.0 / self.num_bins)[0, :-1].tolist()

    def reset_state(self) -> None:
        """Forget the summary."""
        if self.num_bins is not None:
            self.summary = np.zeros((2, 0), "float32")

    # Calling ---------------------------------------------------------------------------------

    @property
    def _bins(self) -> int | None:
        return self.num_bins if self.bin_boundaries is None else len(self.bin_boundaries) + 1

    def call(self, inputs: Any) -> jax.Array:
        if self.bin_boundaries is None:
            raise ValueError(
                f"Discretization '{self.name}' has no boundaries yet: call adapt(data) first, or "
                "write Discretization(bin_boundaries=[...])."
            )
        inputs = ops.convert_to_tensor(inputs)
        inner = "float64" if inputs.dtype == "float64" else "float32"
        boundaries = jnp.asarray(self.bin_boundaries, inner)
        places = jnp.searchsorted(boundaries, inputs.astype(inner), side="right")
        assert self._bins is not None
        return encoded_on_device(places, self.output_mode, self._bins, self.output_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return encoded_shape(input_shape, self.output_mode, self._bins)

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), self.output_dtype)

    # Config ----------------------------------------------------------------------------------

    def load_own_variables(self, store: Any) -> None:
        if len(store.keys()) == 1:  # files of older versions have the summary
            self.summary = np.asarray(store["0"])

    def get_config(self) -> dict[str, Any]:
        names = ("bin_boundaries", "num_bins", "epsilon", "output_mode", "sparse", "name", "dtype")
        config = {name: getattr(self, name) for name in names}
        if config["bin_boundaries"] is not None:
            config["bin_boundaries"] = np.asarray(config["bin_boundaries"]).tolist()
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        boundaries = config.get("bin_boundaries")
        if boundaries is None or config.get("num_bins") is None:
            return super().from_config(config, custom_objects)
        layer = super().from_config({**config, "bin_boundaries": None}, custom_objects)
        layer.bin_boundaries = boundaries  # learned: the constructor takes one or the other
        return layer
