"""Config: named values with attribute access, which can be frozen."""

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from staghorn.engine.registry import suggestion


class Config(MutableMapping):
    """Named values: a dict whose entries are attributes too, and which can be frozen.

    Args:
        **kwargs: the first values.

    Example:
        >>> config = staghorn.utils.Config(rate=0.1)
        >>> config.seed = 123
        >>> config["rate"], config.seed, config.to_json()
        (0.1, 123, '{"rate": 0.1, "seed": 123}')
        >>> config.freeze()
        >>> config.rate = 0.2
        Traceback (most recent call last):
        ValueError: Config: it is frozen, 'rate' cannot be changed. Call unfreeze() first.
    """

    def __init__(self, **kwargs: Any) -> None:
        object.__setattr__(self, "_config", kwargs)
        object.__setattr__(self, "_frozen", False)

    @property
    def frozen(self) -> bool:
        return self._frozen

    def freeze(self) -> None:
        """Refuse changes from now on."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self) -> None:
        """Allow changes again."""
        object.__setattr__(self, "_frozen", False)

    def as_dict(self) -> dict[str, Any]:
        """Return the values as a dict of their own."""
        return dict(self._config)

    def to_json(self) -> str:
        """Return the values as JSON."""
        return json.dumps(self._config)

    def keys(self) -> Any:
        return self._config.keys()

    def values(self) -> Any:
        return self._config.values()

    def items(self) -> Any:
        return self._config.items()

    def get(self, keyname: str, value: Any = None) -> Any:
        """Return a value by its name, or another one where there is none.

        Args:
            keyname: the name.
            value: what to return otherwise. Default: None.

        Example:
            >>> staghorn.utils.Config(rate=0.1).get("seed", 3)
            3
        """
        return self._config.get(keyname, value)

    def _check(self, name: str) -> None:
        if self._frozen:
            raise ValueError(
                f"Config: it is frozen, {name!r} cannot be changed. Call unfreeze() first."
            )

    def __getitem__(self, name: str) -> Any:
        return self._config[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._check(name)
        self._config[name] = value

    def __delitem__(self, name: str) -> None:
        self._check(name)
        del self._config[name]

    def __getattr__(self, name: str) -> Any:
        values = object.__getattribute__(self, "__dict__").get("_config", {})
        if name in values:
            return values[name]
        raise AttributeError(f"Config: there is no {name!r}.{suggestion(name, values)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            raise AttributeError(f"Config: {name!r} is a method; write config[{name!r}] = ...")
        self[name] = value

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._config))

    def __len__(self) -> int:
        return len(self._config)

    def __repr__(self) -> str:
        return f"<Config {self._config}>"
