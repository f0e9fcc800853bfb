"""What the cells of SimpleRNN, GRU and LSTM share: options, weights, dropout masks, states."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from staghorn import activations, random
from staghorn.engine.arguments import Interval, Is, Positive
from staghorn.layers.layer import Layer
from staghorn.layers.options import store_options
from staghorn.ops import recurrence

Masks = tuple[list | None, list | None]  # of the inputs, of the state: one, or one per gate

# Masks of the cells whose loop is running. Not on the cells: they are tracers while compiling.
_drawn: ContextVar[dict[int, Masks] | None] = ContextVar("staghorn_dropout_masks", default=None)


@contextmanager
def dropout_masks(masks: dict[int, Masks]) -> Iterator[None]:
    """Let cells use masks that were drawn before their loop, by `id(cell)`."""
    token = _drawn.set({**(_drawn.get() or {}), **masks})
    try:
        yield
    finally:
        _drawn.reset(token)


class RecurrentCell(Layer):
    """Base of the built-in cells: one step of a recurrent layer, `(inputs, states) → output`.

    Args:
        implementation: 2 multiplies by all gates' weights at once; 1 gives every gate a dropout
            mask of its own, and is chosen for `recurrent_dropout`. Default: 2.
        **kwargs: `name`, `dtype`, ... as for every layer.
    """

    arguments = {
        "units": Positive(int),
        "use_bias": Is(bool),
        "dropout": Interval(0, 1),
        "recurrent_dropout": Interval(0, 1),
        "seed": Is(int, optional=True),
    }
    gates: ClassVar[int] = 1
    units: int
    activation: Callable
    recurrent_activation: Callable
    use_bias: bool
    dropout: float
    recurrent_dropout: float
    seed: int | None
    seed_generator: random.SeedGenerator
    bias_initializer: Any

    def __init__(self, *, implementation: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.implementation = implementation

    def _configure(self, options: dict[str, Any]) -> None:
        """Store the constructor's arguments under their own names."""
        store_options(self, options)
        if self.gates > 1 and self.recurrent_dropout:
            self.implementation = 1
        self.output_size = self.units

    def _add_weights(self, features: int, bias_shape: tuple, bias_initializer: Any = None) -> None:
        self.kernel = self._add("kernel", "kernel", (features, self.gates * self.units))
        self.recurrent_kernel = self._add(
            "recurrent_kernel", "recurrent", (self.units, self.gates * self.units)
        )
        self.bias = None
        if self.use_bias:
            self.bias = self._add("bias", "bias", bias_shape, bias_initializer)

    def _add(self, name: str, option: str, shape: tuple, initializer: Any = None) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer or getattr(self, f"{option}_initializer"),
            regularizer=getattr(self, f"{option}_regularizer"),
            constraint=getattr(self, f"{option}_constraint"),
        )

    def _remembering(self, shape: Any, dtype: Any = None) -> jax.Array:
        """Start the biases as given, that of the forget gate at 1."""
        del shape
        if self.bias_initializer is None:
            raise ValueError(
                f"{type(self).__name__}: with unit_forget_bias=True, bias_initializer must be an "
                "initializer for the other gates, got None (NoneType)."
            )
        before = self.bias_initializer((self.units,), dtype=dtype)
        after = self.bias_initializer((2 * self.units,), dtype=dtype)
        return jnp.concatenate([before, jnp.ones((self.units,), dtype), after])

    def get_initial_state(self, batch_size: int | None = None) -> list[jax.Array]:
        """Return zeros for every state."""
        sizes = self.state_size if isinstance(self.state_size, (list, tuple)) else [self.state_size]
        return [jnp.zeros((batch_size or 1, size), self.compute_dtype) for size in sizes]

    state_size: Any

    # Dropout -------------------------------------------------------------------------------

    def draw_masks(self, inputs: jax.Array, state: jax.Array, training: bool) -> Masks:
        """Draw the masks of one call of the layer: those of the inputs, then of the state."""
        return (
            self._draw(inputs, self.dropout, training),
            self._draw(state, self.recurrent_dropout, training),
        )

    def _draw(self, like: jax.Array, rate: float, training: bool) -> list | None:
        if rate == 0:
            return None
        count = self.gates if self.implementation == 1 else 1
        if not training:  # Keras draws here too: the generators must stay in step
            for _ in range(count if rate < 1 else 0):
                self.seed_generator.next()
            return None
        ones = jnp.ones_like(like)
        return [random.dropout(ones, rate, seed=self.seed_generator) for _ in range(count)]

    def _masks(self, inputs: jax.Array, state: jax.Array, training: bool) -> Masks:
        drawn = (_drawn.get() or {}).get(id(self))
        if drawn is not None:
            return drawn
        return self.draw_masks(inputs, state, True) if training else (None, None)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("implementation", None)  # Keras does not write it
        return config

    # Whole sequences -----------------------------------------------------------------------

    def run_sequence(
        self, steps: Any, states: list, mask: Any, unroll: bool, sequences: bool
    ) -> tuple[Any, list] | None:
        """Run the fast form over (time, batch, d): outputs and last states, or None if none fits.

        Without `sequences` the outputs are None; the last one is the first state.

        A class derived from a built-in cell may compute something else, and has no fast form.
        """
        masks, recurrent_masks = (_drawn.get() or {}).get(id(self), (None, None))
        if not self._has_fast_form() or recurrent_masks or (masks and len(masks) > 1):
            return None
        if masks:
            steps = steps * masks[0][None]  # (1, batch, d): the same mask at every step
        return self._run_fast(steps, states, mask, unroll, sequences)

    def _has_fast_form(self) -> bool:
        return False

    def _run_fast(
        self, steps: Any, states: list, mask: Any, unroll: bool, sequences: bool
    ) -> tuple[Any, list]:
        raise NotImplementedError

    def _values(self) -> tuple[jax.Array, jax.Array, jax.Array | None]:
        bias = None if self.bias is None else self.bias.value
        return self.kernel.value, self.recurrent_kernel.value, bias


def activation_name(function: Any) -> str | None:
    """Return the name of one of our own activation functions, or None."""
    own = getattr(function, "__module__", None) == activations.__name__
    name = getattr(function, "__name__", "")
    return name if own and getattr(activations, name, None) is function else None


def has_fast_form(*functions: Any) -> bool:
    """Say whether the fast loops know these activations."""
    return recurrence.has_fast_form(*map(activation_name, functions))


def masked_product(x: jax.Array, weights: jax.Array, masks: list | None) -> jax.Array:
    """Multiply by the weights of all gates; with a mask per gate, gate by gate.

    x (batch, d), weights (d, gates · units) → (batch, gates · units)
    """
    if masks is None:
        return jnp.matmul(x, weights)
    if len(masks) == 1:
        return jnp.matmul(x * masks[0], weights)
    parts = jnp.split(weights, len(masks), axis=-1)
    products = [jnp.matmul(x * m, part) for m, part in zip(masks, parts, strict=True)]
    return jnp.concatenate(products, axis=-1)


def add_bias(x: jax.Array, bias: jax.Array | None) -> jax.Array:
    """(batch, n) + (n,) → (batch, n), without implicit ranks."""
    return x if bias is None else x + jnp.reshape(bias, (1, -1))
