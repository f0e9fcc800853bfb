"""Dtype policies: which float type a layer computes in and which one it keeps its weights in."""

import re
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from staghorn import config as defaults
from staghorn.engine.dtypes import standardize_dtype
from staghorn.engine.registry import Family, missing_names, suggestion
from staghorn.engine.serialization import Configurable, serialize_keras_object

__all__ = [
    "AWQDTypePolicy", "DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "GPTQDTypePolicy",
    "Int4DTypePolicy", "QuantizedDTypePolicy", "QuantizedFloat8DTypePolicy", "deserialize",
    "dtype_policy", "get", "reset_dtype_policy", "serialize", "set_dtype_policy",
]  # fmt: skip

MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
COMMON = (*MIXED, "float32", "float16", "bfloat16", "float64")
# Keras's ways to quantize; only the first is here.
MODES = ("int8", "float8", "int4", "gptq", "awq")
HALVES = (
    "'int8' does not go with the compute type float16, whose largest number is 65504: sums of "
    "products of bytes are beyond it. Take 'mixed_bfloat16' or 'float32'."
)


def parse_name(name: str) -> tuple[str, str]:
    """Return (compute dtype, variable dtype) of a policy name.

    Example:
        >>> staghorn.dtype_policies.parse_name("mixed_bfloat16")
        ('bfloat16', 'float32')
    """
    if not isinstance(name, str):
        raise TypeError(
            f"DTypePolicy: name must be a string such as 'mixed_float16', got {name!r} "
            f"({type(name).__name__})."
        )
    if name in MIXED:
        return MIXED[name], "float32"
    try:
        dtype = standardize_dtype(name)
    except (TypeError, ValueError):
        raise ValueError(
            f"DTypePolicy: unknown policy {name!r}.{suggestion(name, COMMON)} "
            f"Policies: {', '.join(COMMON)}, or the name of another dtype."
        ) from None
    return dtype, dtype


def check_mode(mode: Any, where: str) -> None:
    """Refuse a way to quantize that is not here.

    Raises:
        NotImplementedError: for those that Keras has.
        ValueError: for all others.

    Example:
        >>> staghorn.dtype_policies.check_mode("in8", "quantize")
        Traceback (most recent call last):
        ...
        ValueError: quantize: unknown mode 'in8'. Did you mean 'int8'? Modes: int8.
    """
    if mode in MODES[1:]:
        raise NotImplementedError(
            f"{where}: quantization to {mode!r} is not supported. Staghorn has 'int8': "
            'model.quantize("int8"). For another mode quantize, train and run the model in Keras.'
        )
    if mode != MODES[0]:
        hint = suggestion(str(mode), MODES)
        raise ValueError(f"{where}: unknown mode {mode!r}.{hint} Modes: {MODES[0]}.")


class DTypePolicy(Configurable):
    """The float types of a layer: one to compute in, one to keep weights in.

    Args:
        name: a dtype name, for both; or "mixed_float16" or "mixed_bfloat16", which compute in
            16 bits and keep weights in float32. Default: None (the global policy's name).

    Raises:
        ValueError: if the name is unknown.

    Example:
        >>> policy = staghorn.dtype_policies.DTypePolicy("mixed_bfloat16")
        >>> policy.compute_dtype, policy.variable_dtype
        ('bfloat16', 'float32')
        >>> policy
        <DTypePolicy "mixed_bfloat16">

    Reference: Micikevicius et al., 2018, "Mixed precision training",
    https://arxiv.org/abs/1710.03740
    """

    def __init__(self, name: str | None = None) -> None:
        self._name = dtype_policy().name if name is None else name
        self._compute_dtype, self._variable_dtype = parse_name(self._name)

    @property
    def name(self) -> str:
        """The policy's name."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The dtype a layer casts its float inputs and weights to."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of a layer's weights."""
        return self._variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """How weights are quantized: None, or "int8"."""
        return None

    def at(self, path: str) -> "DTypePolicy":
        """Return the policy of the layer of that path."""
        del path
        return self

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self.name}">'

    def __eq__(self, other: object) -> bool:
        kinds = {type(self), type(other)}
        alike = len(kinds) == 1 or kinds == {DTypePolicy, FloatDTypePolicy}
        return alike and other.name == self.name  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self.name)


class FloatDTypePolicy(DTypePolicy):
    """The older name of `DTypePolicy`, for the same thing.

    Args:
        name: as for `DTypePolicy`. Default: None (the global policy's name).

    Example:
        >>> policy = staghorn.dtype_policies.FloatDTypePolicy("float16")
        >>> policy == staghorn.dtype_policies.DTypePolicy("float16")
        True
    """


