"""Several optimizers for one model, each for its part of the variables."""

import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, Self

from staghorn.engine.serialization import (
    custom_object_scope,
    deserialize_keras_object,
    serialize_keras_object,
)
from staghorn.engine.variable import Variable
from staghorn.optimizers.loss_scale import LossScaleOptimizer
from staghorn.optimizers.optimizer import Optimizer


def _checked(optimizer: Any, owner: str, what: str) -> Optimizer:
    wrapper = isinstance(optimizer, (LossScaleOptimizer, MultiOptimizer))
    if wrapper or not isinstance(optimizer, Optimizer):
        raise ValueError(
            f"{owner}: {what} must be an Optimizer, not one that wraps others, "
            f"got {optimizer!r} ({type(optimizer).__name__})."
        )
    return optimizer


class OptimizerMap(MutableMapping):
    """Which optimizer a variable gets, by its path.

    A key is a path or a regular expression that a path matches as a whole: `"encoder/.*"`.

    Args:
        default_optimizer: for the variables that no key fits.
        optimizer_map: dict, key → optimizer. Default: None, empty.

    Raises:
        ValueError: for what is no optimizer, for a key that is there already, and, on looking one
            up, for a path that several keys fit.

    Example:
        >>> optimizers = staghorn.optimizers
        >>> table = optimizers.OptimizerMap(optimizers.SGD(0.1))
        >>> table["encoder/.*"] = optimizers.Adam()
        >>> type(table["encoder/dense/kernel"]).__name__, type(table["head/kernel"]).__name__
        ('Adam', 'SGD')
    """

    def __init__(
        self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None
    ) -> None:
        self._default = _checked(default_optimizer, "OptimizerMap", "default_optimizer")
        self._optimizer_map: dict[str, Optimizer] = {}
        if not isinstance(optimizer_map, dict | None):
            raise ValueError(f"OptimizerMap: optimizer_map must be a dict, got {optimizer_map!r}.")
        self.update(optimizer_map or {})

    @property
    def default_optimizer(self) -> Optimizer:
        """The optimizer of the variables that no key fits."""
        return self._default

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._optimizer_map:
            return self._optimizer_map[key]
        fitting = [pattern for pattern in self._optimizer_map if re.fullmatch(pattern, key)]
        if len(fitting) > 1:
            raise ValueError(f"OptimizerMap: {key!r} fits several keys: {fitting}.")
        return self._optimizer_map[fitting[0]] if fitting else self._default

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if not isinstance(key, str) or key in self._optimizer_map:
            raise ValueError(f"OptimizerMap: a key must be a new str, got {key!r}.")
        self._optimizer_map[key] = _checked(optimizer, "OptimizerMap", repr(key))

    def __delitem__(self, key: str) -> None:
        del self._optimizer_map[key]

    def __len__(self) -> int:
        return len(self._optimizer_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizer_map)

    def __call__(self, variable: Variable) -> Optimizer:
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments in JSON form."""
        return {
            "default_optimizer": serialize_keras_object(self._default),
            "optimizer_map": serialize_keras_object(self._optimizer_map),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Build a map from what `get_config` returned."""
        with custom_object_scope(custom_objects or {}):
            return cls(*(deserialize_keras_object(value) for value in config.values()))


class MultiOptimizer(Optimizer):
    """Give each variable to the optimizer that a map or function names for it.

    gradients, variables: the same shapes        each pair → the step of its own optimizer

    Args:
        optimizer_map: an `OptimizerMap`, or a function of a variable that returns an optimizer.
        loss_scale_factor: replaces that of all the optimizers. Default: None.
        name: string. Default: the class name in snake case.

    Raises:
        ValueError: on building, if an optimizer wraps others.

    Example:
        >>> w = staghorn.Variable(np.ones(1, "float32"), name="w")
        >>> b = staghorn.Variable(np.ones(1, "float32"), name="b")
        >>> slow, fast = staghorn.optimizers.SGD(0.1), staghorn.optimizers.SGD(0.5)
        >>> table = staghorn.optimizers.OptimizerMap(slow, {"b": fast})
        >>> optimizer = staghorn.optimizers.MultiOptimizer(table)
        >>> optimizer.apply([np.ones(1, "float32"), np.ones(1, "float32")], [w, b])
        >>> w.numpy().round(2).tolist(), b.numpy().tolist()
        ([0.8999999761581421], [0.5])

    Notes: it has no learning rate of its own; `optimizers` lists those that have.
    """

    _inner_optimizers: list[Optimizer]

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        self.__dict__["_inner_optimizers"] = []
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self._optimizer_map = optimizer_map
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in (*optimizer_map.values(), optimizer_map.default_optimizer):
                self._add(optimizer)
        self._parts: dict[int, Optimizer] = {}  # id of a variable → its optimizer

    def _add(self, optimizer: Optimizer) -> Optimizer:
        if not any(optimizer is known for known in self._inner_optimizers):
            self._inner_optimizers.append(_checked(optimizer, "MultiOptimizer", "each optimizer"))
            optimizer.loss_scale_factor = self.loss_scale_factor
        return optimizer

    def _build_slots(self, variables: list[Variable]) -> None:
        self._parts = {id(v): self._add(self._optimizer_map(v)) for v in variables}
        for optimizer, part in self._divided(variables):
            optimizer.build(part)

    def _divided(self, variables: Sequence[Variable]) -> list[tuple[Optimizer, list[Variable]]]:
        parts = [
            (inner, [v for v in variables if self._parts[id(v)] is inner])
            for inner in self._inner_optimizers
        ]
        return [(inner, part) for inner, part in parts if part]

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers that do the work."""
        return self._inner_optimizers

    @property
    def variables(self) -> list[Variable]:
        """Its own variables, then those of each optimizer."""
        return [*super().variables, *(v for inner in self.optimizers for v in inner.variables)]

    @property
    def loss_scale_factor(self) -> float | None:
        """What the loss is multiplied by; assigning it reaches all the optimizers."""
        return self.__dict__.get("_loss_scale_factor")

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self.__dict__["_loss_scale_factor"] = value
        for optimizer in self._inner_optimizers:
            optimizer.loss_scale_factor = value

    @property
    def learning_rate(self) -> Any:
        """There is none: each of `optimizers` has its own."""
        raise AttributeError("MultiOptimizer: learning_rate is that of each of its `optimizers`.")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise AttributeError("MultiOptimizer: assign learning_rate of each of its `optimizers`.")

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Hand each gradient to its variable's optimizer."""
        grads = list(grads)
        if not grads:
            return
        variables = self._check_variables(grads, trainable_variables)
        gradients = {id(v): g for g, v in zip(grads, variables, strict=True)}
        for optimizer, part in self._divided(variables):
            optimizer._multiply_rates(self._rate_factors)
            optimizer.apply([gradients[id(v)] for v in part], part)
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Give variables their final values, as their optimizers do."""
        for optimizer, part in self._divided(var_list):
            optimizer.finalize_variable_values(part)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments in JSON form."""
        return {
            "optimizer_map": serialize_keras_object(self._optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Build an optimizer from what `get_config` returned."""
        with custom_object_scope(custom_objects or {}):
            table = deserialize_keras_object(config["optimizer_map"])
            return cls(**{**config, "optimizer_map": table})
