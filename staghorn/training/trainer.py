"""Trainer: `compile`, `fit`, `evaluate`, `predict` and the steps one can override."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config, optimizers
from staghorn.callbacks.callback_list import CallbackList
from staghorn.callbacks.history import History
from staghorn.engine import tree
from staghorn.engine.scope import abstractly, value_and_grad
from staghorn.metrics.metric import Metric
from staghorn.metrics.reduction import Mean
from staghorn.random import make_default_seed
from staghorn.training.compile import CompiledLoss, CompiledMetrics, OutputMap
from staghorn.training.data import (
    ArrayFeed,
    class_weights_to_sample_weights,
    count_rows,
    pack_x_y_sample_weight,
    split_rows,
    to_arrays,
    unpack_x_y_sample_weight,
)
from staghorn.training.executor import Executor, Pace
from staghorn.training.predictor import predict_arrays
from staghorn.training.step import Program
from staghorn.training.validation import check_inputs, check_targets

# Steps in a group when data is gathered on the host: bounds the memory of one group.
HOST_GROUP = 64

_NOT_COMPILED = """\
Model '{name}' was not compiled. Before {what}(), write
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])"""


class Trainer:
    """The training half of a Model."""

    def __init__(self) -> None:
        self.compiled = False
        self.optimizer: Any = None
        self.loss: Any = None
        self.stop_training = False
        self.run_eagerly = False
        self.steps_per_execution: int | None = None
        self.jit_compile: Any = "auto"
        self.history: History | None = None
        self._compiled_loss: CompiledLoss | None = None
        self._compiled_metrics: CompiledMetrics | None = None
        self._loss_tracker: Mean | None = None
        self._compile_arguments: dict[str, Any] | None = None
        self._executor: dict[Any, Any] | None = None

    # Compile -------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int | None = None,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained.

        Args:
            optimizer: name, object or config. Default: "rmsprop".
            loss: for each output: name, function, object, None; several as a list or a dict by
                output name. Default: None.
            loss_weights: factor of each loss, in the same form. Default: None.
            metrics: list of names, functions or objects; for several outputs a list of lists or a
                dict by output name. Default: None.
            weighted_metrics: the same, but they take sample and class weights into account.
            run_eagerly: run every step as plain Python, for debugging. Default: False.
            steps_per_execution: steps in one compiled call. Default: chosen by the library.
            jit_compile, auto_scale_loss: accepted for Keras's sake; everything is compiled.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(1)])
            >>> model.compile("sgd", loss="mse", metrics=["mae"])
            >>> history = model.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=0)
            >>> sorted(history.history)
            ['loss', 'mae']
        """
        del auto_scale_loss
        self.optimizer = optimizers.get(optimizer)
        self.loss = loss
        self._compiled_loss = None if loss is None else CompiledLoss(loss, loss_weights)
        has_metrics = metrics is not None or weighted_metrics is not None
        self._compiled_metrics = (
            CompiledMetrics(metrics, weighted_metrics) if has_metrics else None
        )
        if steps_per_execution is not None and steps_per_execution != "auto":
            if not isinstance(steps_per_execution, int) or steps_per_execution < 1:
                raise ValueError(
                    "compile: steps_per_execution must be a positive int, "
                    f"got {steps_per_execution!r}."
                )
            self.steps_per_execution = steps_per_execution
        else:
            self.steps_per_execution = None
        self.run_eagerly = bool(run_eagerly)
        self.jit_compile = jit_compile
        self.stop_training = False
        self._loss_tracker = Mean(name="loss")
        self.compiled = True
        self._executor = None
        self._compile_arguments = {
            "optimizer": self.optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": 1 if steps_per_execution is None else steps_per_execution,
            "jit_compile": True if jit_compile == "auto" else jit_compile,
        }

    def _assert_compiled(self, what: str) -> None:
        if not self.compiled and not self._overrides("train_step"):
            raise ValueError(_NOT_COMPILED.format(name=self.name, what=what))  # type: ignore[attr-defined]

    def _overrides(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(Trainer, method)

    # Metrics -------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Metric]:
        """The loss's own, those of `compile`, one per loss, those of attributes and layers."""
        found: list[Metric] = []
        if self.compiled and self._loss_tracker is not None:
            found.append(self._loss_tracker)
            if self._compiled_metrics is not None:
                found += self._compiled_metrics.metrics
            if self._compiled_loss is not None:
                found += self._compiled_loss.metrics
        for layer in self._flatten_layers():  # type: ignore[attr-defined]
            if layer is self or not isinstance(layer, Trainer):
                found += layer._metrics
        return found

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns, in its order."""
        return self._ordered_names(self.get_metrics_result())

    def _ordered_names(self, logs: dict[str, Any]) -> list[str]:
        known = [m.name for m in self.metrics]
        first = [name for name in dict.fromkeys(known) if name in logs]
        return first + sorted(name for name in logs if name not in known)

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the present value of every metric by name."""
        results: dict[str, Any] = {}
        compiled = self._compiled_metrics if self.compiled else None
        inside = {id(m) for m in compiled.metrics} if compiled is not None else set()
        for metric in self.metrics:
            if id(metric) in inside:
                continue
            value = metric.result()
            if isinstance(value, dict):
                results.update(value)
            else:
                results[metric.name] = value
        if compiled is not None:
            results.update(compiled.result())
        return results

    def reset_metrics(self) -> None:
        """Set every metric back to its start."""
        for metric in self.metrics:
            metric.reset_state()

    # Steps one can override ----------------------------------------------------------------

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the total loss of a batch: the compiled losses and those the layers added."""
        del x, training
        total = None
        if self._compiled_loss is not None:
            total = self._compiled_loss(self._output_map(y_pred), y, y_pred, sample_weight)
        for added in self.losses:  # type: ignore[attr-defined]
            value = jnp.sum(jnp.asarray(added, config.floatx()))
            total = value if total is None else total + value
        return jnp.zeros((), config.floatx()) if total is None else total

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the compiled metrics with a batch and return all results."""
        del x
        if self._compiled_metrics is not None:
            outputs = self._output_map(y_pred)
            self._compiled_metrics.update_state(outputs, y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _output_map(self, y_pred: Any) -> OutputMap:
        return OutputMap(y_pred, getattr(self, "output_names", None))

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train on one batch. Override it for another algorithm; it stays compiled.

        Args:
            data: x, (x, y) or (x, y, sample_weight).

        Returns:
            A dict of logs.

        Example:
            >>> class Doubled(staghorn.Sequential):
            ...     def train_step(self, data):
            ...         x, y = data
            ...         def loss_fn():
            ...             return 2 * self.compute_loss(x, y, self(x, training=True))
            ...         loss, grads = staghorn.value_and_grad(loss_fn, self.trainable_variables)()
            ...         self.optimizer.apply(grads, self.trainable_variables)
            ...         return {"loss": loss}
            >>> model = Doubled([staghorn.Input((2,)), staghorn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
            >>> list(history.history)
            ['loss']
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)

        def loss_fn() -> tuple[Any, Any]:
            y_pred = self._forward(x, training=True)
            loss = self._compute_loss(x, y, y_pred, sample_weight, training=True)
            return self.optimizer.scale_loss(loss), (y_pred, loss)

        variables = self.trainable_variables  # type: ignore[attr-defined]
        if not variables and self.built:  # type: ignore[attr-defined]
            warnings.warn("The model has no trainable weights: training will not change it.",
                          stacklevel=2)
            _, (y_pred, loss) = loss_fn()
        else:
            (_, (y_pred, loss)), gradients = value_and_grad(loss_fn, variables, has_aux=True)()
            self.optimizer.apply(gradients, variables)
        self._track_loss(loss, x)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self._forward(x, training=False)
        loss = self._compute_loss(x, y, y_pred, sample_weight, training=False)
        self._track_loss(loss, x)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data: Any) -> Any:
        """Return the outputs for one batch."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self._forward(x, training=False)

    def _forward(self, x: Any, training: bool) -> Any:
        # A nest of inputs is one argument; a call without `training` still runs in the mode.
        return self(x, training=training)  # type: ignore[operator]

    def _compute_loss(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool
    ) -> Any:
        """Call `compute_loss`, which older scripts override without `training`."""
        if _accepts(type(self).compute_loss, "training"):
            return self.compute_loss(x, y, y_pred, sample_weight, training=training)
        return self.compute_loss(x, y, y_pred, sample_weight)

    def _track_loss(self, loss: Any, x: Any) -> None:
        if self._loss_tracker is not None:
            rows = next(a.shape[0] for a in tree.flatten(x) if a is not None)
            self._loss_tracker.update_state(loss, sample_weight=rows)

    # Programs ------------------------------------------------------------------------------

    def _program_key(self, mode: str) -> Any:
        """What a compiled program depends on beside the shapes of its arguments."""
        layers = self._flatten_layers()  # type: ignore[attr-defined]
        flags = tuple((id(layer), layer._trainable) for layer in layers)
        variables = tuple(id(v) for v in self._state_variables())
        return mode, flags, variables, type(self).train_step, type(self).test_step

    def _state_variables(self) -> list[Any]:
        """Every Variable a step may touch: weights, seeds, metrics, all optimizers."""
        found = list(self.variables)  # type: ignore[attr-defined]
        for metric in self.metrics:
            found += metric.variables
        held = [self.optimizer, *self._optimizers]  # type: ignore[attr-defined]
        for optimizer in held:
            if optimizer is not None:
                found += optimizer.variables
        return list({id(v): v for v in found}.values())

    def _executor_for(self, mode: str, batch: Any) -> Executor:
        """Return the runner of the train or test step, built for this kind of batch."""
        cache = self._executor if self._executor is not None else {}
        self._executor = cache
        key = self._program_key(mode)
        structure = jax.tree.structure(batch)
        entry = cache.get(mode)
        if entry is not None and entry[0] == key and entry[1] == structure:
            return entry[2]
        self._build_for(batch)
        step = self.train_step if mode == "train" else self.test_step
        custom = self._overrides(f"{mode}_step") or self._overrides("compute_metrics")
        program = Program(
            step,
            None if custom else self.get_metrics_result,
            self.reset_metrics,
            self._state_variables,
        )
        program.prepare(batch)
        executor = Executor(program, Pace(self.steps_per_execution))
        cache[mode] = (self._program_key(mode), structure, executor)
        return executor

    def _build_for(self, batch: Any) -> None:
        """Make the weights of a model that was never called, from the shapes of a batch."""
        if all(layer.built for layer in self._flatten_layers()):  # type: ignore[attr-defined]
            return
        x, _, _ = unpack_x_y_sample_weight(batch)
        if type(self).call is not Trainer._model_call():
            jax.eval_shape(abstractly(lambda data: self._forward(data, training=False)), x)

    @staticmethod
    def _model_call() -> Callable:
        """`Model.call`, which only raises: a model that overrides `train_step` may lack one."""
        from staghorn.models.model import Model

        return Model.call

    def make_train_function(self, force: bool = False) -> None:
        """Forget the compiled programs, so that the next call makes them again."""
        if force:
            self._executor = None

    make_test_function = make_train_function
    make_predict_function = make_train_function

    # Fit -----------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | list[int] = 1,
    ) -> History:
        """Train on arrays for a number of epochs.

        Args:
            x, y: arrays, or lists, tuples or dicts of them; pandas frames and series too.
            batch_size: rows in a step. Default: 32.
            epochs: index of the last epoch. Default: 1.
            verbose: 0 silent, 1 a progress bar, 2 a line per epoch. Default: "auto".
            callbacks: list of callbacks. Default: None.
            validation_split: last fraction of the rows, kept for validation. Default: 0.
            validation_data: (x, y) or (x, y, sample_weight). Default: None.
            shuffle: whether each epoch has an order of its own, "batch" for whole batches only.
            class_weight: dict class → weight of its rows. Default: None.
            sample_weight: weight of each row, per output if there are several. Default: None.
            initial_epoch: epoch to start at. Default: 0.
            steps_per_epoch: batches in an epoch. Default: all.
            validation_steps: batches in a validation. Default: all.
            validation_batch_size: Default: `batch_size`.
            validation_freq: validate every so many epochs, or at the listed ones. Default: 1.

        Returns:
            A History: `.history` is a dict of lists with one value per epoch.

        Raises:
            ValueError: before anything is trained, if the data does not fit the model.
        """
        self._assert_compiled("fit")
        _check_counts(batch_size=batch_size, epochs=epochs, steps_per_epoch=steps_per_epoch)
        x, y, sample_weight = self._standardize(x, y, sample_weight, class_weight)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split_rows(
                (x, y, sample_weight), validation_split
            )
        elif validation_data is not None:
            validation_data = self._validation_arrays(validation_data)
        batch_size = batch_size or 32
        feed = ArrayFeed(
            pack_x_y_sample_weight(x, y, sample_weight),
            batch_size,
            shuffle=shuffle,
            seed=make_default_seed(),
            steps=steps_per_epoch,
        )
        self._check_data(feed.data)
        if steps_per_epoch is not None and steps_per_epoch > feed.steps_per_epoch:
            warnings.warn(
                f"fit: steps_per_epoch={steps_per_epoch}, but the data has only "
                f"{feed.steps_per_epoch} batches of {batch_size}; an epoch is one pass. Leave "
                "steps_per_epoch out, or give more data.",
                stacklevel=2,
            )
        validation = None
        if validation_data is not None:
            validation = ArrayFeed(
                pack_x_y_sample_weight(*unpack_x_y_sample_weight(validation_data)),
                validation_batch_size or batch_size,
                steps=validation_steps,
            )
            self._check_data(validation.data, "validation_data")
        calls = CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=feed.steps_per_epoch,
            model=self,
        )
        self.stop_training = False
        run = self._epoch_runner("train", feed, calls)
        calls.on_train_begin()
        logs: dict[str, Any] = {}
        for epoch in range(initial_epoch, epochs):
            calls.on_epoch_begin(epoch)
            logs = run(epoch)
            if validation is not None and _validates(epoch, validation_freq):
                found = self._evaluate_feed(validation, calls)
                logs = {**logs, **{f"val_{name}": value for name, value in found.items()}}
            calls.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        if self.optimizer is not None and epochs > initial_epoch:
            self.optimizer.finalize_variable_values(self.trainable_variables)  # type: ignore[attr-defined]
        calls.on_train_end(logs)
        assert isinstance(self.history, History)
        return self.history

    def _standardize(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Any = None
    ) -> tuple[Any, Any, Any]:
        """Turn user data into nests of arrays, and class weights into sample weights."""
        if x is None:
            raise ValueError("The data is None: pass x=... (and y=...), arrays with equal rows.")
        x, y = to_arrays(x, "x"), to_arrays(y, "y")
        sample_weight = to_arrays(sample_weight, "sample_weight")
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError(
                    "fit: class_weight and sample_weight cannot be used together. Multiply the "
                    "class weights into sample_weight."
                )
            if y is None:
                raise ValueError("fit: class_weight needs targets y.")
            sample_weight = class_weights_to_sample_weights(y, class_weight)
        count_rows((x, y, sample_weight))
        return x, y, sample_weight

    def _validation_arrays(self, data: Any) -> Any:
        if not isinstance(data, (list, tuple)) or not 1 <= len(data) <= 3:
            raise ValueError(
                "fit: validation_data must be (x, y) or (x, y, sample_weight), "
                f"got {type(data).__name__}."
            )
        return self._standardize(*unpack_x_y_sample_weight(tuple(data)))

    def _check_data(self, data: Any, what: str = "") -> None:
        """Raise on data that does not fit the model, before anything is trained."""
        x, y, _ = unpack_x_y_sample_weight(data)
        check_inputs(self, x, what)
        if not self._overrides("train_step") and not self._overrides("compute_loss"):
            check_targets(self, y, what)

    def _epoch_runner(
        self, mode: str, feed: ArrayFeed, calls: CallbackList
    ) -> Callable[[int], dict[str, Any]]:
        """Return a function that runs one epoch and returns its logs."""
        batch = feed.first_batch()
        if self.run_eagerly:
            return functools.partial(self._eager_epoch, mode, feed, calls)
        executor = self._executor_for(mode, batch)
        hooks = _Hooks(self, calls, mode)
        pace = executor.pace
        pace.explicit = self.steps_per_execution
        if hooks.per_batch and pace.explicit is None:
            pace.explicit = 1
        capacity = max(1, min(feed.rows // feed.batch_size, HOST_GROUP))

        def run(epoch: int) -> dict[str, Any]:
            blocks = feed.blocks(epoch, capacity)
            return executor.epoch(blocks, hooks.before, hooks.after, hooks.on_group)

        return run

    def _eager_epoch(
        self, mode: str, feed: ArrayFeed, calls: CallbackList, epoch: int
    ) -> dict[str, Any]:
        """Run an epoch as plain Python, step by step."""
        step = self.train_step if mode == "train" else self.test_step
        hooks = _Hooks(self, calls, mode, always=True)
        self.reset_metrics()
        logs: dict[str, Any] = {}
        order = feed._epoch_rows(epoch)
        for index, start in enumerate(range(0, len(order), feed.batch_size)):
            rows = order[start : start + feed.batch_size]
            batch = tree.map_structure(
                lambda a, rows=rows: None if a is None else jnp.asarray(np.asarray(a)[rows]),
                feed.data,
            )
            if hooks.before is not None:
                hooks.before(index)
            logs = {k: _number(v) for k, v in step(batch).items()}
            if hooks.after is not None and hooks.after(index, logs):
                break
        return logs

    # Evaluate and predict ------------------------------------------------------------------

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the loss and the metrics on some data.

        Args:
            x, y, sample_weight: as in `fit`.
            batch_size: Default: 32.
            verbose: Default: "auto".
            steps: batches to use. Default: all.
            callbacks: list of callbacks. Default: None.
            return_dict: a dict by name instead of a list in the order of `metrics_names`.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(1)])
            >>> model.compile("sgd", loss="mse", metrics=["mae"])
            >>> result = model.evaluate(np.ones((8, 4)), np.ones((8, 1)), verbose=0)
            >>> len(result), model.metrics_names
            (2, ['loss', 'mae'])
        """
        if kwargs:
            raise ValueError(f"evaluate: unknown argument(s) {sorted(kwargs)}.")
        self._assert_compiled("evaluate")
        _check_counts(batch_size=batch_size, steps=steps)
        data = self._standardize(x, y, sample_weight)
        feed = ArrayFeed(pack_x_y_sample_weight(*data), batch_size or 32, steps=steps)
        self._check_data(feed.data)
        calls = CallbackList(
            callbacks,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=1,
            steps=feed.steps_per_epoch,
            model=self,
        )
        logs = self._evaluate_feed(feed, calls)
        if return_dict:
            return logs
        ordered = [logs[name] for name in self._ordered_names(logs)]
        return ordered[0] if len(ordered) == 1 else ordered

    def _evaluate_feed(self, feed: ArrayFeed, calls: CallbackList) -> dict[str, Any]:
        run = self._epoch_runner("test", feed, calls)
        calls.on_test_begin()
        logs = run(0)
        calls.on_test_end(logs)
        return logs

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return the outputs for some data as NumPy arrays.

        Args:
            x: as in `fit`.
            batch_size: Default: 32.
            verbose: Default: "auto".
            steps: batches to use. Default: all.
            callbacks: list of callbacks. Default: None.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
            >>> model.predict(np.ones((5, 4)), verbose=0).shape
            (5, 2)
        """
        _check_counts(batch_size=batch_size, steps=steps)
        x = to_arrays(x, "x")
        rows = count_rows(x)
        check_inputs(self, x, "")
        size = batch_size or 32
        if steps is not None:
            rows = min(rows, steps * size)
            x = tree.map_structure(lambda a: a[:rows], x)
        calls = CallbackList(
            callbacks,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=1,
            steps=-(-rows // size),
            model=self,
        )
        calls.on_predict_begin()
        outputs = predict_arrays(self, x, rows, size, calls)
        calls.on_predict_end()
        return outputs

    # One batch -----------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Train on one batch; metrics go on from the batch before (see `reset_metrics`)."""
        self._assert_compiled("train_on_batch")
        return self._on_batch("train", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluate one batch; metrics go on from the batch before (see `reset_metrics`)."""
        self._assert_compiled("test_on_batch")
        return self._on_batch("test", x, y, sample_weight, None, return_dict)

    def _on_batch(
        self, mode: str, x: Any, y: Any, sample_weight: Any, class_weight: Any, return_dict: bool
    ) -> Any:
        data = pack_x_y_sample_weight(*self._standardize(x, y, sample_weight, class_weight))
        self._check_data(data)
        feed = ArrayFeed(data, count_rows(data))
        if self.run_eagerly:
            step = self.train_step if mode == "train" else self.test_step
            batch = tree.map_structure(lambda a: None if a is None else jnp.asarray(a), data)
            logs = {k: _number(v) for k, v in step(batch).items()}
        else:
            executor = self._executor_for(mode, feed.first_batch())
            device = tree.map_structure(lambda a: None if a is None else jnp.asarray(a), data)
            rows = np.arange(feed.rows, dtype=np.int32)
            logs = executor.fetch(executor.dispatch_rows(device, rows, fresh=False))
        if return_dict:
            return logs
        ordered = [logs[name] for name in self._ordered_names(logs)]
        return ordered[0] if len(ordered) == 1 else ordered

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch as NumPy arrays."""
        x = to_arrays(x, "x")
        check_inputs(self, x, "")
        rows = count_rows(x)
        return predict_arrays(self, x, rows, rows, CallbackList())


class _Hooks:
    """What the executor calls back: batch hooks of users, and the progress of groups."""

    def __init__(self, model: Any, calls: CallbackList, mode: str, always: bool = False) -> None:
        self.model = model
        self.begin = getattr(calls, f"on_{mode}_batch_begin")
        self.end = getattr(calls, f"on_{mode}_batch_end")
        self.chunk = getattr(calls, f"on_{mode}_chunk_end")
        self.per_batch = calls.needs_batches(mode)
        wanted = self.per_batch or always
        self.before: Callable[[int], None] | None = self.begin if wanted else None
        self.after: Callable[[int, dict], bool] | None = self._after if wanted else None
        self.on_group: Callable[[int, dict], bool] | None = self._on_group

    def _after(self, index: int, logs: dict[str, Any]) -> bool:
        self.end(index, logs)
        self.chunk(index, logs)
        return bool(self.model.stop_training)

    def _on_group(self, index: int, logs: dict[str, Any]) -> bool:
        self.chunk(index, logs)
        return bool(self.model.stop_training)


def _validates(epoch: int, freq: int | list[int]) -> bool:
    if isinstance(freq, int):
        return (epoch + 1) % freq == 0
    return epoch + 1 in freq


def _number(value: Any) -> Any:
    array = np.asarray(getattr(value, "value", value))
    return float(array) if array.ndim == 0 else array


def _check_counts(**counts: Any) -> None:
    for name, value in counts.items():
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1
        ):
            raise ValueError(
                f"{name} must be a positive int, got {value!r} ({type(value).__name__})."
            )


@functools.lru_cache(maxsize=None)
def _accepts(function: Callable, name: str) -> bool:
    parameters = inspect.signature(function).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