class QuantizedDTypePolicy(DTypePolicy):
    """A policy of layers whose weights are whole numbers, with a scale, and computed with as such.

    Layers that have no version for whole numbers do as `source_name` says.

    Args:
        mode: "int8".
        source_name: the policy for everything else. Default: None (the global policy's name).

    Raises:
        ValueError: for an unknown mode, or a `source_name` that computes in float16.
        NotImplementedError: for a mode that Keras has and Staghorn does not.

    Example:
        >>> policy = staghorn.dtype_policies.QuantizedDTypePolicy("int8", "mixed_bfloat16")
        >>> policy.name, policy.compute_dtype, policy.quantization_mode
        ('int8_from_mixed_bfloat16', 'bfloat16', 'int8')
        >>> staghorn.dtype_policies.get("int8_from_mixed_bfloat16") == policy
        True
    """

    _refused: str | None = None  # what a class for another way to quantize stands for

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        super().__init__(source_name)
        check_mode(self._refused or str(mode).split("/", maxsplit=1)[0], type(self).__name__)
        if self.compute_dtype == "float16":
            raise ValueError(f"{type(self).__name__}: {HALVES}")
        self.mode = mode
        self.source_name, self._name = self._name, f"{mode}_from_{self._name}"

    @property
    def quantization_mode(self) -> str:
        return self.mode


class Int4DTypePolicy(QuantizedDTypePolicy):
    """Raises NotImplementedError: weights of 4 bits are not supported.

    Args:
        mode: "int4", or "int4/" and the size of a block.
        source_name: the policy for everything else. Default: None.

    Example:
        >>> staghorn.dtype_policies.Int4DTypePolicy("int4/128", "float32")
        Traceback (most recent call last):
        ...
        NotImplementedError: Int4DTypePolicy: quantization to 'int4' is not supported. ...
    """

    _refused = "int4"


class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """Raises NotImplementedError: training in floats of 8 bits is not supported.

    Args:
        mode: "float8".
        source_name: the policy for everything else. Default: None.

    Example:
        >>> staghorn.dtype_policies.QuantizedFloat8DTypePolicy("float8", "float32")
        Traceback (most recent call last):
        ...
        NotImplementedError: QuantizedFloat8DTypePolicy: quantization to 'float8' is not ...
    """

    _refused = "float8"


class GPTQDTypePolicy(QuantizedDTypePolicy):
    """Raises NotImplementedError: GPTQ is not supported.

    Args:
        mode: "gptq/4/128".
        source_name: the policy for everything else. Default: None.

    Example:
        >>> staghorn.dtype_policies.GPTQDTypePolicy("gptq/4/128", "float32")
        Traceback (most recent call last):
        ...
        NotImplementedError: GPTQDTypePolicy: quantization to 'gptq' is not supported. ...
    """

    _refused = "gptq"


class AWQDTypePolicy(QuantizedDTypePolicy):
    """Raises NotImplementedError: AWQ is not supported.

    Args:
        mode: "awq/4/128".
        source_name: the policy for everything else. Default: None.

    Example:
        >>> staghorn.dtype_policies.AWQDTypePolicy("awq/4/128", "float32")
        Traceback (most recent call last):
        ...
        NotImplementedError: AWQDTypePolicy: quantization to 'awq' is not supported. ...
    """

    _refused = "awq"


class DTypePolicyMap(DTypePolicy):
    """Policies by layer path, with a default for the rest.

    A key is a layer's path, or a regular expression that matches whole paths.

    Args:
        default_policy: a policy, its name, or None for the global one at the time of asking.
            Default: None.
        policy_map: dict of path → policy or name. Default: None (empty).

    Raises:
        ValueError: if a path matches several keys, or a key is set twice.
        TypeError: if `policy_map` is not a dict.

    Example:
        >>> policies = staghorn.dtype_policies.DTypePolicyMap("float32")
        >>> policies["encoder/.*"] = "mixed_bfloat16"
        >>> policies["encoder/dense"].name, policies["decoder/dense"].name
        ('mixed_bfloat16', 'float32')
    """

    def __init__(
        self, default_policy: Any = None, policy_map: dict[str, Any] | None = None
    ) -> None:
        if isinstance(default_policy, DTypePolicyMap):
            raise ValueError(
                "DTypePolicyMap: default_policy must be a policy for one layer, got a "
                "DTypePolicyMap. Pass its default: other_map.default_policy."
            )
        if policy_map is not None and not isinstance(policy_map, dict):
            raise TypeError(
                f"DTypePolicyMap: policy_map must be a dict, got {policy_map!r} "
                f"({type(policy_map).__name__})."
            )
        self._given_default = default_policy
        get(default_policy)  # a wrong name is an error here and now
        self._policies = {path: get(policy) for path, policy in (policy_map or {}).items()}

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of paths that no key matches."""
        return get(self._given_default)

    @property
    def name(self) -> str:
        """`map_` and the default policy's name."""
        return f"map_{self.default_policy.name}"

    @property
    def compute_dtype(self) -> str:
        """The default policy's compute dtype."""
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The default policy's variable dtype."""
        return self.default_policy.variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """The default policy's mode."""
        return self.default_policy.quantization_mode

    def at(self, path: str) -> DTypePolicy:
        return self[path]

    def __getitem__(self, path: str) -> DTypePolicy:
        if path in self._policies:
            return self._policies[path]
        matching = [pattern for pattern in self._policies if re.fullmatch(pattern, path)]
        if len(matching) > 1:
            raise ValueError(
                f"DTypePolicyMap: path {path!r} matches {len(matching)} keys: {matching}. "
                "Narrow them so that one is left, or add the path itself as a key."
            )
        return self._policies[matching[0]] if matching else self.default_policy

    def __setitem__(self, path: str, policy: Any) -> None:
        if path in self._policies:
            raise ValueError(
                f"DTypePolicyMap: {path!r} already has the policy {self._policies[path]!r}. "
                f"Delete it first: del policies[{path!r}]."
            )
        self._policies[path] = get(policy)

    def __delitem__(self, path: str) -> None:
        del self._policies[path]

    def __contains__(self, path: object) -> bool:
        return path in self._policies

    def __len__(self) -> int:
        return len(self._policies)

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def __bool__(self) -> bool:
        return True  # an empty map is still a policy

    def __repr__(self) -> str:
        policies = {path: policy.name for path, policy in self._policies.items()}
        return f"<DTypePolicyMap default_policy={self.default_policy.name}, mapping={policies}>"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, DTypePolicyMap)
            and other.default_policy == self.default_policy
            and other._policies == self._policies
        )

    def __hash__(self) -> int:
        return id(self)

    def get_config(self) -> dict[str, Any]:
        return {
            "default_policy": serialize_keras_object(self._given_default),
            "policy_map": serialize_keras_object(self._policies),
        }

    # MutableMapping itself cannot be a base: its metaclass and Configurable's exclude each other.
    keys = MutableMapping.keys
    values = MutableMapping.values
    items = MutableMapping.items
    get = MutableMapping.get
    pop = MutableMapping.pop
    update = MutableMapping.update
    clear = MutableMapping.clear
    popitem = MutableMapping.popitem


