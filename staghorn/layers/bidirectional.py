"""Bidirectional: a recurrent layer run in both directions."""

from typing import Any

import jax.numpy as jnp

from staghorn.engine.arguments import Options
from staghorn.engine.serialization import WithCustomObjects, serialize_keras_object
from staghorn.layers import call as calling
from staghorn.layers.layer import Layer
from staghorn.layers.rnn import RNN
from staghorn.layers.wrapper import check_layer

_SAME_DIRECTION = """\
Bidirectional: the two layers must run in different directions, both have go_backwards={value}.
Write backward_layer=LSTM(..., go_backwards=True)."""


class Bidirectional(WithCustomObjects, Layer):
    """Run a recurrent layer over a sequence forwards and backwards, and merge the outputs.

    (batch, time, d) → (batch, 2 units), or (batch, time, 2 units), for merge_mode "concat"

    Args:
        layer: a recurrent layer (RNN, SimpleRNN, GRU, LSTM), or one with the attributes
            `go_backwards`, `return_sequences`, `return_state` and `stateful`. New layers are made
            from its config; it is not used itself.
        merge_mode: "concat", "sum", "mul", "ave", or None for a tuple. Default: "concat".
        weights: list of arrays, first those of the forward layer. Default: None.
        backward_layer: the layer that runs backwards. Default: None, made from `layer`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Call with `layer(sequences, initial_state=None, mask=None, training=None)`; the first half of
    `initial_state` is for the forward layer.

    Raises:
        ValueError: if an argument is not a layer, the two directions are the same, the layers
            disagree on what they return, or the merge mode is unknown.

    Example:
        >>> layer = staghorn.layers.Bidirectional(staghorn.layers.LSTM(3))
        >>> layer(np.ones((2, 5, 4), "float32")).shape
        (2, 6)

    Notes: with `return_sequences` the outputs of masked steps are 0 in both directions.
    Reference: Schuster and Paliwal, 1997, https://doi.org/10.1109/78.650093
    """

    arguments = {"merge_mode": Options("concat", "sum", "mul", "ave", None)}

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        check_layer(type(self).__name__, layer)
        if backward_layer is not None:
            check_layer(type(self).__name__, backward_layer, "backward_layer")
        _check_recurrent(layer)
        super().__init__(weights=weights, **kwargs)
        self.merge_mode = merge_mode
        self.forward_layer = _remade(layer, "forward_")
        self.backward_layer = (
            _remade(layer, "backward_", go_backwards=True)
            if backward_layer is None
            else backward_layer
        )
        self._check_pair()
        for inner in (self.forward_layer, self.backward_layer):
            if isinstance(inner, RNN):
                inner.zero_output_for_mask = inner.return_sequences
        self.stateful = layer.stateful
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.supports_masking = True
        self.input_spec = layer.input_spec

    def _check_pair(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        _check_recurrent(backward)
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(_SAME_DIRECTION.format(value=forward.go_backwards))
        for name in ("stateful", "return_sequences", "return_state"):
            ours, theirs = getattr(forward, name), getattr(backward, name)
            if ours != theirs:
                raise ValueError(
                    f"Bidirectional: both layers must have the same {name}, got {ours} for layer "
                    f"and {theirs} for backward_layer."
                )

    def build(self, sequences_shape: tuple, initial_state_shape: Any = None) -> None:
        del initial_state_shape
        for inner in (self.forward_layer, self.backward_layer):
            if not inner.built:
                inner.build(sequences_shape)

    def compute_output_shape(
        self, sequences_shape: tuple, initial_state_shape: Any = None
    ) -> tuple:
        del initial_state_shape
        shape = self.forward_layer.compute_output_shape(sequences_shape)
        shape, *states = shape if self.return_state else (shape,)
        if self.merge_mode == "concat":
            shape = (*shape[:-1], 2 * shape[-1])
        if self.merge_mode is None:
            return (shape, shape, *states, *states)
        return (shape, *states, *states) if self.return_state else shape

    def compute_mask(self, _: Any, mask: Any) -> Any:
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        mask = mask if self.return_sequences else None
        masks = [mask] if self.merge_mode is not None else [mask, mask]
        return masks if len(masks) > 1 or self.return_state else mask

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        half = 0 if initial_state is None else len(initial_state) // 2
        given = (None, None) if half == 0 else (initial_state[:half], initial_state[half:])
        results = []
        for inner, state in zip((self.forward_layer, self.backward_layer), given, strict=True):
            takes = calling.signature_of(type(inner).call)
            options: dict[str, Any] = {"training": training} if takes.has_training else {}
            if takes.has_mask:
                options["mask"] = mask
            if state is not None:
                options["initial_state"] = list(state)
            results.append(inner(sequences, **options))
        states: tuple = ()
        if self.return_state:
            states = (*results[0][1:], *results[1][1:])
            results = [result[0] for result in results]
        forward, backward = (result.astype(self.compute_dtype) for result in results)
        if self.return_sequences:
            backward = jnp.flip(backward, axis=1)
        output = self._merged(forward, backward)
        if self.merge_mode is None:
            return (*output, *states)
        return (output, *states) if self.return_state else output

    def _merged(self, forward: Any, backward: Any) -> Any:
        if self.merge_mode == "concat":
            return jnp.concatenate([forward, backward], axis=-1)
        if self.merge_mode == "sum":
            return forward + backward
        if self.merge_mode == "ave":
            return (forward + backward) / 2
        return forward * backward if self.merge_mode == "mul" else (forward, backward)

    @property
    def states(self) -> tuple | None:
        """The states kept between batches; None unless stateful and built."""
        forward, backward = self.forward_layer.states, self.backward_layer.states
        return (*forward, *backward) if forward and backward else None

    def reset_state(self) -> None:
        """Set the states kept between batches to zero.

        Raises:
            AttributeError: if the layer is not stateful.

        Example:
            >>> layer = staghorn.layers.Bidirectional(staghorn.layers.GRU(3, stateful=True))
            >>> y = layer(np.ones((2, 5, 4), "float32"))
            >>> layer.reset_state()
            >>> float(layer.states[0].value.sum())
            0.0
        """
        if not self.stateful:
            raise AttributeError(
                f"Bidirectional '{self.name}' keeps no state: its layers have stateful=False."
            )
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in ("layer", "weights"):
            config.pop(name, None)
        return {
            **config,
            "layer": serialize_keras_object(self.forward_layer),
            "backward_layer": serialize_keras_object(self.backward_layer),
        }


def _check_recurrent(layer: Any) -> None:
    for name in ("go_backwards", "return_sequences", "return_state", "stateful"):
        if not hasattr(layer, name):
            raise ValueError(
                f"Bidirectional: the layer must be recurrent and have the attribute {name}, "
                f"{type(layer).__name__} '{layer.name}' has none. Wrap an RNN, GRU, LSTM or "
                "SimpleRNN."
            )


def _remade(layer: Any, prefix: str, **changes: Any) -> Any:
    """Make a new layer from the config of another, under a name with a prefix."""
    name = f"{prefix}{layer.name.removeprefix(prefix)}"
    made = type(layer).from_config({**layer.get_config(), **changes, "name": name})
    if hasattr(layer, "use_cudnn"):  # not in configs
        made.use_cudnn = layer.use_cudnn
    return made
