"""The base of all metrics: state in Variables, tracked children, a pure face for compiled loops."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config, dtype_policies, initializers
from staghorn.engine.arguments import check_name
from staghorn.engine.dtypes import standardize_dtype
from staghorn.engine.naming import auto_name
from staghorn.engine.scope import functionalize
from staghorn.engine.serialization import Configurable, parameter_names
from staghorn.engine.spellings import name_first, say_once
from staghorn.engine.tracking import Tracker
from staghorn.engine.variable import Variable

__all__ = ["Metric"]

_NO_SUPER = """\
{name}: an attribute was set before `super().__init__()`, so nothing tracks the metric's state.
Begin the constructor with    super().__init__(name=name, dtype=dtype)"""


class Metric(Configurable):
    """Base class: a running figure over batches.

    Create state with `add_weight` in the constructor, change it in `update_state` and read it in
    `result`. Variables and metrics that are assigned to attributes are tracked.

    Args:
        dtype: type (or dtype policy) of the computation. Default: `floatx()`.
        name: label. Default: from the class name.

    Example:
        >>> class Largest(staghorn.metrics.Metric):
        ...     def __init__(self, name="largest", dtype=None):
        ...         super().__init__(name=name, dtype=dtype)
        ...         self.largest = self.add_weight(name="largest", initializer="zeros")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         error = abs(y_true - y_pred).max()
        ...         self.largest.assign(staghorn.ops.maximum(self.largest, error))
        ...     def result(self):
        ...         return self.largest.value
        >>> metric = Largest()
        >>> metric.update_state(np.array([1.0, 2.0]), np.array([1.5, 5.0]))
        >>> print(metric.result())
        3.0

    Notes: `update_state` runs inside the compiled training loop: use array operations of fixed
    shapes, and Python conditions only on shapes and constructor arguments. `reset_state` gives
    each variable its initial value (Keras gives it zero).
    """

    # Whether a larger result is better ("up"), a smaller one ("down"), or nobody can say (None);
    # read by EarlyStopping and ModelCheckpoint in mode "auto".
    _direction: str | None = None
    _variables: list[Variable]
    _metrics: "list[Metric]"
    _initial_values: dict[int, np.ndarray]
    _tracker: Tracker

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        check_name(type(self).__name__, name)
        variables: list[Variable] = []
        metrics: list[Metric] = []
        tracker = Tracker(
            {
                "variables": (lambda x: isinstance(x, Variable), variables),
                "metrics": (lambda x: isinstance(x, Metric), metrics),
            }
        )
        object.__setattr__(self, "_variables", variables)
        object.__setattr__(self, "_metrics", metrics)
        object.__setattr__(self, "_initial_values", {})
        object.__setattr__(self, "_tracker", tracker)
        self.name = name or auto_name(type(self).__name__)
        self.dtype = dtype_policies.get(dtype or config.floatx()).compute_dtype

    def __setattr__(self, name: str, value: Any) -> None:
        tracker = self.__dict__.get("_tracker")
        if tracker is None and isinstance(value, (Variable, Metric)):
            raise RuntimeError(_NO_SUPER.format(name=type(self).__name__))
        object.__setattr__(self, name, value if tracker is None else tracker.track(value))

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """Create a state variable.

        Args:
            shape: its shape. Default: ().
            initializer: name, object or function that fills it. Default: zeros.
            dtype: its type. Default: `floatx()`.
            aggregation: how replicas would be combined (kept as a label). Default: "sum".
            name: label. Default: None.

        Example:
            >>> metric = staghorn.metrics.Mean()
            >>> metric.add_variable((2,), name="extra").shape
            (2,)
        """
        if "_tracker" not in self.__dict__:
            raise RuntimeError(_NO_SUPER.format(name=type(self).__name__))
        dtype = standardize_dtype(dtype)
        # Metrics may be sized while JAX traces for shapes, and a host copy of the start is kept
        # because the array itself is given away to compiled loops.
        with jax.ensure_compile_time_eval():
            initializer = initializers.get("zeros" if initializer is None else initializer)
            initial = np.array(initializer(tuple(shape), dtype=dtype))
        variable = Variable(
            initial,
            dtype=dtype,
            trainable=False,
            aggregation=aggregation,
            synchronization="on_read",
            name=name,
        )
        owner = self.name.replace("/", ">")
        variable.path = f"{variable.path.removesuffix(variable.name)}{owner}/{variable.name}"
        if initial.any():
            self._initial_values[id(variable)] = initial
        self._tracker.track(variable)
        return variable

    @name_first
    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """Create a state variable: another name of `add_variable`.

        Args:
            shape: its shape. Default: ().
            initializer: name, object or function that fills it. Default: zeros.
            dtype: its type. Default: `floatx()`.
            aggregation: how replicas would be combined (kept as a label). Default: "sum".
            name: label. Default: None.

        Example:
            >>> staghorn.metrics.Mean().add_weight(name="extra").shape
            ()
        """
        return self.add_variable(shape, initializer, dtype, aggregation, name)

    @property
    def variables(self) -> list[Variable]:
        """The state: own variables in order of creation, then those of nested metrics."""
        variables = list(self._variables)
        for metric in self._metrics:
            variables.extend(metric.variables)
        return variables

    def build(self, y_true_shape: Any, y_pred_shape: Any) -> None:
        """Create state whose size depends on the data; most metrics need none.

        Call it before compiling: variables cannot be created inside a compiled step.

        Args:
            y_true_shape: shape of the targets.
            y_pred_shape: shape of the predictions.

        Example:
            >>> metric = staghorn.metrics.R2Score()
            >>> metric.build((None, 3), (None, 3))
            >>> len(metric.variables)
            5
        """

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take in one batch; subclasses override this."""
        raise NotImplementedError(
            f"{type(self).__name__} has no `update_state`. Define "
            "update_state(self, y_true, y_pred, sample_weight=None)."
        )

    def result(self) -> Any:
        """Return the figure over all batches so far; subclasses override this."""
        raise NotImplementedError(
            f"{type(self).__name__} has no `result`. Define result(self) and return a scalar."
        )

    def reset_state(self) -> None:
        """Start again: give every variable its initial value."""
        for variable in self._variables:
            initial: Any = self._initial_values.get(id(variable))
            if initial is None:
                initial = jnp.zeros(variable.shape, variable.dtype)
            variable.assign(initial)
        for metric in self._metrics:
            metric.reset_state()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take in one batch and return the figure so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def stateless_update_state(
        self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any
    ) -> list[Any]:
        """Return the state after one batch; nothing changes in place.

        Args:
            metric_variables: values in the order of `variables`.
            *args: what `update_state` takes.
            **kwargs: what `update_state` takes.

        Example:
            >>> metric = staghorn.metrics.Sum()
            >>> state = metric.stateless_update_state([np.float32(1.0)], np.array([2.0, 3.0]))
            >>> print(state[0], metric.result())
            6.0 0.0
        """
        self._check_count(metric_variables)
        pure = functionalize(self.update_state, self.variables)
        return pure(metric_variables, *args, **kwargs)[1]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """Return the figure for a given state.

        Args:
            metric_variables: values in the order of `variables`.

        Example:
            >>> print(staghorn.metrics.Sum().stateless_result([np.float32(1.0)]))
            1.0
        """
        self._check_count(metric_variables)
        return functionalize(self.result, self.variables)(metric_variables)[0]

    def reset_states(self) -> None:
        """Begin anew, as tf.keras wrote it: `reset_state`."""
        say_once("metric.reset_states()", "metric.reset_state()")
        self.reset_state()

    def stateless_reset_state(self) -> list[Any]:
        """Return the initial state.

        Example:
            >>> print(staghorn.metrics.Sum().stateless_reset_state()[0])
            0.0
        """
        placeholders = [jnp.zeros(v.shape, v.dtype) for v in self.variables]
        return functionalize(self.reset_state, self.variables)(placeholders)[1]

    def _check_count(self, metric_variables: Sequence[Any]) -> None:
        expected = len(self.variables)
        if len(metric_variables) != expected:
            raise ValueError(
                f"{type(self).__name__}: metric_variables must hold {expected} values, one for "
                f"each of .variables, got {len(metric_variables)}."
            )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        derived = super().get_config()
        # A user's class keeps the arguments it was given; its label and type belong to them.
        for key in {"name", "dtype"} & set(parameter_names(type(self))):
            derived[key] = getattr(self, key)
        return derived

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
