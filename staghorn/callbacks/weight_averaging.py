"""StochasticWeightAveraging: end with the mean of the weights of many epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from staghorn.callbacks.callback import Callback, Logs
from staghorn.engine.arguments import Check, NonNegative, Positive, check_values
from staghorn.engine.variable import Variable


def running_mean(mean: jax.Array, value: jax.Array, count: int) -> jax.Array:
    """Return the mean of `count + 1` values from that of `count` and the next one.

    mean ← mean + (value - mean) / (count + 1)

    Example:
        >>> from staghorn.callbacks.weight_averaging import running_mean
        >>> float(running_mean(jnp.float32(2.0), jnp.float32(5.0), 2))
        3.0
    """
    return mean + (value.astype(mean.dtype) - mean) / (count + 1)


class StochasticWeightAveraging(Callback):
    """Average the weights over epochs, and give the model the average when training ends.

    mean ← mean + (weights - mean) / (count + 1)    at the end of epochs start, start + every, …

    Then the moving statistics of every BatchNormalization, which belong to other weights, are
    computed anew: one pass over the training data, the mean of its batches' statistics.

    Args:
        start_epoch: int, the first epoch that counts, from 0 as in `on_epoch_end`; the last
            quarter of a training is usual. Default: 0.
        every: int, every so many epochs. Default: 1.
        data: (x, y), for the moving statistics where `fit` is given a generator. Default: None,
            the arrays that `fit` was given.

    Raises:
        ValueError: if there are moving statistics, but no arrays to compute them from.

    Example:
        >>> model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> average = staghorn.callbacks.StochasticWeightAveraging(start_epoch=2)
        >>> x, y = np.ones((4, 2)), np.ones((4, 1))
        >>> history = model.fit(x, y, epochs=5, verbose=0, callbacks=[average])
        >>> average.count
        3

    Notes:
        Beyond Keras. A high or cyclic learning rate in the averaged epochs makes the weights that
        are averaged differ. Until the end the model holds, validates and saves its training
        weights; checkpoints hold the average beside them, so that `resume=` goes on exactly. Put
        it behind EarlyStopping(restore_best_weights=True), which also assigns at the end. A
        training that ends before `start_epoch`, or fails, keeps its weights. Cost: one more copy
        of the weights in float32, and the pass at the end. Weights that are not trained are not
        averaged.

    Reference: https://arxiv.org/abs/1803.05407 (Izmailov et al., Averaging Weights Leads to Wider
        Optima and Better Generalization)
    """

    kept = ("count", "mean")
    arguments: ClassVar[dict[str, Check]] = {
        "start_epoch": NonNegative(int),
        "every": Positive(int),
    }

    def __init__(self, start_epoch: int = 0, every: int = 1, data: Any = None) -> None:
        super().__init__()
        given = {"start_epoch": start_epoch, "every": every}
        check_values("StochasticWeightAveraging", self.arguments, given)
        self.start_epoch = start_epoch
        self.every = every
        self.data = data
        self.count = 0
        self.mean: list[Any] = []  # in float32 or wider
        self._weights: list[Variable] = []
        self._renew: Callable[[], None] = lambda: None

    def on_train_begin(self, logs: Logs = None) -> None:
        self.count, self.mean = 0, []
        self._weights = self.model.trainable_variables
        self._renew = self.model._batch_statistics_renewer(self.data)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        since = epoch - self.start_epoch
        if since < 0 or since % self.every:
            return
        self.mean = [
            running_mean(mean, variable.stored, self.count)
            for mean, variable in zip(self._means(), self._weights, strict=True)
        ]
        self.count += 1

    def on_train_end(self, logs: Logs = None) -> None:
        if self.count:
            for variable, mean in zip(self._weights, self._means(), strict=True):
                variable.assign(mean.astype(variable.dtype))
            self._renew()
        self.mean, self._weights, self._renew = [], [], lambda: None  # they hold weights and data

    def _means(self) -> list[jax.Array]:
        """The means so far, as arrays: from a file, those without axes come as floats."""
        wide = [jnp.promote_types(variable.dtype, "float32") for variable in self._weights]
        if not self.count:
            shapes = [variable.shape for variable in self._weights]
            return [jnp.zeros(shape, dtype) for shape, dtype in zip(shapes, wide, strict=True)]
        return [jnp.asarray(mean, dtype) for mean, dtype in zip(self.mean, wide, strict=True)]
