"""Which loss and which metrics belong to which output: one map of names, used by both.

Every argument of `compile` may be a single thing, a list in the order of the outputs, a dict keyed
by output name, or a nest in the form of the outputs. `OutputMap.spread` turns each into one entry
per output, so that nothing lands on the wrong head.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from staghorn import config, losses, metrics
from staghorn.engine import tree
from staghorn.engine.registry import suggestion
from staghorn.losses.loss import Loss, LossFunctionWrapper
from staghorn.metrics.metric import Metric
from staghorn.metrics.reduction import Mean, MeanMetricWrapper
from staghorn.training.checks import explained


class OutputMap:
    """The outputs of a model, flat, each with a name.

    Args:
        y_pred: the nest that the model returned.
        names: the model's own output names, or None.
    """

    def __init__(self, y_pred: Any, names: Sequence[str] | None) -> None:
        self.struct = tree.map_structure(lambda _: 0, y_pred)
        self.count = len(tree.flatten(y_pred))
        self.named = True
        if isinstance(y_pred, dict) and len(y_pred) == self.count:
            self.names = [str(key) for key in sorted(y_pred)]
        elif names is not None and len(names) == self.count:
            self.names = list(names)
        else:
            self.named = False
            self.names = [f"output_{i}" if i else "output" for i in range(self.count)]
            if self.count > 1:
                self.names = [f"output_{i + 1}" for i in range(self.count)]

        paths = paths_of(self.struct)
        self.keys = [path[0] if path else None for path in paths]
        self.loss_names = [
            _loss_name(path, name if self.named else None)
            for path, name in zip(paths, self.names, strict=True)
        ]

    def flat(self, nest: Any) -> list[Any]:
        return tree.flatten(nest)

    def spread(self, value: Any, argument: str, per_output_lists: bool = False) -> list[Any]:
        """Return one entry per output.

        Args:
            value: what the user passed.
            argument: its name, for errors.
            per_output_lists: whether an entry may itself be a list (metrics).
        """
        if value is None:
            return [None] * self.count
        if isinstance(value, dict):
            return self._by_name(value, argument)
        if isinstance(value, (list, tuple)):
            return self._by_position(list(value), argument, per_output_lists)
        return [value] * self.count

    def _by_name(self, value: dict, argument: str) -> list[Any]:
        unknown = [key for key in value if key not in self.names]
        if unknown and not (isinstance(self.struct, dict) and set(value) <= set(self.struct)):
            raise ValueError(
                f"compile({argument}=...): there is no output {unknown[0]!r}."
                f"{suggestion(str(unknown[0]), self.names)} Outputs: {', '.join(self.names)}."
            )
        if isinstance(self.struct, dict) and self.count != len(self.struct):
            spread = [_like(value.get(key), sub) for key, sub in sorted(self.struct.items())]
            return [item for part in spread for item in part]
        return [value.get(name) for name in self.names]

    def _by_position(self, value: list, argument: str, per_output_lists: bool) -> list[Any]:
        if self.count == 1:
            if per_output_lists:
                nested = len(value) == 1 and isinstance(value[0], (list, tuple))
                return [value[0] if nested else value]
            return [value[0] if len(value) == 1 else value]
        if len(value) == self.count:
            return value
        if isinstance(self.struct, (list, tuple)) and len(value) == len(self.struct):
            parts = [_like(v, s) for v, s in zip(value, self.struct, strict=True)]
            return [item for part in parts for item in part]
        if per_output_lists and not any(isinstance(v, (list, tuple, dict)) for v in value):
            return [value] * self.count  # one flat list: every output gets all of it
        raise ValueError(
            f"compile({argument}=...): got a list of {len(value)}, but the model has "
            f"{self.count} outputs ({', '.join(self.names)}). Give one entry per output, "
            f"or a dict: {argument}={{{self.names[0]!r}: ...}}."
        )

    def targets(self, y: Any, wanted: Sequence[bool]) -> list[Any]:
        """Return one target per output; None where no loss or metric wants one.

        Args:
            y: what the user passed as targets.
            wanted: which outputs need a target.
        """
        flat = self.arrange(y, "targets")
        if flat is None:
            given = tree.flatten(y)
            if len(given) != sum(wanted):
                raise ValueError(
                    f"The model has {self.count} outputs ({', '.join(self.names)}), but "
                    f"{len(given)} target(s) were given. Pass y as a list in this order, or as a "
                    f"dict: y={{{self.names[0]!r}: ...}}."
                )
            rest = iter(given)
            flat = [next(rest) if want else None for want in wanted]
        missing = [n for n, t, w in zip(self.names, flat, wanted, strict=True) if w and t is None]
        if missing:
            raise ValueError(
                f"No target for output {missing}, which has a loss or a metric. Pass it in y, or "
                f"leave its loss out: loss={{{missing[0]!r}: None}}."
            )
        return flat

    def arrange(self, nest: Any, what: str) -> list[Any] | None:
        """Return a nest's leaves in the order of the outputs, or None where the count differs."""
        if isinstance(nest, dict):
            if isinstance(self.struct, dict) and set(nest) == set(self.struct):
                return tree.flatten(nest)
            unknown = [key for key in nest if key not in self.names]
            if unknown:
                raise ValueError(
                    f"The {what} have a key {unknown[0]!r}, but no output is called so."
                    f"{suggestion(str(unknown[0]), self.names)} Outputs: {', '.join(self.names)}."
                )
            return [nest.get(name) for name in self.names]
        flat = tree.flatten(nest)
        return flat if len(flat) == self.count else None

    def weights(self, sample_weight: Any) -> list[Any]:
        """Return one sample weight per output; a single one serves all."""
        if sample_weight is None or not tree.is_nested(sample_weight):
            return [sample_weight] * self.count
        flat = self.arrange(sample_weight, "sample weights")
        if flat is None and len(tree.flatten(sample_weight)) == 1:
            flat = tree.flatten(sample_weight) * self.count
        if flat is None:
            raise ValueError(
                f"sample_weight holds {len(tree.flatten(sample_weight))} arrays for "
                f"{self.count} outputs ({', '.join(self.names)})."
            )
        return flat


