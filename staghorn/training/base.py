"""What a model is compiled with, the steps one can override, and their compiled programs."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config, losses, optimizers
from staghorn.callbacks.history import History
from staghorn.callbacks.training_state import Run
from staghorn.engine import tree
from staghorn.engine.scope import abstractly, value_and_grad
from staghorn.engine.spellings import old_scripts, user_level
from staghorn.metrics.metric import Metric
from staghorn.metrics.reduction import Mean
from staghorn.optimizers.loss_scale import LossScaleOptimizer
from staghorn.optimizers.optimizer import RateFactors
from staghorn.training.checks import (
    check_loss_weights,
    check_names,
    checked_multipliers,
    leaks_explained,
    modern_call,
)
from staghorn.training.compile import CompiledLoss, CompiledMetrics, OutputMap
from staghorn.training.data import unpack_x_y_sample_weight
from staghorn.training.executor import Executor, Pace
from staghorn.training.layer_paths import rate_factors
from staghorn.training.predictor import predictor_for
from staghorn.training.stateless import (
    assign_state,
    either_style,
    state_of,
    step_of,
    takes_state,
)
from staghorn.training.step import Program

_NOT_COMPILED = """\
Model '{name}' was not compiled. Before {what}(), write
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])"""


_TOGGLED = """\
Model '{name}': `trainable` was changed after compile(...). As in Keras 3 this counts at once: \
{now} weights are trained, {then} were trainable at compile. Keras 2 went on with those. If it is \
meant so, call compile again; a script of that age runs with its own meaning by    staghorn run"""


def _edit_of(layer: Any) -> int:
    """Return when a layer of ours was changed; others note things in attributes as they run."""
    return layer._edited if layer._is_ours and not isinstance(layer, TrainerBase) else 0


class TrainerBase:
    """The training half of a Model, without the loops over data."""

    _untracked: ClassVar[frozenset[str]] = frozenset(
        ("optimizer", "loss", "history", "_loss_tracker", "_compile_arguments", "_executor")
    )

    def __init__(self) -> None:
        self.compiled = False
        self.optimizer: Any = None
        self.loss: Any = None
        self.stop_training = False
        self.stop_evaluating = False
        self.stop_predicting = False
        self.run_eagerly = False
        self.steps_per_execution: int | None = None
        self.jit_compile: Any = "auto"
        self.history: History | None = None
        self._run: Run | None = None  # the `fit` that is going on
        self._rate_multipliers: dict[str, float] = {}  # of `compile`, by pattern
        self._flags: dict[int, bool] = {}  # id(layer) → whether it was trainable at `compile`
        self._compiled_loss: CompiledLoss | None = None
        self._compiled_metrics: CompiledMetrics | None = None
        self._loss_tracker: Mean | None = None
        self._compile_arguments: dict[str, Any] | None = None
        self._executor: dict[Any, Any] | None = None
        self.train_function = self.test_function = self.predict_function = None
        self._in_epoch = False

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
        learning_rate_multipliers: Mapping[str, float] | None = None,
        **kwargs: Any,
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
            jit_compile: accepted for Keras's sake; everything is compiled.
            auto_scale_loss: scale the loss of a mixed_float16 model. Default: True.
            learning_rate_multipliers: pattern → factor, as `{"encoder*": 0.1, "bias": 2.0}`: a
                weight whose path ("encoder/dense/kernel") holds names that fit learns as with an
                optimizer of its own of the rate `factor * learning_rate`, schedules and weight
                decay included; of several that fit, the last counts. Beyond Keras, which opens
                files of such models and ignores it. Default: None.

        Raises:
            ValueError: if an argument is out of range, or a pattern fits no weight.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(1)])
            >>> model.compile("sgd", loss="mse", metrics=["mae"])
            >>> history = model.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=0)
            >>> sorted(history.history)
            ['loss', 'mae']
        """
        if kwargs:
            TrainerBase.compile(**modern_call(TrainerBase.compile, locals()))
            return
        check_loss_weights(loss_weights)
        check_names(loss, losses.get)
        given: Any = optimizers.get(optimizer)
        half = self.dtype_policy.name == "mixed_float16"  # type: ignore[attr-defined]
        scaled = given is None or isinstance(given, LossScaleOptimizer)
        wrap = auto_scale_loss and half and not scaled
        self.optimizer = LossScaleOptimizer(given, name="loss_scale_optimizer") if wrap else given
        self.loss = loss
        self._compiled_loss = None if loss is None else CompiledLoss(loss, loss_weights)
        has_metrics = metrics is not None or weighted_metrics is not None
        self._compiled_metrics = CompiledMetrics(metrics, weighted_metrics) if has_metrics else None
        self.steps_per_execution = _checked_steps(steps_per_execution)
        self.run_eagerly = bool(run_eagerly)
        self.jit_compile = jit_compile
        self.stop_training = False
        self._loss_tracker = Mean(name="loss")
        self.train_function = self.test_function = self.predict_function = None
        self.compiled = True
        self._executor = None
        self._compile_arguments = {
            "optimizer": self.optimizer,  # as it trains: its state in files is that of the wrapped
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": 1 if steps_per_execution is None else steps_per_execution,
            "jit_compile": True if jit_compile == "auto" else jit_compile,
        }
        self._rate_multipliers = checked_multipliers(learning_rate_multipliers, self.optimizer)
        if isinstance(self.optimizer, optimizers.Optimizer):
            self.optimizer._multiply_rates(RateFactors())  # not those of an earlier compile
        self._multiply_rates()
        layers = self._flatten_layers()  # type: ignore[attr-defined]
        self._flags = {id(layer): layer._trainable for layer in layers}

    def _multiply_rates(self) -> None:
        """Tell the optimizer which weights learn faster or slower, once they all exist."""
        layers = self._flatten_layers()  # type: ignore[attr-defined]
        if self._rate_multipliers and all(layer.built for layer in layers):
            pairs = rate_factors(self, self._rate_multipliers)
            self.optimizer._multiply_rates(RateFactors(tuple(pairs)))

    def _weights_to_train(self) -> list[Any]:
        """Return what `train_step` updates: what is trainable now, as in Keras 3.

        Old scripts, GANs above all, freeze a model after `compile` so that others do not train it,
        and go on training the model itself: for them the flags of `compile` count.
        """
        now = self.trainable_variables  # type: ignore[attr-defined]
        layers = self._flatten_layers()  # type: ignore[attr-defined]
        flags = [self._flags.get(id(layer), layer._trainable) for layer in layers]
        if flags == [layer._trainable for layer in layers]:
            return now
        pairs = zip(layers, flags, strict=True)
        then = {id(v): v for layer, flag in pairs if flag for v in layer._trainable_variables}
        if old_scripts():
            return list(then.values())
        if then.keys() != {id(v) for v in now}:
            warnings.warn(_TOGGLED.format(name=self.name, now=len(now), then=len(then)),  # type: ignore[attr-defined]
                          stacklevel=user_level())  # fmt: skip
            self._flags = {}
        return now

    def _show_accuracy(self, wanted: bool) -> None:
        """Measure accuracy from now on, for scripts that ask for it in `fit`."""
        if wanted and self._compiled_metrics is None and self._compile_arguments is not None:
            self._compiled_metrics = CompiledMetrics(["accuracy"], None)
            self._compile_arguments["metrics"] = ["accuracy"]
            self._executor = None

    def _assert_compiled(self, what: str) -> None:
        if not self.compiled and not self._overrides("train_step"):
            raise ValueError(_NOT_COMPILED.format(name=self.name, what=what))  # type: ignore[attr-defined]

    def _overrides(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(TrainerBase, method)

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
            if layer is self or not isinstance(layer, TrainerBase):
                found += layer._metrics  # type: ignore[union-attr]
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
        listed = self.metrics
        compiled = self._compiled_metrics if self.compiled else None
        inside = {id(m) for m in compiled.metrics} if compiled is not None else set()
        for metric in listed:
            if id(metric) in inside:
                continue
            value = metric.result()
            if isinstance(value, dict):
                results.update(value)
            else:
                results[metric.name] = value
        # A class may override `metrics` and leave out what was compiled.
        if compiled is not None and any(id(metric) in inside for metric in listed):
            results.update(compiled.result())
        return results

    def reset_metrics(self) -> None:
        """Set every metric back to its start."""
        for metric in self.metrics:
            metric.reset_state()

    @contextmanager
    def _metrics_kept(self) -> Iterator[None]:
        """Keep the running epoch's metrics while a callback evaluates the model."""
        if not self._in_epoch:
            yield
            return
        # Copies: evaluation gives the arrays themselves away to its program.
        kept = [(v, v.numpy()) for metric in self.metrics for v in metric.variables]
        try:
            yield
        finally:
            self.reset_metrics()  # also those that evaluation made
            for variable, value in kept:
                variable.assign(value)

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

    def _host_encoded(self, x: Any) -> Any:
        """Return x after the layers that take strings, if the model begins with such."""
        return x

    def _output_map(self, y_pred: Any) -> OutputMap:
        return OutputMap(y_pred, getattr(self, "output_names", None))

    @either_style
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

        variables = self._weights_to_train()
        if not variables and self.built:  # type: ignore[attr-defined]
            warnings.warn(
                "The model has no trainable weights: training will not change it.",
                stacklevel=user_level(),
            )
            _, (y_pred, loss) = loss_fn()
        else:
            (_, (y_pred, loss)), gradients = value_and_grad(loss_fn, variables, has_aux=True)()
            more = self.optimizer._of_the_loss(loss)
            self.optimizer.apply(gradients, variables, **more)
        self._track_loss(loss, x)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    @either_style
    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self._forward(x, training=False)
        loss = self._compute_loss(x, y, y_pred, sample_weight, training=False)
        self._track_loss(loss, x)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    @either_style
    def predict_step(self, data: Any) -> Any:
        """Return the outputs for one batch."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self._forward(x, training=False)

    def _forward(self, x: Any, training: bool) -> Any:
        # A nest of inputs is one argument; a call without `training` still runs in the mode.
        outputs = self(x, training=training)  # type: ignore[operator]
        if outputs is None:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': call returned None. "  # type: ignore[attr-defined]
                "End it with a return: return outputs."
            )
        return outputs

    def _compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Any:
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
        flags = tuple((id(layer), layer._trainable, _edit_of(layer)) for layer in layers)
        variables = tuple(id(v) for v in self._state_variables())
        steps = type(self).train_step, type(self).test_step, type(self).predict_step
        return mode, flags, variables, steps, config.epsilon()

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

    def _forward_variables(self) -> list[Any]:
        """Every Variable that the layers read: weights and seeds."""
        metrics = {id(v) for metric in self.metrics for v in metric.variables}
        return [v for v in self.variables if id(v) not in metrics]  # type: ignore[attr-defined]

    def _executor_for(self, mode: str, batch: Any, guarded: bool = False) -> Executor:
        """Return the runner of the train or test step, built for this kind of batch.

        With `guarded`, training ends before the first step whose loss is not finite.
        """
        cache = self._executor if self._executor is not None else {}
        self._executor = cache
        key = self._program_key(mode)
        structure = jax.tree.structure(batch)
        place = (mode, "guarded") if guarded else mode
        entry = cache.get(place)
        if entry is not None and entry[0] == key and entry[1] == structure:
            return entry[2]
        self._build_for(batch)
        custom = self._overrides(f"{mode}_step") or self._overrides("compute_metrics")
        program = Program(
            step_of(self, mode),
            None if custom else self.get_metrics_result,
            self.reset_metrics,
            self._state_variables,
            functools.partial(self._watched, custom) if mode == "train" else lambda logs: None,
            self._forward_variables if guarded else None,
        )
        with leaks_explained():
            if not custom and not self._overrides("compute_loss"):
                self._build_around(mode, batch)
            program.prepare(batch)
        executor = Executor(program, Pace(self.steps_per_execution))
        cache[place] = (self._program_key(mode), structure, executor)
        return executor

    def _watched(self, custom: bool, logs: dict[str, Any] | None) -> Any:
        """Return what tells that a step's loss was not finite: the sum of losses, or a log."""
        if not custom:
            return None if self._loss_tracker is None else self._loss_tracker.total.value
        loss = (logs or {}).get("loss")
        loss = None if loss is None else jnp.asarray(getattr(loss, "value", loss))
        return loss if loss is not None and loss.ndim == 0 else None

    def _build_for(self, batch: Any) -> None:
        """Make the weights of a model that was never called, from the shapes of a batch."""
        built = all(layer.built for layer in self._flatten_layers())  # type: ignore[attr-defined]
        if not built and self._has_own_call():
            x, _, _ = unpack_x_y_sample_weight(batch)
            jax.eval_shape(abstractly(lambda data: self._forward(data, training=False)), x)
        self._multiply_rates()
        if takes_state(self, "train") or takes_state(self, "test"):
            self._build_state(batch)

    def _build_around(self, mode: str, batch: Any) -> None:
        """Make the metrics and the optimizer's state, so that tracing the step finds them.

        Otherwise the whole step is traced twice. Only a graph knows what it returns beforehand.
        """
        loss = self._compiled_loss
        if loss is None or loss.terms is not None or getattr(self, "_graph", None) is None:
            return
        x, y, sample_weight = unpack_x_y_sample_weight(batch)
        rows = len(jax.tree.leaves(x)[0])
        spec = tree.map_structure(
            lambda t: jax.ShapeDtypeStruct((rows, *t.shape[1:]), t.dtype), self._output_spec(batch)
        )
        if any(None in output.shape for output in jax.tree.leaves(spec)):
            return

        def around(x: Any, y: Any, sample_weight: Any, y_pred: Any) -> None:
            self._track_loss(loss(self._output_map(y_pred), y, y_pred, sample_weight), x)
            TrainerBase.compute_metrics(self, x, y, y_pred, sample_weight)

        jax.eval_shape(abstractly(around), x, y, sample_weight, spec)
        if mode == "train" and self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self._weights_to_train())

    def _build_state(self, batch: Any) -> None:
        """Make what a stateless step finds in its state: compiled metrics and loss, optimizer."""
        loss, metrics = self._compiled_loss, self._compiled_metrics
        unbuilt = (loss is not None and loss.terms is None) or (
            metrics is not None and metrics.entries is None
        )
        if unbuilt and self._has_own_call():
            jax.eval_shape(abstractly(lambda data: TrainerBase.test_step(self, data)), batch)
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]

    def _output_spec(self, batch: Any) -> Any:
        """Return what the model makes of a batch, as a nest of shapes; None if nobody can say."""
        if getattr(self, "_graph", None) is not None:
            return getattr(self, "_outputs_struct", self.outputs[0])  # type: ignore[attr-defined]
        if not self._has_own_call():
            return None
        x, _, _ = unpack_x_y_sample_weight(batch)
        cache = self._executor = self._executor if self._executor is not None else {}
        key = jax.tree.structure(x), tuple((a.shape[1:], a.dtype) for a in jax.tree.leaves(x))
        if cache.get("outputs", (None,))[0] != key:
            forward = abstractly(lambda data: self._forward(data, training=False))
            cache["outputs"] = key, jax.eval_shape(forward, x)
        return cache["outputs"][1]

    def _has_own_call(self) -> bool:
        """Whether somebody wrote `call`: a model that overrides `train_step` may lack one."""
        owner = next(cls for cls in type(self).__mro__ if "call" in vars(cls))
        return owner.__module__ != "staghorn.models.model"

    def make_train_function(self, force: bool = False) -> Any:
        """Set and return `train_function(state, iterator)` → `(logs, state)`, for own loops.

        It takes one batch from the iterator and runs the compiled `train_step` on it. The model's
        Variables follow, so they need not be assigned after it. Where a subclass overrides this,
        `fit` calls the function it made, batch by batch, instead of many steps in one call.

        Args:
            force: forget what was compiled, and make the function again. Default: False.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
            >>> model.compile(staghorn.optimizers.SGD(0.1), "mse")
            >>> step = model.make_train_function()
            >>> batches = iter([(np.ones((4, 2)), np.ones((4, 1)))])
            >>> model.optimizer.build(model.trainable_variables)
            >>> kinds = [model.trainable_variables, model.non_trainable_variables]
            >>> kinds += [model.optimizer.variables, model.metrics_variables]
            >>> logs, state = step(tuple([v.value for v in kind] for kind in kinds), batches)
            >>> list(logs), len(state)
            (['loss'], 4)
        """
        return self._make_function("train", force)

    def make_test_function(self, force: bool = False) -> Any:
        """Set and return `test_function(state, iterator)`, as `make_train_function` does."""
        return self._make_function("test", force)

    def make_predict_function(self, force: bool = False) -> Any:
        """Set and return `predict_function(state, iterator)`, as `make_train_function` does."""
        return self._make_function("predict", force)

    def _make_function(self, mode: str, force: bool) -> Any:
        if force:
            self._executor = None
        if force or getattr(self, f"{mode}_function") is None:
            made = functools.partial(self._run_function, mode)
            setattr(self, f"{mode}_function", made)
        return getattr(self, f"{mode}_function")

    def _run_function(self, mode: str, state: Any, iterator: Iterator[Any]) -> tuple[Any, Any]:
        batch = tree.map_structure(lambda a: None if a is None else jnp.asarray(a), next(iterator))
        self._build_for(batch)
        assign_state(self, mode, state)
        if self.run_eagerly:
            out = step_of(self, mode)(batch)
        elif mode == "predict":
            predictor = predictor_for(self, batch)
            out = predictor.run(predictor.one, batch)
        else:
            executor = self._executor_for(mode, batch)
            rows = np.arange(jax.tree.leaves(batch)[0].shape[0], dtype=np.int32)
            out = executor.fetch(executor.dispatch_rows(batch, rows, fresh=False))[0]
        return out, state_of(self, mode)

    def _by_hand(self, mode: str) -> bool:
        """Whether steps run batch by batch from Python."""
        return self.run_eagerly or self._overrides(f"make_{mode}_function")

    def jax_state_sync(self) -> None:
        """Do nothing: Variables always have the values of the last step that is done.

        Keras on JAX takes the weights away during an epoch; callbacks written for it ask for them.

        Example:
            >>> class Watch(staghorn.callbacks.Callback):
            ...     def on_train_batch_end(self, batch, logs=None):
            ...         self.model.jax_state_sync()
            ...         self.weight = self.model.get_weights()[0]
            >>> model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> watch = Watch()
            >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[watch])
            >>> watch.weight.shape
            (2, 1)
        """


def _checked_steps(steps: Any) -> int | None:
    if steps is None or steps == "auto":
        return None
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"compile: steps_per_execution must be a positive int, got {steps!r}.")
    return steps


@functools.lru_cache(maxsize=1024)
def _accepts(function: Callable, name: str) -> bool:
    parameters = inspect.signature(function).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
