"""Gradient transformations of optax as optimizers."""

import inspect
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine.serialization import (
    custom_object_scope,
    get_registered_object,
    parameter_names,
)
from staghorn.engine.variable import Variable
from staghorn.optimizers.optimizer import Optimizer

_NOT_ONE = """\
OptaxOptimizer: transformation must be a gradient transformation of optax, got {value!r:.200}
({cls}).
Call its function:    OptaxOptimizer(optax.adam(1e-3))"""

_NO_RATE = """\
OptaxOptimizer: the learning rate is {where}, where callbacks cannot reach it. Write
    optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)
to read and change it, or give the transformation a schedule, optax.adam(schedule)."""

_SCHEDULED = """\
OptaxOptimizer: learning_rate={value!r} cannot be assigned, because a schedule inside the
transformation sets it. Write optax.inject_hyperparams(optax.adam)(learning_rate=1e-3) instead."""

_NOT_IN_FILE = """\
OptaxOptimizer '{name}': files hold the state of an optax transformation, not its code. Pass it,
    load_model(path, custom_objects={{"transformation": optax.adam(1e-3)}})
or load without it, and give the optimizer its state afterwards:
    model = load_model(path, compile=False)
    model.compile(optimizer=optax.adam(1e-3), ...)
    model.load_weights(path)"""

_OTHER = """\
OptaxOptimizer '{name}': this is not the transformation that was saved: its state is
{own}; saved was {saved}. Pass the same one."""

_MISSING = """\
OptaxOptimizer: the transformation asks for more than gradients ({error}).
`fit` passes value=, the loss. In a train_step of your own, and where a LossScaleOptimizer stands
around, pass it on:    self.optimizer.apply(gradients, variables, value=loss)
A line search evaluates the loss several times in a step: use optax.lbfgs(0.1, linesearch=None)."""

_NO_STATE = """\
OptaxOptimizer: the transformation made no state for these variables: {names}.
Masks and labels are for nested dicts of these names; give layers names of their own, or write a
function of the tree: jax.tree_util.tree_map_with_path.
{error}"""

_CHANGED = """\
OptaxOptimizer: the transformation's update returned a state of another structure than its init.
init:   {old}
update: {new}"""

_DECAYS = """\
OptaxOptimizer: weight decay is in the transformation. Write there which weights it leaves alone:
    optax.adamw(1e-3, mask=lambda tree: jax.tree.map(lambda p: p.ndim > 1, tree))"""


def is_transformation(value: Any) -> bool:
    """Return whether a value is a gradient transformation, which `init` and `update` make it.

    Example:
        >>> from staghorn.optimizers.optax_optimizer import is_transformation
        >>> is_transformation(staghorn.optimizers.SGD())
        False
    """
    own = isinstance(value, (type, Optimizer))
    return not own and all(callable(getattr(value, name, None)) for name in ("init", "update"))


def tree_paths(paths: Sequence[str]) -> list[tuple[str, ...]]:
    """Return where in a tree of names each variable stands; equal paths are numbered.

    What begins all paths is left out: a model's name, which paths lack in a model from a file.

    Example:
        >>> from staghorn.optimizers.optax_optimizer import tree_paths
        >>> tree_paths(["net/dense/kernel", "net/w", "net/w"])
        [('dense', 'kernel'), ('w',), ('w_1',)]
    """
    parts = [tuple(path.split("/")) for path in paths]
    while parts and len({path[0] for path in parts}) == 1 and min(map(len, parts)) > 1:
        parts = [path[1:] for path in parts]
    branches = {path[:i] for path in parts for i in range(1, len(path))}
    taken: list[tuple[str, ...]] = []
    for path in parts:
        *outer, last = path
        number = 0
        while path in taken or path in branches:
            number += 1
            path = (*outer, f"{last}_{number}")
        taken.append(path)
    return taken


