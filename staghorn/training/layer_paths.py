"""Layers and weights by path ("encoder/dense/kernel"), and patterns over those paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from staghorn.engine.registry import suggestion
from staghorn.engine.variable import Variable


def layer_paths(model: Any) -> dict[str, Any]:
    """Return every layer inside a model by its path: the names on the way to it, joined by "/".

    A shared layer has the first path that leads to it; of equal paths the second gets "_1".

    Example:
        >>> from staghorn.training.layer_paths import layer_paths
        >>> encoder = staghorn.Sequential([staghorn.layers.Dense(2, name="code")], name="encoder")
        >>> model = staghorn.Sequential([encoder, staghorn.layers.Dense(1, name="out")])
        >>> list(layer_paths(model))
        ['encoder', 'encoder/code', 'out']
    """
    found: dict[str, Any] = {}
    seen = {id(model)}
    pending = [("", layer) for layer in reversed(model._layers)]
    while pending:
        prefix, layer = pending.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        path = _free(prefix + layer.name, found)
        found[path] = layer
        pending.extend((f"{path}/", inner) for inner in reversed(layer._layers))
    return found


def variable_paths(model: Any) -> dict[str, dict[str, Variable]]:
    """Return the weights of a model, path of the layer → name → Variable; "" is the model itself.

    Example:
        >>> from staghorn.training.layer_paths import variable_paths
        >>> out = staghorn.layers.Dense(1, name="out")
        >>> model = staghorn.Sequential([staghorn.Input((3,)), out])
        >>> {path: list(weights) for path, weights in variable_paths(model).items()}
        {'out': ['kernel', 'bias']}
    """
    found: dict[str, dict[str, Variable]] = {}
    seen: set[int] = set()
    for path, layer in {"": model, **layer_paths(model)}.items():
        own: dict[str, Variable] = {}
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            if id(variable) not in seen:
                seen.add(id(variable))
                own[_free(variable.name, own)] = variable
        if own:
            found[path] = own
    return found


def _free(name: str, taken: Mapping[str, Any]) -> str:
    free, count = name, 0
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    return free


def fits(pattern: str, path: str, whole: bool = False) -> bool:
    """Say whether a pattern with `*`, `?`, `[...]` fits names that stand together in a path.

    Args:
        pattern: as for file names, but `*` also stands for "/".
        path: names joined by "/".
        whole: whether the last name must be among them. Default: False.

    Example:
        >>> from staghorn.training.layer_paths import fits
        >>> fits("enc*", "encoder/dense/kernel"), fits("dense", "encoder/dense_1/kernel")
        (True, False)
    """
    names = path.split("/")
    stops = [len(names)] if whole else range(1, len(names) + 1)
    parts = ("/".join(names[start:stop]) for stop in stops for start in range(stop))
    return any(fnmatchcase(part, pattern) for part in parts)


def rate_factors(model: Any, multipliers: Mapping[str, float]) -> list[tuple[Variable, float]]:
    """Return the weights whose learning rate is multiplied; the last pattern that fits counts.

    Raises:
        ValueError: a pattern fits no weight.
    """
    named = {
        f"{path}/{name}".lstrip("/"): variable
        for path, weights in variable_paths(model).items()
        for name, variable in weights.items()
    }
    for pattern in multipliers:
        if not any(fits(pattern, path) for path in named):
            raise no_fit("compile: learning_rate_multipliers", pattern, named)
    found = []
    for path, variable in named.items():
        factors = [factor for pattern, factor in multipliers.items() if fits(pattern, path)]
        if factors:
            found.append((variable, float(factors[-1])))
    return found


def no_fit(where: str, pattern: str, paths: Iterable[str]) -> ValueError:
    """Build the error for a pattern that no path fits."""
    known = list(paths)
    parts = dict.fromkeys(part for path in known for part in (path, *path.split("/")))
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    hint = suggestion(pattern.strip("*"), parts)
    return ValueError(f"{where}: nothing fits {pattern!r}.{hint} Known: {shown or 'nothing'}.")