MutableMapping.register(DTypePolicyMap)


@dataclass
class _Global:
    policy: DTypePolicy | None = None


_global = _Global()


def dtype_policy() -> DTypePolicy:
    """Return the policy of layers that are made without `dtype=`.

    Example:
        >>> staghorn.dtype_policies.dtype_policy()
        <DTypePolicy "float32">

    Notes: until a policy is set it follows `floatx()`; Keras freezes it at its first use.
    """
    return DTypePolicy(defaults.floatx()) if _global.policy is None else _global.policy


def set_dtype_policy(policy: Any) -> None:
    """Set the policy of layers that are made from now on without `dtype=`.

    Args:
        policy: a policy or its name.

    Raises:
        ValueError: if it is neither.

    Example:
        >>> staghorn.dtype_policies.set_dtype_policy("mixed_bfloat16")
        >>> staghorn.dtype_policies.dtype_policy()
        <DTypePolicy "mixed_bfloat16">
        >>> staghorn.dtype_policies.reset_dtype_policy()
    """
    if not isinstance(policy, (str, DTypePolicy)):
        raise ValueError(
            "set_dtype_policy: policy must be a name such as 'mixed_float16' or a DTypePolicy, "
            f"got {policy!r} ({type(policy).__name__})."
        )
    _global.policy = get(policy)


def reset_dtype_policy() -> None:
    """Let the global policy follow `floatx()` again.

    Example:
        >>> staghorn.dtype_policies.reset_dtype_policy()
    """
    _global.policy = None


FAMILY = Family(
    "dtype policy",
    "keras.dtype_policies",
    {name: globals()[name] for name in __all__ if name.endswith(("Policy", "PolicyMap"))},
)


def get(identifier: Any) -> DTypePolicy:
    """Turn None, a name, a config, a dtype or a policy into a policy.

    Args:
        identifier: None means the global policy.

    Example:
        >>> staghorn.dtype_policies.get("float16"), staghorn.dtype_policies.get(np.float64)
        (<DTypePolicy "float16">, <DTypePolicy "float64">)
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        mode, found, source = identifier.partition("_from_")
        return QuantizedDTypePolicy(mode, source) if found else DTypePolicy(identifier)
    try:
        return DTypePolicy(standardize_dtype(identifier))
    except (TypeError, ValueError):
        raise ValueError(
            "dtype must be a name such as 'mixed_float16', a dtype, a DTypePolicy or its config; "
            f"got {identifier!r} ({type(identifier).__name__})."
        ) from None


def serialize(dtype_policy: DTypePolicy) -> Any:
    """Return the JSON form of a policy.

    Args:
        dtype_policy: a policy.

    Example:
        >>> policy = staghorn.dtype_policies.DTypePolicy("float16")
        >>> staghorn.dtype_policies.serialize(policy)["config"]
        {'name': 'float16'}
    """
    return FAMILY.serialize(dtype_policy)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Build a policy from its JSON form.

    Args:
        config: what `serialize` returned.
        custom_objects: name → class, for policies of your own. Default: None.

    Example:
        >>> config = {"class_name": "DTypePolicy", "config": {"name": "float16"}}
        >>> staghorn.dtype_policies.deserialize(config)
        <DTypePolicy "float16">
    """
    return FAMILY.deserialize(config, custom_objects)


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