def _nested(paths: Sequence[tuple[str, ...]], values: Sequence[Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for (*outer, last), value in zip(paths, values, strict=True):
        branch = tree
        for part in outer:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return tree


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def _key(entry: Any) -> Any:
    """Return the name or number in one step of JAX's path to a leaf."""
    return getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", None)))


def _owner(
    keys: tuple[Any, ...], owners: Mapping[tuple[str, ...], int]
) -> tuple[tuple[Any, ...], int]:
    """Return the place of a leaf of the state without its variable's path, and the variable.

    The variable is -1 for what belongs to none, as counts do.
    """
    for size in sorted({len(path) for path in owners}, reverse=True):
        for start in range(len(keys) - size, -1, -1):
            found = owners.get(keys[start : start + size])
            if found is not None:
                return (*keys[:start], *keys[start + size :]), found
    return keys, -1


class OptaxOptimizer(Optimizer):
    """An optimizer whose rule is a gradient transformation of optax.

    gradients, variables: the same shapes
    u, state ← transformation.update(gradients, state, p);  p ← p + u

    `compile(optimizer=optax.lion(1e-4))` makes one; write the class to add what stands around the
    rule (averages, accumulation, a name). The state lives in Variables: it is compiled, saved and
    resumed like that of any optimizer.

    The transformation sees the variables as nested dicts by the parts of their paths, without what
    begins all of them (the model's name): `{"dense": {"kernel": ..., "bias": ...}, ...}`.
    That is what a mask of `optax.masked` or the labels of `optax.multi_transform` are written for.

    - **Learning rate**: with `optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)` the
      attribute `learning_rate` is there once the optimizer is built, so that LearningRateScheduler
      and ReduceLROnPlateau work. Otherwise it is a constant or schedule inside the transformation,
      and these callbacks say so.
    - **Files** hold weights and state, not the transformation. Give it when loading:
      `load_model(path, custom_objects={"transformation": optax.lion(1e-4)})`, where the
      optimizer's `name` may stand for "transformation" if there are several. Or load with
      `compile=False`, compile, and `model.load_weights(path)`: that restores the state, too. `fit`
      with BackupAndRestore or `resume=path` takes the transformation of the compiled model.
    - **The loss** is passed as `value=` to transformations that take it (`reduce_on_plateau`). A
      custom step passes it on: `optimizer.apply(gradients, variables, value=loss)`.

    Args:
        transformation: an `optax.GradientTransformation`, or any object with its `init(params)`
            and `update(updates, state, params)`.
        use_ema, ema_momentum, ema_overwrite_frequency, loss_scale_factor,
            gradient_accumulation_steps, name: as in `Optimizer`.

    Raises:
        ValueError: if the transformation is none; when it is used, if it needs arguments that it
            does not get.
        AttributeError: for `learning_rate`, where there is none.

    Example:
        >>> import optax
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(1)])
        >>> clipped = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
        >>> model.compile(optimizer=clipped, loss="mse")
        >>> history = model.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=0)
        >>> int(model.optimizer.iterations)
        1

    Notes: Keras has no such class. A variable without a gradient is left alone with its part of
    the state, as by other optimizers; optax itself would have no word for it. Two models whose
    layers have other names can differ in the last bit, since optax sums in the order of names.

    Reference:
        https://optax.readthedocs.io
    """

    _updated: list[Variable]
    _structure: Any

    def __init__(
        self,
        transformation: Any,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        if not is_transformation(transformation):
            cls = type(transformation).__name__
            raise ValueError(_NOT_ONE.format(value=transformation, cls=cls))
        super().__init__(
            None,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
        )
        self.transformation = transformation
        kinds = inspect.signature(transformation.update).parameters.values()
        self._takes_more = any(p.kind is p.VAR_KEYWORD or p.name == "value" for p in kinds)
        self._more: dict[str, Any] = {}
        self._groups: list[str] | None = None  # what the state is made of, once it is built
        self._saved_groups: list[str] | None = None

    def _make_learning_rate(self, learning_rate: Any) -> None:
        return None

    # ---- state ---------------------------------------------------------------------------------

    def _build_slots(self, variables: list[Variable]) -> None:
        chosen = [v for v in variables if not self._overwrite_variable_with_gradient(v)]
        self._slots = [{} for _ in variables]
        self.__dict__["_updated"] = chosen  # past __setattr__: they are not the optimizer's
        self._paths = tree_paths([v.path for v in chosen])
        with jax.ensure_compile_time_eval():  # building happens while a step is traced
            state = self._first_state(_nested(self._paths, [v.stored for v in chosen]))
            found, self._structure = jax.tree_util.tree_flatten_with_path(state)
            leaves = [self._plain(jnp.asarray(leaf)) for _, leaf in found]
        self._key_kinds = [
            str(jax.random.key_impl(leaf)) if _is_key(leaf) else None for _, leaf in found
        ]
        keys = [tuple(_key(entry) for entry in path) for path, _ in found]
        owners = {path: i for i, path in enumerate(self._paths)}
        places = [_owner(path, owners) for path in keys]
        self._owners = [owner for _, owner in places]
        groups = list(dict.fromkeys(place for place, _ in places))
        self._groups = ["_".join(map(str, group)) for group in groups]
        if self._saved_groups not in (None, self._groups):
            raise ValueError(
                _OTHER.format(name=self.name, own=self._groups, saved=self._saved_groups)
            )
        # Files must not depend on names of layers, by which JAX sorts dicts.
        made: dict[int, Variable] = {}
        for i in sorted(range(len(keys)), key=lambda i: (groups.index(places[i][0]), places[i][1])):
            name = "_".join(map(str, keys[i])).replace("/", "_") or "state"
            leaf = np.array(leaves[i])
            made[i] = self.add_variable(leaf.shape, leaf, leaf.dtype, name=name)
        self._state = [made[i] for i in range(len(keys))]
        self._rates = [made[i] for i, k in enumerate(keys) if k[-2:] == ("hyperparams", _RATE)]
        self._scheduled = any(
            pair == ("hyperparams_states", _RATE)
            for path in keys
            for pair in itertools.pairwise(path)
        )

    def _first_state(self, params: Any) -> Any:
        try:
            return self.transformation.init(params)
        except (ValueError, KeyError, TypeError) as error:
            names = ", ".join("/".join(path) for path in self._paths)
            raise ValueError(_NO_STATE.format(error=error, names=names)) from error

    def _plain(self, leaf: jax.Array) -> jax.Array:
        return jax.random.key_data(leaf) if _is_key(leaf) else leaf

    def _present_state(self) -> Any:
        values = [
            variable.value if kind is None else jax.random.wrap_key_data(variable.value, impl=kind)
            for variable, kind in zip(self._state, self._key_kinds, strict=True)
        ]
        return jax.tree.unflatten(self._structure, values)

    # ---- the rule ----------------------------------------------------------------------------

    def apply(
        self,
        grads: Sequence[Any],
        trainable_variables: Sequence[Variable] | None = None,
        **more: Any,
    ) -> None:
        """Update variables from their gradients.

        Args:
            grads: list of arrays, None where the loss does not depend on the variable.
            trainable_variables: their variables. Default: those of `build`, in order.
            **more: handed to the transformation's `update`, as `value=loss`.

        Example:
            >>> import optax
            >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
            >>> optimizer = staghorn.optimizers.OptaxOptimizer(optax.sgd(0.5))
            >>> optimizer.apply([np.ones(1, "float32")], [w])
            >>> w.numpy().tolist()
            [0.5]
        """
        self._more = more
        try:
            super().apply(grads, trainable_variables)
        finally:
            self._more = {}  # they are values of one trace

    def _of_the_loss(self, loss: Any) -> dict[str, Any]:
        return {"value": loss} if self._takes_more else {}

    def _decay_and_update(self, gradients: list[jax.Array], variables: list[Variable]) -> None:
        given = {id(v): g for g, v in zip(gradients, variables, strict=True)}
        values = [v.value for v in self._updated]
        grads = [
            given[id(v)] if id(v) in given else jnp.zeros_like(p)
            for v, p in zip(self._updated, values, strict=True)
        ]
        try:
            updates, state = self.transformation.update(
                _nested(self._paths, grads),
                self._present_state(),
                _nested(self._paths, values),
                **self._more,
            )
        except TypeError as error:
            if "required keyword-only argument" not in str(error):
                raise
            raise ValueError(_MISSING.format(error=error)) from error
        leaves, structure = jax.tree.flatten(state)
        if structure != self._structure:
            raise ValueError(_CHANGED.format(old=self._structure, new=structure))
        for variable, p, path in zip(self._updated, values, self._paths, strict=True):
            if id(variable) in given:
                u = jnp.asarray(_at(updates, path))
                wide = jnp.promote_types(p.dtype, u.dtype)
                variable.assign((p.astype(wide) + u.astype(wide)).astype(p.dtype))
        for slot, leaf, owner in zip(self._state, leaves, self._owners, strict=True):
            if owner < 0 or id(self._updated[owner]) in given:
                slot.assign(self._plain(jnp.asarray(leaf)))

    def exclude_from_weight_decay(
        self,
        var_list: Sequence[Variable] | None = None,
        var_names: Sequence[str] | None = None,
    ) -> None:
        """Raise: weight decay belongs to the transformation."""
        raise ValueError(_DECAYS)

    # ---- learning rate -----------------------------------------------------------------------

    def _rate(self) -> Variable:
        if not self.built:
            where = "known once the optimizer is built, optimizer.build(model.trainable_variables)"
            where += " (`fit` does that), unless it is inside the transformation"
        elif len(self._rates) != 1:
            where = "inside the transformation"
            where += f", which has {len(self._rates)} of them" if self._rates else ""
        else:
            return self._rates[0]
        raise AttributeError(_NO_RATE.format(where=where))

    @property
    def learning_rate(self) -> Any:
        """The Variable that `optax.inject_hyperparams` reads the learning rate from."""
        return self._rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        rate = self._rate()
        if self._scheduled:
            raise TypeError(_SCHEDULED.format(value=value))
        rate.assign(value)

    # ---- config ------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the arguments in JSON form; of the transformation, what its state is made of."""
        names = [name for name in parameter_names(type(self)) if name != "transformation"]
        return {"transformation": self._groups, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Build an optimizer from what `get_config` returned, and a transformation.

        Args:
            config: dict of constructor arguments.
            custom_objects: dict; "transformation", or the optimizer's name, → the transformation.

        Raises:
            ValueError: if it is not there.

        Example:
            >>> import optax
            >>> config = staghorn.optimizers.get(optax.sgd(0.5)).get_config()
            >>> again = staghorn.optimizers.OptaxOptimizer.from_config(
            ...     config, {"transformation": optax.sgd(0.5)})
            >>> again.use_ema
            False
        """
        with custom_object_scope(custom_objects or {}):
            names = (str(config.get("name")), "transformation")
            found = [get_registered_object(name) for name in names]
        given = [value for value in found if is_transformation(value)]
        if not given:
            raise ValueError(_NOT_IN_FILE.format(name=config.get("name")))
        optimizer = cls(**{**config, "transformation": given[0]})
        optimizer._saved_groups = config.get("transformation")
        return optimizer


def transformations(optimizer: Any) -> dict[str, Any]:
    """Return name → transformation of an optimizer and those in it: what its config cannot hold.

    Example:
        >>> from staghorn.optimizers.optax_optimizer import transformations
        >>> transformations(staghorn.optimizers.SGD())
        {}
    """
    held = getattr(optimizer, "inner_optimizer", optimizer)  # LossScaleOptimizer
    several = getattr(held, "optimizers", [held])
    return {o.name: o.transformation for o in several if isinstance(o, OptaxOptimizer)}


_RATE = "learning_rate"


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
