"""JaxLayer and FlaxLayer: functions and modules written for JAX, as layers."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import random
from staghorn.engine.dtypes import is_float, standardize_dtype
from staghorn.engine.serialization import serialize_keras_object
from staghorn.engine.variable import Variable
from staghorn.layers.core import named_function
from staghorn.layers.elementwise import base_config
from staghorn.layers.layer import Layer

_NOTHING_GIVEN = """\
{name}: call_fn takes params or state, and neither they nor an init_fn that makes them were given.
Write {name}(call_fn, init_fn) or {name}(call_fn, params=...). A layer read from a config has no
params: give it an init_fn, so that its weights can be made, and then read from a file."""

_OTHER_STATE = """\
{name}: call_fn must return (outputs, new state), the state in the form of the one it was given.
It was given {given}, and returned {got}."""


class JaxLayer(Layer):
    """Use a function of parameters and inputs, written for JAX, as a layer.

    inputs, or a nest of them → whatever the function makes of them

    `call_fn` takes arguments of these names, in any order, all but `inputs` only if it needs them:

    - `params`: trained parameters, a pytree; here Variables hold them;
    - `state`: a pytree that is not trained. Then it returns `(outputs, new state)`;
    - `rng`: a key for `jax.random`, another one at each call; None at inference;
    - `inputs`: an array, or a nest of arrays;
    - `training`: bool.

    Args:
        call_fn: the function.
        init_fn: makes the first `params`, or `(params, state)` if `call_fn` takes a state, from
            `rng`, `inputs` (ones, of the shape the layer is built for; batch 1) and, if it takes
            it, `training=True`. Default: None.
        params: the first parameters. Default: None, what `init_fn` makes.
        state: the first state. Default: None, what `init_fn` makes.
        seed: int, for `rng`. Default: None, drawn from Python's `random`.
        native_serialization_platforms: kept in configs; it has no effect. Default: None.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a function with other arguments, if nothing says what the parameters are,
            or for a new state of another form.

    Example:
        >>> def start(rng, inputs):
        ...     return {"w": np.ones((inputs.shape[-1], 3), "float32")}
        >>> def apply(params, inputs):
        ...     return inputs @ params["w"]
        >>> layer = staghorn.layers.JaxLayer(apply, start)
        >>> layer(np.ones((2, 4), "float32")).shape, layer.params["w"].shape
        ((2, 3), (4, 3))

    Notes: a config holds the names of the functions: register them with
    `staghorn.saving.register_keras_serializable()` to save a model. Floats among the parameters
    get the layer's variable type; leaves that are no numbers stay what they are. Unlike in Keras,
    a layer may be built inside a model that is traced.
    """

    _untracked = frozenset({"params", "state"})  # their Variables are; JAX has to know the nests
    params: Any
    state: Any
    seed_generator: random.SeedGenerator | None = None

    def __init__(
        self,
        call_fn: Callable,
        init_fn: Callable | None = None,
        params: Any = None,
        state: Any = None,
        seed: int | None = None,
        native_serialization_platforms: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        known = ("params", "state", "rng", "inputs", "training")
        self.call_fn = call_fn
        self.init_fn = init_fn
        self.seed = seed
        self.native_serialization_platforms = native_serialization_platforms
        self._call_names = self._names("call_fn", call_fn, known)
        self._init_names = self._names("init_fn", init_fn, known[2:]) if init_fn else ()
        self._needs_values = bool({"params", "state"} & set(self._call_names))
        if self._needs_values and init_fn is None and params is None and state is None:
            raise ValueError(_NOTHING_GIVEN.format(name=type(self).__name__))
        if "rng" in self._call_names:
            self.seed_generator = random.SeedGenerator(seed)
        self.params = self._variables(params, trainable=True)
        self.state = self._variables(state, trainable=False)

    def _names(self, what: str, function: Any, known: tuple[str, ...]) -> tuple[str, ...]:
        if not callable(function):
            raise ValueError(
                f"{type(self).__name__}: {what} must be a callable, got {function!r} "
                f"({type(function).__name__})."
            )
        names = tuple(inspect.signature(function).parameters)
        wrong = [name for name in names if name not in known]
        if wrong or "inputs" not in names:
            raise ValueError(
                f"{type(self).__name__}: {what} must take 'inputs' and may take "
                f"{', '.join(known)}; got {', '.join(names) or 'no arguments'}. Wrap a function "
                "with other arguments: lambda params, inputs: f(params, *inputs)."
            )
        return names

    def _variables(self, values: Any, trainable: bool) -> Any:
        """Put a Variable in place of each number or array."""

        def made(value: Any) -> Any:
            number = isinstance(value, (bool, int, float, np.generic, np.ndarray, jax.Array))
            if not number:
                return value
            dtype = standardize_dtype(getattr(value, "dtype", type(value)))
            array = jnp.asarray(value)
            return self.add_weight(
                shape=array.shape,
                initializer=lambda shape, dtype=None: array.astype(dtype),
                dtype=None if is_float(dtype) else dtype,
                trainable=trainable and is_float(dtype),
            )

        return jax.tree.map(made, values)

    # Building ------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        if not self._needs_values or self.params is not None or self.state is not None:
            return
        with jax.ensure_compile_time_eval():  # weights outlive a trace they are made in
            given = {"inputs": _ones(input_shape), "training": True}
            if "rng" in self._init_names:
                given["rng"] = self._get_init_rng()
            made = self.init_fn(*(given[n] for n in self._init_names))  # type: ignore[misc]
        params, state = made if "state" in self._call_names else (made, None)
        self.params = self._variables(params, trainable=True)
        self.state = self._variables(state, trainable=False)

    def _get_init_rng(self) -> Any:
        """Return the keys for `init_fn`; subclasses may return a nest of them."""
        return random.draw_seed(None)

    def _get_call_rng(self, training: bool) -> Any:
        """Return the keys for `call_fn`; subclasses may return a nest, or keys at inference."""
        return self.seed_generator.next() if training and self.seed_generator else None

    # Calling -------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool = False) -> Any:
        given = {
            "params": jax.tree.map(_value, self.params),
            "state": jax.tree.map(_value, self.state),
            "inputs": inputs,
            "training": training,
        }
        if "rng" in self._call_names:
            given["rng"] = self._get_call_rng(training)
        result = self.call_fn(*(given[name] for name in self._call_names))
        if "state" not in self._call_names:
            return result
        form, pair = jax.tree.structure(self.state), isinstance(result, tuple) and len(result) == 2
        got = jax.tree.structure(result[1]) if pair else type(result).__name__
        if not pair or form != got:
            name = f"{type(self).__name__} '{self.name}'"
            raise ValueError(_OTHER_STATE.format(name=name, given=form, got=got))
        for kept, new in zip(jax.tree.leaves(self.state), jax.tree.leaves(result[1]), strict=True):
            if isinstance(kept, Variable):
                kept.assign(new)
        return result[0]

    def get_config(self) -> dict[str, Any]:
        return {
            **base_config(self),
            "call_fn": named_function(self, self.call_fn, "call_fn"),
            "init_fn": named_function(self, self.init_fn, "init_fn"),
            "native_serialization_platforms": self.native_serialization_platforms,
        }


class FlaxLayer(JaxLayer):
    """Use a Flax module, of `flax.linen` or `flax.nnx`, as a layer.

    inputs, or a nest of them → whatever the module makes of them

    The module's parameters are trained; its other variables (the statistics of a BatchNorm) are
    state. A linen module's variables are made when the layer is built; an nnx module has them
    already.

    Args:
        module: an instance of `flax.linen.Module` or `flax.nnx.Module`.
        method: the name of a method, the method, or a function that takes the module first. It
            takes `inputs`, and `training` if it wants to know. Default: None, `__call__`.
        variables: what the `init` of a linen module returned. Default: None, `init` is called.
        **kwargs: `seed` for the random numbers (dropout), `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a method with other arguments.

    Example:
        >>> import flax.linen as nn
        >>> layer = staghorn.layers.FlaxLayer(nn.Dense(3))
        >>> layer(np.ones((2, 4), "float32")).shape, len(layer.weights)
        ((2, 3), 2)

    Notes: needs the package `flax`. An nnx module whose method takes no `training` is put into
    its training or evaluation mode before each call, and draws from this layer's seed; its own
    arrays stay as they are. Keras knows linen modules only. To save a model, the module's class
    needs a `get_config`, and must be registered, as in Keras.
    """

    def __init__(
        self,
        module: Any,
        method: Any = None,
        variables: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        from flax import nnx

        self.module = module
        self.method = getattr(module, method) if isinstance(method, str) else method
        function = self.method or module.__call__
        self._passes_training = "training" in inspect.signature(function).parameters
        if isinstance(module, nnx.Module):
            call_fn, init_fn, params, state = self._of_nnx(nnx)
        else:
            call_fn, init_fn = self._apply_linen, self._init_linen
            params, state = (None, None) if variables is None else _split(variables)
        super().__init__(call_fn, init_fn, params, state, **kwargs)

    # linen ---------------------------------------------------------------------------------

    def _flag(self, training: bool) -> dict[str, bool]:
        return {"training": training} if self._passes_training else {}

    def _apply_linen(self, params: Any, state: Any, rng: Any, inputs: Any, training: bool) -> tuple:
        from flax.linen import DenyList

        return self.module.apply(
            {**(params or {}), **(state or {})},
            inputs,
            rngs=rng,
            method=self.method,
            mutable=DenyList(["params"]),
            **self._flag(training),
        )

    def _init_linen(self, rng: Any, inputs: Any) -> tuple:
        variables = self.module.init(rng, inputs, method=self.method, **self._flag(True))
        return _split(variables)

    def _get_init_rng(self) -> Any:
        return {"params": super()._get_init_rng(), "dropout": super()._get_init_rng()}

    def _get_call_rng(self, training: bool) -> Any:
        rng = super()._get_call_rng(training)
        return {} if rng is None else {"dropout": rng}

    # nnx -----------------------------------------------------------------------------------

    def _of_nnx(self, nnx: Any) -> tuple:
        """Return functions and values as JaxLayer takes them."""
        kinds = (nnx.Param, nnx.RngState, ...)
        form, learned, streams, rest = nnx.split(self.module, *kinds)

        def restored(like: Any, values: Any) -> Any:
            like = jax.tree.map(lambda x: x, like)
            nnx.replace_by_pure_dict(like, values)
            return like

        def call_fn(params: Any, state: Any, rng: Any, inputs: Any, training: bool) -> tuple:
            drawn = _rekeyed(streams, rng["dropout"]) if rng else streams
            module = nnx.merge(form, restored(learned, params), drawn, restored(rest, state))
            if not self._passes_training:
                module.train() if training else module.eval()
            method = getattr(self.method, "__func__", self.method) or type(module).__call__
            outputs = method(module, inputs, **self._flag(training))
            return outputs, nnx.to_pure_dict(nnx.split(module, *kinds)[3])

        return call_fn, None, nnx.to_pure_dict(learned), nnx.to_pure_dict(rest)

    # Config --------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        bound = getattr(self.method, "__self__", None) is self.module
        method = self.method.__name__ if bound and self.method is not None else self.method
        return {
            **base_config(self),
            "module": serialize_keras_object(self.module),
            "method": named_function(self, method, "method"),
            "native_serialization_platforms": self.native_serialization_platforms,
        }


def _rekeyed(streams: Any, key: Any) -> Any:
    """Give each stream of random numbers of an nnx module a key made from another."""
    leaves, form = jax.tree.flatten(streams)
    keys = [
        jax.random.wrap_key_data(jax.random.fold_in(key, i))
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else leaf
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(form, keys)


def _split(variables: Any) -> tuple[dict, dict]:
    """Split a linen module's variables into parameters and the rest."""
    params = {key: value for key, value in variables.items() if key == "params"}
    return params, {key: value for key, value in variables.items() if key != "params"}


def _value(leaf: Any) -> Any:
    return leaf.value if isinstance(leaf, Variable) else leaf


def _ones(shape: Any) -> Any:
    """Return arrays of ones for a shape or a nest of shapes, unknown sizes as 1."""
    if isinstance(shape, dict):
        return {key: _ones(inner) for key, inner in shape.items()}
    if all(size is None or isinstance(size, int) for size in shape):
        return jnp.ones([size or 1 for size in shape])
    return type(shape)(_ones(inner) for inner in shape)