def paths_of(struct: Any) -> list[tuple]:
    """Return the keys and positions that lead to each leaf, in the order of `tree.flatten`."""
    if isinstance(struct, dict):
        items: Any = sorted(struct.items())
    elif isinstance(struct, (list, tuple)):
        items = enumerate(struct)
    else:
        return [()]
    return [(key, *rest) for key, sub in items for rest in paths_of(sub)]


def _loss_name(path: tuple, name: str | None) -> str | None:
    """Return an output's name in the logs: keys of dicts lead to it, a position is its name."""
    if not path or isinstance(path[-1], int):
        path = (*path[:-1], name)
    return None if path[-1] is None else "/".join(map(str, path))


def _like(value: Any, struct: Any) -> list[Any]:
    count = len(tree.flatten(struct))
    flat = tree.flatten(value) if tree.is_nested(value) else [value] * count
    return flat if len(flat) == count else [value] * count


def kind_of_target(y_true: Any, y_pred: Any) -> str:
    """Say which form of "accuracy" or "crossentropy" fits: binary, sparse or categorical."""
    if y_pred.shape[-1] == 1:
        return "binary"
    one_column = y_true.shape[-1] == 1 and y_pred.shape[-1] > 1 if y_true.ndim else True
    if y_true.ndim < y_pred.ndim or one_column:
        return "sparse"
    return "categorical"


_AUTO_LOSS = {
    "binary": "binary_crossentropy",
    "sparse": "sparse_categorical_crossentropy",
    "categorical": "categorical_crossentropy",
}
_AUTO_ACCURACY = {
    "binary": metrics.BinaryAccuracy,
    "sparse": metrics.SparseCategoricalAccuracy,
    "categorical": metrics.CategoricalAccuracy,
}


def object_name(thing: Any) -> str:
    """Return the name of a function, object or class, as it shows in the history."""
    if hasattr(thing, "name"):
        return thing.name
    if isinstance(thing, functools.partial):
        return object_name(thing.func)
    return getattr(thing, "__name__", None) or type(thing).__name__


def make_loss(identifier: Any, y_true: Any, y_pred: Any) -> Loss:
    """Turn a name, a function or an object into a loss."""
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        identifier = _AUTO_LOSS[kind_of_target(y_true, y_pred)]
    loss = losses.get(identifier)
    if isinstance(loss, Loss):
        return loss
    name = identifier if isinstance(identifier, str) else object_name(loss)
    return LossFunctionWrapper(loss, name=name)


def make_metric(identifier: Any, y_true: Any, y_pred: Any) -> Metric:
    """Turn a name, a function or an object into a metric."""
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        metric = _AUTO_ACCURACY[kind_of_target(y_true, y_pred)](name=identifier)
    else:
        metric = metrics.get(identifier)
    name = identifier if isinstance(identifier, str) else object_name(metric)
    if not isinstance(metric, Metric):
        return MeanMetricWrapper(metric, name=name)
    metric.name = name
    return metric


