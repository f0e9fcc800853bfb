"""What an optimizer owns: its variables, its learning rate, its config, its saved state."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Self

import numpy as np

from staghorn import config, initializers
from staghorn.engine.dtypes import standardize_dtype
from staghorn.engine.serialization import (
    Configurable,
    config_value,
    custom_object_scope,
    is_builtin,
    parameter_names,
    recorded_arguments,
)
from staghorn.engine.spellings import say_once
from staghorn.engine.variable import Variable
from staghorn.optimizers import messages, schedules
from staghorn.optimizers.schedules import InverseTimeDecay, LearningRateSchedule

# Constructor arguments that every optimizer has; their attributes are the truth.
BASE_PARAMETERS = (
    "learning_rate",
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "name",
)


def _variables_in(value: Any) -> list[Variable]:
    if isinstance(value, Variable):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [variable for item in value for variable in _variables_in(item)]
    return []


class OptimizerState(Configurable):
    """The part of `Optimizer` that owns variables; what is assigned to an attribute is owned.

    The order of `variables` is the file format's: counter, learning rate, then as created.
    """

    name: str
    built: bool
    _variables: dict[int, Variable]
    gradient_accumulation_steps: int | None
    _iterations: Variable
    _learning_rate: Any
    # The old argument: the rate that is assigned is divided by 1 + decay * iterations.
    _decay: float = 0.0

    def __init__(self, name: str) -> None:
        self.__dict__["_variables"] = {}  # id → Variable; __setattr__ adds to it from here on
        self._index: dict[int, int] = {}  # id of a model's variable → its position
        self._trainable_variables: list[Variable] = []
        self.name = name
        self.built = False

    def __setattr__(self, name: str, value: Any) -> None:
        if "_variables" not in self.__dict__:
            raise RuntimeError(messages.NO_SUPER.format(cls=type(self).__name__))
        for variable in _variables_in(value):
            self._track(variable)
        super().__setattr__(name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A copy (deepcopy, pickle) has other variables, hence other ids.
        self.__dict__.update(state)
        self.__dict__["_variables"] = {id(v): v for v in self._variables.values()}
        self._set_trainable(self._trainable_variables)

    def _track(self, variable: Variable) -> None:
        self._variables.setdefault(id(variable), variable)

    def _set_trainable(self, variables: list[Variable]) -> None:
        # Past __setattr__: the model's variables are not the optimizer's.
        self.__dict__["_trainable_variables"] = variables
        self._index = {id(variable): i for i, variable in enumerate(variables)}

    @property
    def variables(self) -> list[Variable]:
        """The optimizer's own variables, in the order of the file format."""
        return [v for key, v in self._variables.items() if key not in self._index]

    @property
    def _stored_variables(self) -> list[Variable]:
        """What files hold: with `decay` the rate is a schedule there, and in the config alone."""
        return [v for v in self.variables if not (self._decay and v is self._learning_rate)]

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str | None = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Create a variable that belongs to the optimizer.

        Args:
            shape: tuple of ints.
            initializer: name, `Initializer`, callable `(shape, dtype)`, or array. Default: zeros.
            dtype: data type. Default: `floatx()`.
            aggregation: accepted for Keras's sake. Default: "none".
            layout: accepted for Keras's sake. Default: None.
            name: string. Default: `variable`, `variable_1`, ...

        Example:
            >>> optimizer = staghorn.optimizers.SGD(0.1, name="sgd")
            >>> optimizer.add_variable((2,), name="memory").path
            'sgd/memory'
        """
        del layout
        if isinstance(initializer, (str, dict)):
            initializer = initializers.get(initializer)
        variable = Variable(
            initializer,
            shape=tuple(shape),
            dtype=standardize_dtype(dtype),
            trainable=False,
            aggregation=aggregation,
            name=name,
        )
        variable.path = f"{self.name}/{variable.name}"
        self._track(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """Create a variable with the shape and type of a model's variable.

        Args:
            reference_variable: the model's variable.
            name: string, appended to the path of the model's variable. Default: "var".
            initializer: as in `add_variable`. Default: zeros.

        Example:
            >>> w = staghorn.Variable(np.zeros((2, 3), "float32"), name="w")
            >>> optimizer = staghorn.optimizers.SGD(0.1, name="sgd")
            >>> optimizer.add_variable_from_reference(w, "momentum").path
            'sgd/w_momentum'
        """
        if isinstance(initializer, str) and initializer == "zeros":
            initializer = np.zeros(reference_variable.shape, reference_variable.dtype)
        return self.add_variable(
            reference_variable.shape,
            initializer,
            reference_variable.dtype,
            name=f"{reference_variable.path.replace('/', '_')}_{name or 'var'}",
        )

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """Create one variable per model variable and name; None where a gradient overwrites.

        Args:
            trainable_variables: the model's variables.
            name: string, or a list of them.
            initializer: one for all names, or a list. Default: zeros.

        Returns:
            A list, or a tuple of lists when `name` is a list.

        Example:
            >>> w = staghorn.Variable(np.zeros(3, "float32"), name="w")
            >>> optimizer = staghorn.optimizers.SGD(0.1, name="sgd")
            >>> m, v = optimizer.add_optimizer_variables([w], ["momentum", "velocity"])
            >>> m[0].path, v[0].path
            ('sgd/w_momentum', 'sgd/w_velocity')
        """
        names = [name] if isinstance(name, str) else list(name)
        given = isinstance(initializer, (list, tuple))
        starts = list(initializer) if given else [initializer] * len(names)
        if len(starts) != len(names):
            raise ValueError(
                f"{type(self).__name__}: add_optimizer_variables needs one initializer per name, "
                f"got {len(starts)} for names {names}."
            )
        made: tuple[list, ...] = tuple([] for _ in names)
        for variable in trainable_variables:
            for column, slot, start in zip(made, names, starts, strict=True):
                skip = self._overwrite_variable_with_gradient(variable)
                column.append(
                    None if skip else self.add_variable_from_reference(variable, slot, start)
                )
        return made[0] if isinstance(name, str) else made

    def _get_variable_index(self, variable: Variable) -> int:
        return self._index[id(variable)]

    def _overwrite_variable_with_gradient(self, variable: Variable) -> bool:
        return variable.overwrite_with_gradient

    def assign(self, variable: Variable, value: Any) -> None:
        """Give a variable a new value (for use in `update_step`)."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Add to a variable (for use in `update_step`)."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtract from a variable (for use in `update_step`)."""
        variable.assign_sub(value)

    # ---- learning rate -----------------------------------------------------------------------

    def _make_learning_rate(self, learning_rate: Any) -> Any:
        named = getattr(learning_rate, "name", None) == messages.DECAY_NAME
        if named and isinstance(learning_rate, InverseTimeDecay):
            self._decay = learning_rate.decay_rate
            learning_rate = learning_rate.initial_learning_rate
        if isinstance(learning_rate, Variable) or callable(learning_rate):
            return learning_rate
        value = messages.as_learning_rate(type(self).__name__, learning_rate)
        return self.add_variable((), value, config.floatx(), name="learning_rate")

    @property
    def learning_rate(self) -> Any:
        """The Variable that holds the learning rate, or the schedule's present value.

        Assigning a number takes effect at the next step without compiling anything again.

        Example:
            >>> optimizer = staghorn.optimizers.SGD(0.5)
            >>> optimizer.learning_rate = 0.25
            >>> float(optimizer.learning_rate)
            0.25
        """
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self._iterations.value)
        if isinstance(self._learning_rate, Variable):
            return self._learning_rate
        return self._learning_rate()

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        cls, old = type(self).__name__, self._learning_rate
        if callable(learning_rate) and not isinstance(learning_rate, Variable):
            if self.built:
                raise TypeError(messages.SCHEDULE_TOO_LATE.format(cls=cls))
            self._learning_rate = learning_rate
            self._variables.pop(id(old), None)
        elif isinstance(old, Variable):
            old.assign(messages.as_learning_rate(cls, learning_rate))
        else:
            raise TypeError(
                messages.SCHEDULED.format(cls=cls, value=learning_rate, schedule=type(old).__name__)
            )

    @property
    def lr(self) -> Any:
        """The old name of `learning_rate`."""
        say_once("optimizer.lr", "optimizer.learning_rate")
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        say_once("optimizer.lr", "optimizer.learning_rate")
        self.learning_rate = value

    @property
    def iterations(self) -> Any:
        """How many updates were made; with gradient accumulation, `apply` counts a fraction."""
        if self.gradient_accumulation_steps:
            return self._iterations.value // self.gradient_accumulation_steps
        return self._iterations

    # ---- config ------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments in JSON form; the learning rate as it is now."""
        cls = type(self)
        given = {} if is_builtin(cls) else recorded_arguments(self)
        values: dict[str, Any] = {}
        for name in parameter_names(cls):
            if name == "learning_rate":
                values[name] = self._learning_rate_config()
            elif name in BASE_PARAMETERS or name not in given:
                if hasattr(self, name):
                    values[name] = config_value(getattr(self, name))
            else:
                values[name] = config_value(given[name])
        return values

    def _learning_rate_config(self) -> Any:
        rate = self._learning_rate
        if isinstance(rate, Variable):
            rate = float(rate)
        if self._decay:
            rate = InverseTimeDecay(rate, 1, self._decay, name=messages.DECAY_NAME)
        return config_value(rate)

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Build an optimizer from what `get_config` returned.

        Args:
            config: dict of constructor arguments.
            custom_objects: name → class, for a schedule of your own. Default: None.

        Example:
            >>> config = staghorn.optimizers.SGD(0.5, momentum=0.9).get_config()
            >>> staghorn.optimizers.SGD.from_config(config).momentum
            0.9
        """
        rate = config.get("learning_rate")
        with custom_object_scope(custom_objects or {}):
            if isinstance(rate, dict) and rate.get("class_name") != "function":
                config = {**config, "learning_rate": schedules.deserialize(rate)}
            return super().from_config(config)

    # ---- files -------------------------------------------------------------------------------

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Give all of the optimizer's variables new values.

        Args:
            weights: list of arrays in the order of `variables`.

        Raises:
            ValueError: if their number or a shape does not fit.

        Example:
            >>> optimizer = staghorn.optimizers.SGD(0.5)
            >>> optimizer.build([])
            >>> optimizer.set_weights([np.array(7), np.array(0.25)])
            >>> int(optimizer.iterations), float(optimizer.learning_rate)
            (7, 0.25)
        """
        if not self.built:
            raise ValueError(
                messages.NOT_BUILT.format(cls=type(self).__name__, call="set_weights(...)")
            )
        self.load_own_variables({str(i): weight for i, weight in enumerate(weights)})

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Write the variables into a dict-like store, under "0", "1", ...

        Example:
            >>> store = {}
            >>> staghorn.optimizers.SGD(0.5).save_own_variables(store)
            >>> sorted(store)
            ['0', '1']
        """
        for i, variable in enumerate(self._stored_variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Read the variables from a store; all of them fit, or none is loaded.

        Args:
            store: what `save_own_variables` wrote.

        Raises:
            ValueError: if their number or a shape does not fit (Keras warns and starts anew).

        Example:
            >>> optimizer = staghorn.optimizers.SGD(0.5)
            >>> optimizer.load_own_variables({"0": np.array(7), "1": np.array(0.25)})
            >>> int(optimizer.iterations), float(optimizer.learning_rate)
            (7, 0.25)
        """
        variables = self._stored_variables
        saved = {int(key): np.asarray(store[key]) for key in store}
        unslotted = [v for v in variables if v.name in ("iteration", "learning_rate")]
        if len(saved) == len(unslotted) and int(self.iterations) == int(saved[0]) == 0:
            # The file was written before the first step: there is no state to lose.
            variables = unslotted
        problems = []
        if sorted(saved) != list(range(len(variables))):
            problems.append(
                f"It holds {len(saved)} arrays; this optimizer has {len(variables)} variables."
            )
        problems += [
            f"Array {i} has shape {saved[i].shape}; '{v.path}' has shape {v.shape}."
            for i, v in enumerate(variables)
            if i in saved and saved[i].shape != v.shape
        ]
        if problems:
            self._refuse(problems)
        for i, variable in enumerate(variables):
            variable.assign(saved[i])

    def _refuse(self, problems: list[str]) -> None:
        advice = (
            "Load it into the same optimizer and model as it was saved from, or load the model's "
            "weights only and train with a fresh optimizer."
            if self.built
            else "Build the optimizer first: optimizer.build(model.trainable_variables)."
        )
        raise ValueError(
            messages.BAD_STATE.format(
                cls=type(self).__name__, name=self.name, problems="\n".join(problems), advice=advice
            )
        )
