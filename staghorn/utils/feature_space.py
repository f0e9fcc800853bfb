"""FeatureSpace: the columns of a table, each with a layer that prepares it, as one vector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import layers
from staghorn.engine import naming, tree
from staghorn.engine.arguments import Options, Positive
from staghorn.engine.serialization import Configurable, serialize_keras_object
from staghorn.engine.symbolic import any_symbolic
from staghorn.layers.call import is_text
from staghorn.saving import save_model

__all__ = ["Cross", "Feature", "FeatureSpace", "TFDConcat", "TFDIdentity"]

# Batches in which a table in memory is shown to `adapt`: Keras's size, so that quantiles agree.
_ROWS = 32
_OURS = "keras.src.layers.preprocessing.feature_space"  # where Keras's files say these classes are

_NO_WIDTH = """\
FeatureSpace: feature '{name}' has output_mode='one_hot', but {why}.
Write output_mode='int' (or 'float') for it."""
_NOT_ENCODED = """\
FeatureSpace: feature '{name}' is not encoded (it has dtype {dtype}), so it cannot be one of the \
numbers of a vector.
Write output_mode='one_hot' for it, or FeatureSpace(..., output_mode="dict")."""


class Feature(Configurable):
    """A column: type of its values, the layer that prepares them, form of the result."""

    _keras_path = (_OURS, "Feature", "Feature")
    arguments = {"output_mode": Options("int", "one_hot", "float")}

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        self.dtype = dtype
        self.preprocessor = preprocessor
        self.output_mode = output_mode


class Cross(Configurable):
    """A combination of columns, hashed into `crossing_dim` bins."""

    _keras_path = (_OURS, "Cross", "Cross")
    arguments = {"crossing_dim": Positive(int), "output_mode": Options("int", "one_hot")}

    def __init__(
        self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot"
    ) -> None:
        self.feature_names = tuple(feature_names)
        self.crossing_dim = crossing_dim
        self.output_mode = output_mode

    @property
    def name(self) -> str:
        return "_X_".join(self.feature_names)


class TFDIdentity(layers.Layer):
    """Numbers as they are. The name is Keras's, for its files."""

    _keras_path = (_OURS, "TFDIdentity", "TFDIdentity")

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class TFDConcat(layers.Layer):
    """Columns one behind the other. The name is Keras's, for its files."""

    _keras_path = (_OURS, "TFDConcat", "TFDConcat")

    def __init__(self, axis: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        return jnp.concatenate(inputs, axis=self.axis)


# The kinds of features: type of the column, layer, form of the result.
_KINDS: dict[str, tuple[str, Any, str]] = {
    "float": ("float32", TFDIdentity, "float"),
    "float_rescaled": ("float32", layers.Rescaling, "float"),
    "float_normalized": ("float32", layers.Normalization, "float"),
    "float_discretized": ("float32", layers.Discretization, "one_hot"),
    "integer_categorical": ("int32", layers.IntegerLookup, "one_hot"),
    "string_categorical": ("string", layers.StringLookup, "one_hot"),
    "integer_hashed": ("int32", layers.Hashing, "one_hot"),
    "string_hashed": ("string", layers.Hashing, "one_hot"),
}


def _feature(kind: str, name: str | None, mode: str | None = None, **options: Any) -> Feature:
    dtype, layer, usual = _KINDS[kind]
    name = name or naming.auto_name(kind)
    return Feature(dtype, layer(**options, name=f"{name}_preprocessor"), mode or usual)


class FeatureSpace(layers.Layer):
    """Prepare the columns of a table and put them into one vector.

    {name: (batch,) or (batch, 1)} → (batch, width), or {name: (batch, n)} with "dict"

    Args:
        features: name of a column → what it is: a word such as "float_normalized", or what
            `FeatureSpace.float_normalized()`, ... return. The words: "float", "float_rescaled",
            "float_normalized", "float_discretized", "integer_categorical", "string_categorical",
            "integer_hashed", "string_hashed".
        output_mode: "concat" or "dict". Default: "concat".
        crosses: tuples of names whose combinations are hashed. Default: None.
        crossing_dim: bins of a cross. Default: 32.
        hashing_dim: bins of hashed features that are given as a word. Default: 32.
        num_discretization_bins: the same for "float_discretized". Default: 32.
        name: a label.

    Raises:
        ValueError: for unknown kinds and columns, and if it is called before `adapt`.

    Example:
        >>> table = {"age": [20.0, 40.0], "town": ["Ulm", "Bonn"]}
        >>> kinds = {"age": "float_normalized", "town": "string_hashed"}
        >>> space = staghorn.utils.FeatureSpace(kinds, hashing_dim=4)
        >>> space.adapt(table)
        >>> space(table).shape
        (2, 5)

    Notes: columns are in the order of their names, then the crosses. Further columns are left out,
        where Keras raises; `adapt` also takes batches from any iterable.
    """

    _keras_path = ("keras.utils", "FeatureSpace", None)
    arguments = {"output_mode": Options("concat", "dict")}

    def __init__(
        self, features: Mapping[str, Any], output_mode: str = "concat",
        crosses: Sequence[Any] | None = None, crossing_dim: int = 32, hashing_dim: int = 32,
        num_discretization_bins: int = 32, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name=name)
        if not features:
            raise ValueError("FeatureSpace: features is empty. Write {'column': 'float', ...}.")
        self.crossing_dim = crossing_dim
        self.hashing_dim = hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.output_mode = output_mode
        self.features = {key: self._feature(key, value) for key, value in features.items()}
        self.crosses = [self._cross(cross) for cross in crosses or ()]
        self.inputs = {
            key: layers.Input((1,), dtype=feature.dtype, name=key)
            for key, feature in self.features.items()
        }
        self.preprocessors = {key: f.preprocessor for key, f in self.features.items()}
        self.crossers = {
            cross.name: layers.HashedCrossing(cross.crossing_dim, name=cross.name)
            for cross in self.crosses
        }
        self.one_hot_encoders: dict[str, Any] = {}
        self.concat: Any = None
        self.encoded_features: Any = None
        self._is_adapted = False

    def _feature(self, name: str, given: Any) -> Feature:
        if isinstance(given, Feature):
            return given
        if given not in _KINDS:
            check = Options(*_KINDS)
            raise ValueError(f"FeatureSpace: feature '{name}' must be {check}, got {given!r}.")
        if given == "float_discretized":
            return _feature(given, name, num_bins=self.num_discretization_bins)
        options = {"num_bins": self.hashing_dim} if given.endswith("hashed") else {}
        return getattr(self, given)(**options, name=name)

    def _cross(self, given: Any) -> Cross:
        cross = given if isinstance(given, Cross) else Cross(given, self.crossing_dim)
        unknown = [name for name in cross.feature_names if name not in self.features]
        if unknown:
            raise ValueError(
                f"FeatureSpace: the cross {cross.feature_names} names {unknown}, which are not "
                f"among the features: {list(self.features)}."
            )
        return cross

    # Kinds of features -----------------------------------------------------------------------

    @classmethod
    def cross(cls, feature_names: Any, crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Combine columns: each combination gets one of `crossing_dim` bins."""
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """Prepare a column with a layer of your own."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Take numbers as they are."""
        return _feature("float", name, dtype="float32")

    @classmethod
    def float_rescaled(
        cls, scale: Any = 1.0, offset: Any = 0.0, name: str | None = None
    ) -> Feature:
        """Compute x * scale + offset."""
        return _feature("float_rescaled", name, scale=scale, offset=offset)

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Bring numbers to mean 0 and variance 1."""
        return _feature("float_normalized", name)

    @classmethod
    def float_discretized(
        cls, num_bins: int | None, bin_boundaries: Any = None, output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Put numbers into bins, which `adapt` finds or `bin_boundaries` gives."""
        options = {"num_bins": num_bins, "bin_boundaries": bin_boundaries}
        return _feature("float_discretized", name, output_mode, **options)

    @classmethod
    def integer_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1,
        output_mode: str = "one_hot", name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Look integers up in a vocabulary that `adapt` learns."""
        options = {"max_tokens": max_tokens, "num_oov_indices": num_oov_indices}
        return _feature("integer_categorical", name, output_mode, **options)

    @classmethod
    def string_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1,
        output_mode: str = "one_hot", name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Look strings up in a vocabulary that `adapt` learns."""
        options = {"max_tokens": max_tokens, "num_oov_indices": num_oov_indices}
        return _feature("string_categorical", name, output_mode, **options)

    @classmethod
    def string_hashed(
        cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Hash strings into bins."""
        return _feature("string_hashed", name, output_mode, num_bins=num_bins)

    @classmethod
    def integer_hashed(
        cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Hash integers into bins."""
        return _feature("integer_hashed", name, output_mode, num_bins=num_bins)

    # Learning --------------------------------------------------------------------------------

    def _to_adapt(self) -> list[str]:
        """Return the columns whose layers learn from data."""
        return [
            name
            for name, layer in self.preprocessors.items()
            if hasattr(layer, "adapt")
            and getattr(layer, "input_mean", None) is None
            and not getattr(layer, "_has_input_vocabulary", False)
            and (not isinstance(layer, layers.Discretization) or layer.num_bins is not None)
        ]

    def adapt(self, dataset: Any) -> None:
        """Let every layer that learns from data see its column.

        Args:
            dataset: a dict of arrays or lists, a pandas DataFrame, or an iterable of dicts (also
                of tuples that begin with one): batches or single rows, which are collected first.
        """
        wanted = self._to_adapt()
        for name, column in _columns(dataset, wanted).items():
            layer = self.preprocessors[name]
            if not layer.built:
                layer.build((None, *column.shape[1:]))  # no batch size, for files
            layer.adapt(column[i : i + _ROWS] for i in range(0, len(column), _ROWS))
        self._is_adapted = True
        self.get_encoded_features()  # makes the layers that encode and join
        self.built = True

    def _check_adapted(self) -> None:
        if not self._is_adapted and self._to_adapt():
            raise ValueError(
                f"FeatureSpace '{self.name}' must learn from the data first: call adapt(data). "
                f"Columns that need it: {self._to_adapt()}."
            )

    # Encoding --------------------------------------------------------------------------------

    def get_inputs(self) -> dict[str, Any]:
        """Return an Input for each column, to begin a model with."""
        self._check_adapted()
        return self.inputs

    def get_encoded_features(self) -> Any:
        """Return what comes out for `get_inputs()`, to go on with in a model."""
        self._check_adapted()
        if self.encoded_features is None:
            self.encoded_features = self._encode(self.inputs)
        return self.encoded_features

    def _encode(self, data: Mapping[str, Any]) -> Any:
        parts = {name: layer(data[name]) for name, layer in self.preprocessors.items()}
        crossed = {
            cross.name: self.crossers[cross.name]([parts[name] for name in cross.feature_names])
            for cross in self.crosses
        }
        modes = {name: feature.output_mode for name, feature in self.features.items()}
        modes |= {cross.name: cross.output_mode for cross in self.crosses}
        order = [*sorted(parts), *sorted(crossed)]
        merged = {
            name: self._finished(name, (parts | crossed)[name], modes[name]) for name in order
        }
        if self.output_mode == "dict":
            return merged
        for name, part in merged.items():
            if not str(part.dtype).startswith(("float", "bfloat")):
                raise ValueError(_NOT_ENCODED.format(name=name, dtype=part.dtype))
        if self.concat is None:
            self.concat = TFDConcat(axis=-1)
        return self.concat(list(merged.values()))

    def _finished(self, name: str, part: Any, mode: str) -> Any:
        if mode != "one_hot":
            return part
        if name not in self.one_hot_encoders:
            width = self._width(name, part)
            self.one_hot_encoders[name] = layers.CategoryEncoding(width, output_mode="multi_hot")
        return self.one_hot_encoders[name](part)

    def _width(self, name: str, part: Any) -> int:
        """Return how many categories a column has."""
        layer = self.preprocessors.get(name) or self.crossers[name]
        if not str(part.dtype).startswith("int"):
            why = f"its layer returns {part.dtype}, not integers"
            raise ValueError(_NO_WIDTH.format(name=name, why=why))
        if isinstance(layer, (layers.IntegerLookup, layers.StringLookup)):
            return layer.vocabulary_size()
        if isinstance(layer, layers.Discretization):
            return layer._bins  # type: ignore[return-value]
        if isinstance(layer, (layers.HashedCrossing, layers.Hashing, layers.CategoryEncoding)):
            return layer.num_tokens if hasattr(layer, "num_tokens") else layer.num_bins
        why = f"nobody knows how many categories {type(layer).__name__} makes"
        raise ValueError(_NO_WIDTH.format(name=name, why=why))

    def __call__(self, data: Any) -> Any:
        self._check_adapted()
        if not hasattr(data, "keys"):
            raise ValueError(
                f"FeatureSpace '{self.name}' takes a dict of columns, got {type(data).__name__}."
            )
        missing = [name for name in self.features if name not in data]
        if missing:
            raise ValueError(
                f"FeatureSpace '{self.name}': no data for {missing}; there is {list(data.keys())}."
            )
        if any_symbolic(dict(data)):
            return self._encode(data)
        arrays = {name: _array(data[name]) for name in self.features}
        single = any(array.ndim == 0 for array in arrays.values())
        encoded = self._encode({name: _column(array) for name, array in arrays.items()})
        return tree.map_structure(lambda x: x[0], encoded) if single else encoded

    # Config and files ------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        config = {
            name: getattr(self, name)
            for name in ("output_mode", "crossing_dim", "hashing_dim", "num_discretization_bins")
        }
        nests = {"features": dict(self.features), "crosses": list(self.crosses)}
        return config | {key: serialize_keras_object(nest) for key, nest in nests.items()}

    def get_build_config(self) -> dict[str, Any]:
        return {name: layer.get_build_config() for name, layer in self.preprocessors.items()}

    def build_from_config(self, config: dict[str, Any]) -> None:
        for name, given in config.items():
            if given and not self.preprocessors[name].built:
                self.preprocessors[name].build_from_config(given)
        self._is_adapted = True

    def save(self, filepath: str | PathLike[str]) -> None:
        """Save it to a `.keras` file, which `staghorn.models.load_model` reads."""
        save_model(self, filepath)


def _array(values: Any) -> Any:
    if isinstance(values, jax.Array):
        return values
    return np.asarray(values, dtype=object) if is_text(values) else np.asarray(values)


def _column(array: Any) -> Any:
    """Return (batch, 1) for one value or a column of them; other shapes stay."""
    return array.reshape(-1, 1) if array.ndim < 2 else array


def _columns(dataset: Any, wanted: list[str]) -> dict[str, Any]:
    """Return each wanted column, whole."""
    if hasattr(dataset, "keys"):
        return {name: _column(_array(dataset[name])) for name in wanted}
    if not isinstance(dataset, Iterable):
        raise ValueError(
            "FeatureSpace.adapt: expected a dict of arrays or lists, or an iterable of dicts; got "
            f"{type(dataset).__name__}."
        )
    batches = [batch[0] if isinstance(batch, (tuple, list)) else batch for batch in dataset]
    parts = {name: [_column(_array(batch[name])) for batch in batches] for name in wanted}
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}