class CompiledLoss:
    """The total loss of a model: one loss per output, weighted and added.

    Args:
        loss, loss_weights: as passed to `compile`.
    """

    def __init__(self, loss: Any, loss_weights: Any) -> None:
        self.loss = loss
        self.loss_weights = loss_weights
        self.terms: list[tuple[int, Loss, Any, Mean | None]] | None = None
        self.wanted: list[bool] = []

    @property
    def metrics(self) -> list[Mean]:
        return [tracker for *_, tracker in self.terms or [] if tracker is not None]

    def build(self, outputs: OutputMap, y: Any, y_pred: list[Any]) -> None:
        chosen = outputs.spread(self.loss, "loss")
        weights = outputs.spread(self.loss_weights, "loss_weights")
        self.wanted = [entry is not None for entry in chosen]
        y_true = outputs.targets(y, self.wanted)
        entries = []
        for i, (entry, weight) in enumerate(zip(chosen, weights, strict=True)):
            several = isinstance(entry, (list, tuple))
            for place, one in enumerate(entry if several else [entry]):
                if one is not None:
                    its_weight = weight[place] if isinstance(weight, (list, tuple)) else weight
                    entries.append((i, make_loss(one, y_true[i], y_pred[i]), its_weight))
        if isinstance(outputs.struct, dict) and isinstance(self.loss, dict):
            # As in Keras, the losses of a dict are listed in the dict's own order.
            rank = list(self.loss).index
            entries.sort(key=lambda entry: rank(outputs.keys[entry[0]]))
        track = len(entries) > 1
        names = self._names(outputs, entries)
        self.terms = [
            (i, loss, weight, Mean(name=f"{name}_loss") if track else None)
            for (i, loss, weight), name in zip(entries, names, strict=True)
        ]

    def _names(self, outputs: OutputMap, entries: list) -> list[str]:
        positions = [i for i, *_ in entries]
        names = []
        for i, loss, _ in entries:
            name = outputs.loss_names[i] or loss.name
            if positions.count(i) > 1:  # several losses on one output
                name = loss.name if outputs.count == 1 else f"{name}_{loss.name}"
            names.append(name)
        return names

    def __call__(self, outputs: OutputMap, y: Any, y_pred: Any, sample_weight: Any) -> Any:
        flat_pred = outputs.flat(y_pred)
        if self.terms is None:
            self.build(outputs, y, flat_pred)
        flat_true = outputs.targets(y, self.wanted)
        flat_weight = outputs.weights(sample_weight)
        total = None
        for i, loss, weight, tracker in self.terms or []:
            with explained("Loss", loss.name, getattr(loss, "fn", loss.call)):
                value = loss(flat_true[i], flat_pred[i], flat_weight[i])
            value = jnp.asarray(value, config.floatx())
            if tracker is not None:
                tracker.update_state(value, sample_weight=flat_pred[i].shape[0])
            value = value if weight is None else value * weight
            total = value if total is None else total + value
        return total


class CompiledMetrics:
    """The metrics of a model, each with its output and the name it has in the logs.

    Args:
        metrics, weighted_metrics: as passed to `compile`.
    """

    def __init__(self, metrics: Any, weighted_metrics: Any) -> None:
        for name, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if value is not None and not isinstance(value, (list, tuple, dict)):
                raise ValueError(
                    f"compile({name}=...): expected a list, tuple or dict, got {value!r} "
                    f"({type(value).__name__}). Write {name}=[{value!r}]."
                )
        self.user = (metrics, weighted_metrics)
        self.entries: list[tuple[int, Metric, str, bool]] | None = None

    @property
    def metrics(self) -> list[Metric]:
        return [metric for _, metric, *_ in self.entries or []]

    def build(self, outputs: OutputMap, y: Any, y_pred: list[Any]) -> None:
        entries: list[tuple[int, Metric, str, bool]] = []
        used: dict[str, int] = {}
        both = ("metrics", "weighted_metrics")
        chosen = [
            outputs.spread(value, name, per_output_lists=True)
            for value, name in zip(self.user, both, strict=True)
        ]
        wanted = [any(per_kind[i] for per_kind in chosen) for i in range(outputs.count)]
        y_true = outputs.targets(y, wanted)
        self.wanted = wanted
        for weighted, per_output in zip((False, True), chosen, strict=True):
            for i, given in enumerate(per_output):
                for one in tree.flatten(given) if tree.is_nested(given) else [given]:
                    if one is None:
                        continue
                    metric = make_metric(one, y_true[i], y_pred[i])
                    name = self._log_name(outputs, i, metric.name, weighted, used)
                    entries.append((i, metric, name, weighted))
        self.entries = entries

    def _log_name(
        self, outputs: OutputMap, i: int, name: str, weighted: bool, used: dict[str, int]
    ) -> str:
        """Prefix with the output where there are several; number what would clash."""
        prefix = f"{outputs.names[i]}_" if outputs.count > 1 and outputs.named else ""
        wanted = prefix + name
        if wanted in used and weighted:
            wanted = f"{prefix}weighted_{name}"
        used[wanted] = used.get(wanted, 0) + 1
        return wanted if used[wanted] == 1 else f"{wanted}_{used[wanted] - 1}"

    def update_state(self, outputs: OutputMap, y: Any, y_pred: Any, sample_weight: Any) -> None:
        flat_pred = outputs.flat(y_pred)
        if self.entries is None:
            self.build(outputs, y, flat_pred)
        flat_true = outputs.targets(y, self.wanted)
        flat_weight = outputs.weights(sample_weight)
        for i, metric, _, weighted in self.entries or []:
            weights = {"sample_weight": flat_weight[i]} if weighted else {}
            with explained("Metric", metric.name, getattr(metric, "fn", metric.update_state)):
                metric.update_state(flat_true[i], flat_pred[i], **weights)

    def result(self) -> dict[str, Any]:
        return {name: metric.result() for _, metric, name, _ in self.entries or []}
