"""What helps to train: gradients, a good learning rate, freezing by name, statistics."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import jax
import numpy as np

from staghorn.callbacks.statistics import of_arrays
from staghorn.engine.scope import value_and_grad
from staghorn.layers.input import InputLayer
from staghorn.layers.normalization import BatchNormalization
from staghorn.training.data import ArrayFeed, count_rows, unpack_x_y_sample_weight
from staghorn.training.layer_paths import fits, layer_paths, no_fit, variable_paths
from staghorn.training.learning_rate_search import LearningRates, search
from staghorn.training.observation import observer, outputs_recorded, rows_to_look_at
from staghorn.training.sources import make_source
from staghorn.training.trainer import Trainer, _standardize

_READ_ONCE = """\
StochasticWeightAveraging: the statistics of BatchNormalization must be computed anew at the end, \
but fit was given batches, which may not come twice. Give the callback rows of its own:
    StochasticWeightAveraging(data=(x, y))"""


class TrainingTools(Trainer):
    """The part of a Model that looks into training and prepares it."""

    def gradients(
        self, x: Any, y: Any = None, sample_weight: Any = None, training: bool = True
    ) -> dict[str, dict[str, np.ndarray]]:
        """Return the gradients of the loss on some rows, by layer; nothing is changed.

        x, y: (batch, …) → path of the layer → name of the weight → array of the weight's shape
        gradients["dense"]["kernel"] = ∂loss/∂kernel, with what regularizers and layers add

        Args:
            x, y, sample_weight: arrays, as in `fit`; all rows are one batch.
            training: whether layers run as in training (Dropout with the masks of the coming
                step, BatchNormalization with the batch's statistics). Default: True.

        Raises:
            ValueError: if the model is not compiled, has nothing to train, or does not fit the
                data.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
            >>> model.layers[0].name = "out"
            >>> model.set_weights([np.zeros((2, 1)), np.zeros(1)])
            >>> model.compile("sgd", "mse")
            >>> gradients = model.gradients(np.ones((4, 2)), np.ones((4, 1)))
            >>> gradients["out"]["kernel"].ravel().tolist(), gradients["out"]["bias"].tolist()
            ([-2.0, -2.0], [-2.0])

        Notes: beyond Keras. Where a frozen weight has none, it is left out. A model whose
        `train_step` computes a loss of its own is differentiated by `compute_loss`.
        """
        self._assert_compiled("gradients")
        feed = self._one_batch_feed(x, y, sample_weight, "gradients(x, y)")
        self._build_for(feed.first_batch())
        look = observer(lambda data: self._gradients(data, training), feed.first_batch())
        found = look(feed.data)
        return {path: {k: np.asarray(g) for k, g in own.items()} for path, own in found.items()}

    def _gradients(self, data: Any, training: bool) -> dict[str, dict[str, Any]]:
        x, y, weights = unpack_x_y_sample_weight(data)

        def loss() -> Any:
            y_pred = self._forward(x, training=training)
            return self._compute_loss(x, y, y_pred, weights, training=training)

        return self._by_layer(lambda variables: value_and_grad(loss, variables)()[1])

    def _by_layer(self, function: Callable[[list], list]) -> dict[str, dict[str, Any]]:
        """Return what a function gives for each weight that is trained, by layer and name."""
        trained = {id(v) for v in self.trainable_variables}  # type: ignore[attr-defined]
        named = [
            (path, name, variable)
            for path, own in variable_paths(self).items()
            for name, variable in own.items()
            if id(variable) in trained
        ]
        if not named:
            raise ValueError(
                f"Model '{self.name}' has no trainable weights, hence no gradients: "  # type: ignore[attr-defined]
                "model.unfreeze('*') makes all trainable."
            )
        found: dict[str, dict[str, Any]] = OrderedDict()  # JAX sorts the keys of plain ones
        values = function([variable for _, _, variable in named])
        for (path, name, _), value in zip(named, values, strict=True):
            found.setdefault(path, OrderedDict())[name] = value
        return found

    def _one_batch_feed(self, x: Any, y: Any, sample_weight: Any, call: str) -> ArrayFeed:
        data = _standardize(self, x, y, sample_weight)
        return self._feed(data, count_rows(data), None, call=call, advise=False)

    def find_learning_rate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        sample_weight: Any = None,
        low: float = 1e-7,
        high: float = 1.0,
        steps: int = 100,
    ) -> LearningRates:
        """Try rising learning rates on a copy of the model's state, and say which suits.

        rate_i = low * (high / low) ^ (i / (steps - 1)),    i = 0 … steps - 1, one batch each

        It stops where the loss diverges. Weights, optimizer, seeds and metrics stay as they are,
        bit for bit.

        Args:
            x, y, sample_weight: as in `fit`, batches of a generator or loader too, which are used
                up. Data with fewer batches is gone through several times.
            batch_size: rows in a step. Default: 32.
            low: the first rate. Default: 1e-7.
            high: the last rate. Default: 1.0.
            steps: how many rates to try. Default: 100.

        Returns:
            LearningRates: `.learning_rates`, `.losses`, `.suggestion`, `.plot()`.

        Raises:
            ValueError: if the model is not compiled, or the rates are no rising range.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> x = np.random.default_rng(0).normal(size=(64, 2))
            >>> found = model.find_learning_rate(x, x.sum(axis=1, keepdims=True), steps=50)
            >>> bool(1e-4 < found.suggestion < 1)
            True

        Notes:
            Beyond Keras. `compile(learning_rate_multipliers=...)` counts; a schedule does not. The
            suggestion is where the loss falls fastest, a good start for the highest rate of a run.

        Reference: https://arxiv.org/abs/1506.01186 (Smith, Cyclical Learning Rates, section 3.3)
        """
        self._assert_compiled("find_learning_rate")
        if not 0 < low < high or isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
            raise ValueError(
                "find_learning_rate: low and high must be rates with 0 < low < high, steps an int "
                f"of 2 or more, got low={low!r}, high={high!r}, steps={steps!r}."
            )
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise ValueError(
                f"find_learning_rate: batch_size must be a positive int, got {batch_size!r}."
            )
        source = make_source(x, "x")
        endless = source is not None and source.infinite
        stream = self._stream(
            "find_learning_rate", x, y, sample_weight, steps if endless else None, True, "steps"
        )
        if stream is None:
            data = _standardize(self, x, y, sample_weight)
            arrays = self._feed(data, batch_size, None, call="find_learning_rate(x, y)")
            # Its own order: one from the global generator would change the `fit` that follows.
            arrays.shuffle = True
        with closing(stream or arrays) as feed:
            return search(self, feed, np.geomspace(low, high, steps))

    def freeze(self, *patterns: str) -> list[str]:
        """Set `trainable = False` on the layers that fit, and on all inside them.

        Args:
            *patterns: layer paths ("encoder/dense") or their last names, with `*`, `?`, `[...]`
                as for file names.

        Returns:
            Paths of the layers that fit.

        Raises:
            ValueError: if a pattern fits no layer; nothing is changed then.

        Example:
            >>> encoder = staghorn.Sequential([staghorn.layers.Dense(2, name="a")], name="encoder")
            >>> model = staghorn.Sequential(
            ...     [staghorn.Input((3,)), encoder, staghorn.layers.Dense(1, name="head")])
            >>> model.freeze("enc*")
            ['encoder', 'encoder/a']
            >>> len(model.trainable_variables)
            2

        Notes:
            Beyond Keras. As with `trainable`: it counts at once, a `fit` of a model that was
            compiled before says so in a warning, and a frozen BatchNormalization also uses its
            moving statistics.
        """
        return self._set_trainable("freeze", patterns, False)

    def unfreeze(self, *patterns: str) -> list[str]:
        """Set `trainable = True` on the layers that fit, and on all inside them: see `freeze`.

        Args:
            *patterns: as in `freeze`; "*" fits all.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((3,)), staghorn.layers.Dense(1)])
            >>> model.freeze("*") == model.unfreeze("*")
            True
            >>> len(model.trainable_variables)
            2
        """
        return self._set_trainable("unfreeze", patterns, True)

    def _set_trainable(self, method: str, patterns: tuple[str, ...], value: bool) -> list[str]:
        layers = {
            path: layer
            for path, layer in layer_paths(self).items()
            if not isinstance(layer, InputLayer)
        }
        for pattern in patterns or ("",):
            if not isinstance(pattern, str):
                raise TypeError(f"{method}: a pattern must be a str, got {pattern!r}.")
            if not any(fits(pattern, path, whole=True) for path in layers):
                raise no_fit(method, pattern, layers)
        chosen = [p for p in layers if any(fits(pattern, p, whole=True) for pattern in patterns)]
        for path in chosen:
            layers[path].trainable = value
        # A layer stays trainable only if what is around it is; and `fit` asks the model first.
        if value and not self.trainable:  # type: ignore[attr-defined]
            self._trainable = True
        return chosen

    # For callbacks --------------------------------------------------------------------------

    def _statistics(
        self, data: Any, gradients: bool, activations: bool
    ) -> Callable[[], dict[str, Any]]:
        """Return a function that computes the statistics of one batch; compiled once."""
        feed = rows_to_look_at(self, "Statistics", data)
        if feed is None:  # the first batch of a generator, which may use its arrays again
            assert self._run is not None
            rows = jax.tree.map(np.array, self._run.feed.data)
        else:
            rows = feed.rows_of(np.arange(min(feed.batch_size, feed.rows), dtype=np.int32))
        layers = {
            path: layer
            for path, layer in layer_paths(self).items()
            if not isinstance(layer, (InputLayer, Trainer))
        }

        def compute(batch: Any) -> dict[str, Any]:
            x, y, weights = unpack_x_y_sample_weight(batch)

            def loss() -> Any:
                with outputs_recorded(layers if activations else {}) as outputs:
                    y_pred = self._forward(x, training=True)
                value = self._compute_loss(x, y, y_pred, weights, training=True)
                return value, OrderedDict((path, of_arrays(o)) for path, o in outputs.items())

            found: dict[str, Any] = {}
            if not gradients:
                return {"activations": loss()[1]}

            def differentiated(variables: list) -> list:
                (_, found["activations"]), slopes = value_and_grad(loss, variables, True)()
                return slopes

            slopes = self._by_layer(differentiated)
            found["gradients"] = OrderedDict((path, of_arrays(g)) for path, g in slopes.items())
            return found if activations else {"gradients": found["gradients"]}

        look = observer(compute, rows)
        return lambda: jax.device_get(look(rows))

    def _batch_statistics_renewer(self, data: Any) -> Callable[[], None]:
        """Return a function that gives every BatchNormalization statistics of the present weights.

        They are the mean of those of the batches of one pass.
        """
        norms = [
            layer for layer in layer_paths(self).values() if isinstance(layer, BatchNormalization)
        ]
        if not norms:
            return lambda: None
        feed = rows_to_look_at(self, "StochasticWeightAveraging", data)
        if feed is None:
            raise ValueError(_READ_ONCE)
        feed.shuffle = True  # rows may be sorted by class, and batches stand for all

        def forward(batch: Any, moving: list) -> list:
            self._forward(unpack_x_y_sample_weight(batch)[0], training=True)
            return [v.value for v in moving]

        def renew() -> None:
            moving = [
                v for layer in norms if layer.trainable for v in layer._non_trainable_variables
            ]
            totals = [np.zeros(v.shape) for v in moving]
            with _without_past(norms):
                look = observer(lambda batch: forward(batch, moving), feed.first_batch())
                for batch in feed.batches(0):
                    share = count_rows(batch) / feed.rows
                    for i, value in enumerate(look(batch)):
                        totals[i] = totals[i] + np.asarray(value, "float64") * share
            for variable, total in zip(moving, totals, strict=True):
                variable.assign(total.astype(variable.dtype))

        return renew


@contextmanager
def _without_past(norms: list[BatchNormalization]) -> Iterator[None]:
    """Let moving statistics become a batch's own."""
    kept = [(layer.momentum, layer.renorm_momentum) for layer in norms]
    try:
        for layer in norms:
            layer.momentum = layer.renorm_momentum = 0.0
        yield
    finally:
        for layer, (momentum, renorm) in zip(norms, kept, strict=True):
            layer.momentum, layer.renorm_momentum = momentum, renorm
