"""SpectralNormalization: a layer whose weights stretch no vector."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import initializers
from staghorn.engine.arguments import Positive
from staghorn.engine.dtypes import is_float
from staghorn.engine.scope import read
from staghorn.layers.layer import Layer
from staghorn.layers.wrapper import Wrapper
from staghorn.ops import nn


class SpectralNormalization(Wrapper):
    """Divide the weights of a layer by their largest singular value before each training step.

    The inner layer's inputs → its outputs        W ← W / σ(W),  σ(W) ≈ v W u^T
    where v = normalized(u W^T) and u = normalized(v W), `power_iterations` times; u is kept.

    Weights: those of the layer inside; vector_u (1, n), n the size of the kernel's last axis.

    Args:
        layer: a layer with a `kernel` (Dense, Conv2D, ...) or `embeddings`.
        power_iterations: int, how often u and v are improved at each step. Default: 1.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a layer without such weights, or `power_iterations` that is not positive.

    Example:
        >>> layer = staghorn.layers.SpectralNormalization(staghorn.layers.Dense(3), 20)
        >>> _ = layer(np.ones((1, 4), "float32"), training=True)
        >>> bool(np.linalg.norm(layer.layer.kernel.numpy(), 2) < 1.02)
        True

    Notes: gradients go through the division, u and v being constants. The divided weights are
    kept, so that inference, which divides nothing, uses them; in `fit`, Keras on JAX keeps the
    undivided ones. All of it is computed in the weights' own type, also under a mixed policy.
    Keras casts the outputs to the type of the inputs, whole numbers too; here floats only.

    Reference: Miyato et al., 2018, https://arxiv.org/abs/1802.05957
    """

    arguments = {"power_iterations": Positive(int)}

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = power_iterations

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        kernel = getattr(self.layer, "kernel", None)
        kernel = getattr(self.layer, "embeddings", None) if kernel is None else kernel
        if kernel is None:
            raise ValueError(
                f"SpectralNormalization '{self.name}': {type(self.layer).__name__} "
                f"'{self.layer.name}' has neither a kernel nor embeddings to divide. Wrap the "
                "layers inside it that have one, such as Dense or Conv2D."
            )
        self.kernel = kernel
        self.vector_u = self.add_weight(
            name="vector_u",
            shape=(1, kernel.shape[-1]),
            initializer=initializers.TruncatedNormal(stddev=0.02),
            dtype=kernel.dtype,
            trainable=False,
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            vector_u, kernel = self.normalized_weights()
            self.vector_u.assign(vector_u)
            self.kernel.assign(kernel)
        outputs = self.layer(inputs)
        return outputs.astype(inputs.dtype) if is_float(inputs.dtype) else outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def normalized_weights(self) -> tuple[jax.Array, jax.Array]:
        """Return the next u, and the kernel divided by its largest singular value."""
        kernel, u = read(self.kernel), read(self.vector_u)
        rows = jnp.reshape(kernel, (-1, kernel.shape[-1]))  # (all but the last axis, n)
        vector_u = u
        for _ in range(self.power_iterations):
            vector_v = nn.normalize(jnp.matmul(vector_u, rows.T), axis=None)  # (1, …)
            vector_u = nn.normalize(jnp.matmul(vector_v, rows), axis=None)  # (1, n)
        vector_u, vector_v = jax.lax.stop_gradient((vector_u, vector_v))
        sigma = jnp.matmul(jnp.matmul(vector_v, rows), vector_u.T)[0, 0]
        # Of zeros nothing is known yet; dividing by 1 keeps their gradient finite, too.
        empty = jnp.all(kernel == 0)
        return jnp.where(empty, u, vector_u), kernel / jnp.where(empty, 1.0, sigma)
