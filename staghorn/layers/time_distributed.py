"""TimeDistributed: one layer applied to every step of a sequence."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.scope import Scope, read
from staghorn.layers import call as calling
from staghorn.layers.layer import Layer
from staghorn.layers.steps import probe, total_loss
from staghorn.layers.wrapper import Wrapper

_NO_TIME = """\
{name}: expected an input (batch, time, …) of at least 3 axes, got shape {shape}.
x[..., None] adds an axis at the end."""

_OTHER_MASK = """\
{name}: the mask must be (batch, time, …), as the input is; the mask has shape {mask}, the input
has shape {inputs}."""


class TimeDistributed(Wrapper):
    """Apply a layer to every step of a sequence, with the same weights.

    (batch, time, …) → (batch, time, …)        y[:, t] = layer(x[:, t])

    Args:
        layer: a layer or a model.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: if `layer` is not a layer; for an input with fewer than 3 axes; for a mask that
            does not fit the input.

    Example:
        >>> layer = staghorn.layers.TimeDistributed(staghorn.layers.Dense(3))
        >>> layer(np.ones((2, 5, 4), "float32")).shape
        (2, 5, 3)

    Notes: a layer that keeps no state from step to step runs on all steps at once; one that does
    (batch normalization or dropout, in training) runs step by step, which compiles as many copies
    of it. `mask` and `training` are handed to a layer whose call takes them.
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def _step_shape(self, input_shape: Any) -> tuple:
        if not isinstance(input_shape, (tuple, list)) or len(input_shape) < 3:
            name = f"{type(self).__name__} '{self.name}'"
            raise ValueError(_NO_TIME.format(name=name, shape=input_shape))
        return (input_shape[0], *input_shape[2:])

    def build(self, input_shape: Any = None) -> None:
        super().build(self._step_shape(input_shape))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, *rest = self.layer.compute_output_shape(self._step_shape(input_shape))
        return (batch, input_shape[1], *rest)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None and tuple(mask.shape[:2]) != tuple(inputs.shape[:2]):
            name = f"{type(self).__name__} '{self.name}'"
            raise ValueError(_OTHER_MASK.format(name=name, mask=mask.shape, inputs=inputs.shape))
        takes = calling.signature_of(type(self.layer).call)
        mask = mask if takes.has_mask else None
        options = {"training": training} if takes.has_training else {}

        def step(x: Any, mask: Any) -> Any:
            return self.layer(x, **options) if mask is None else self.layer(x, mask=mask, **options)

        first = inputs[:, 0], None if mask is None else mask[:, 0]
        changed, adds_losses = probe(step, self.layer.variables, *first)
        if changed:
            steps = range(inputs.shape[1])
            outputs = [step(inputs[:, t], None if mask is None else mask[:, t]) for t in steps]
            return jnp.stack(outputs, axis=1)
        return self._at_once(step, inputs, mask, adds_losses)

    def _at_once(self, step: Any, inputs: Any, mask: Any, adds_losses: bool) -> Any:
        variables = self.layer.variables
        values = [read(v) for v in variables]

        def of_step(x: Any, mask: Any) -> tuple[Any, Any]:
            # A Scope of its own: masks and losses of the layers inside belong to this trace.
            with Scope(variables, values) as scope:
                return step(x, mask), total_loss(scope)

        axes = (1, None if mask is None else 1)
        outputs, losses = jax.vmap(of_step, in_axes=axes, out_axes=(1, 0))(inputs, mask)
        if adds_losses:
            self.add_loss(losses.sum())
        return outputs
