"""Trainer: `fit`, `evaluate`, `predict`, and the same for one batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack, closing
from os import PathLike
from typing import Any

import jax.numpy as jnp
import numpy as np

from staghorn import config
from staghorn.callbacks.backup_and_restore import Resume
from staghorn.callbacks.callback_list import CallbackList
from staghorn.callbacks.history import History
from staghorn.callbacks.training_state import Run
from staghorn.engine import tree
from staghorn.engine.spellings import say_once
from staghorn.random import make_shuffle_seed
from staghorn.training.base import TrainerBase
from staghorn.training.checks import (
    check_verbose,
    leaks_explained,
    limited,
    modern_call,
    whole_steps,
)
from staghorn.training.data import (
    ArrayFeed,
    count_rows,
    pack_x_y_sample_weight,
    split_rows,
    to_arrays,
    unpack_x_y_sample_weight,
)
from staghorn.training.loop import Feed, eager_step, epoch_runner
from staghorn.training.predictor import (
    predict_again,
    predict_arrays,
    predict_batches,
    remember,
)
from staghorn.training.sources import make_source
from staghorn.training.stream import StreamFeed
from staghorn.training.validation import (
    apply_class_weight,
    check_finite,
    check_inputs,
    check_targets,
    sole_input,
)

_SHORT_PASS = """\
steps_per_epoch={steps}, but a pass over the data has {every} batches of {batch_size}.
An epoch ends where the pass ends, so that some are short. Leave steps_per_epoch out, or give
more data."""

_IN_BATCHES = """\
{method}: x is a {what}, whose batches hold everything, but {name}= was given too.
Let each batch be (x, y) or (x, y, sample_weight), and leave {name} out."""
_NO_SPLIT = """\
fit: validation_split needs arrays, which can be cut; x is a {what}.
Give the batches for validation as validation_data=another {what}."""


class Trainer(TrainerBase):
    """The training half of a Model: `fit`, `evaluate`, `predict`, and their forms for one batch."""

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
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | list[int] = 1,
        resume: str | PathLike[str] | None = None,
        **kwargs: Any,
    ) -> History:
        """Train for a number of epochs.

        Args:
            x, y: arrays, or lists, tuples or dicts of them; pandas frames and series, and arrays
                in files (`numpy.memmap`, `h5py.Dataset`), too. Or x alone is something that gives
                batches `(x, y)` or `(x, y, sample_weight)`: a generator, a `PyDataset`, a torch
                `DataLoader`, a `tf.data.Dataset`, any iterable object.
            batch_size: rows in a step; batches that come ready keep their size. Default: 32.
            epochs: index of the last epoch. Default: 1.
            verbose: 0 silent, 1 a progress bar, 2 a line per epoch. Default: "auto".
            callbacks: list of callbacks. Default: None.
            validation_split: last fraction of the rows, kept for validation. Default: 0.
            validation_data: (x, y) or (x, y, sample_weight), or batches, as x. Default: None.
            shuffle: whether each epoch has an order of its own, "batch" for whole batches only.
            class_weight: dict class → weight of its rows, or of the steps of sequences; for
                several outputs a list of such, or a dict by output name. Default: None.
            sample_weight: weight of each row, per output if there are several. Default: None.
            initial_epoch: epoch to start at. Default: 0.
            steps_per_epoch: batches in an epoch; the next epoch goes on where it ended. Default:
                all, which an endless generator does not have.
            validation_steps: batches in a validation. Default: all.
            validation_batch_size: Default: `batch_size`.
            validation_freq: validate every so many epochs, or at the listed ones. Default: 1.
            resume: a `.keras` file that ModelCheckpoint wrote during such a `fit`: training goes on
                from it and ends as if it had not been interrupted. Beyond Keras. Default: None.

        Returns:
            A History: `.history` is a dict of lists with one value per epoch.

        Raises:
            ValueError: before anything is trained, if the data does not fit the model.
        """
        if kwargs:
            return Trainer.fit(**modern_call(Trainer.fit, locals()))
        epochs = limited("epochs", config.max_epochs(), epochs)
        steps_per_epoch = whole_steps("steps_per_epoch", steps_per_epoch)
        validation_steps = whole_steps("validation_steps", validation_steps)
        check_verbose("fit", verbose)
        self._assert_compiled("fit")
        _check_counts("fit", locals())
        _check_frequency(validation_freq)
        shuffle = _check_shuffle(shuffle)
        with ExitStack() as opened:
            stream = self._stream(
                "fit", x, y, sample_weight, steps_per_epoch, shuffle, class_weight=class_weight
            )
            feed: Feed
            if stream is not None:
                feed = stream
                if validation_split and validation_data is None:
                    raise ValueError(_NO_SPLIT.format(what=stream.source.what))
            else:
                data = _standardize(self, x, y, sample_weight)
                if validation_data is None and validation_split:
                    data, validation_data = split_rows(data, validation_split)
                data = _with_class_weights(self, data, class_weight)
                feed = arrays = self._feed(data, batch_size, steps_per_epoch, shuffle=shuffle)
                _warn_of_short_epochs(arrays, steps_per_epoch, epochs - initial_epoch)
            opened.callback(feed.close)
            validation = None
            if validation_data is not None:
                size = validation_batch_size or batch_size
                validation = self._validation_feed(validation_data, size, validation_steps)
                opened.callback(validation.close)
            steps = feed.steps or feed.steps_per_epoch
            callbacks = callbacks if resume is None else [callbacks or [], Resume(resume)]
            calls = self._calls(callbacks, verbose, steps, epochs, add_history=True)
            opened.callback(setattr, self, "_run", None)  # it holds the data
            self._fit(feed, validation, calls, range(initial_epoch, epochs), validation_freq)
        assert isinstance(self.history, History)
        return self.history

    def _fit(
        self, feed: Feed, validation: Feed | None, calls: CallbackList, epochs: range, freq: Any
    ) -> None:
        """Run the epochs."""
        self.stop_training, logs = False, {}
        run = epoch_runner(self, "train", feed, calls, epochs.start)
        validate = None if validation is None else self._evaluator(validation, calls)
        self._run = here = Run(epochs.start, feed, calls.callbacks)
        calls.on_train_begin()  # BackupAndRestore may move the begin
        if here.resumed is not None:
            feed.resume(here.resumed.position, here.epoch - epochs.start, here.batch)
            if isinstance(validation, StreamFeed) and not validation.source.restarts:
                for epoch in range(epochs.start, here.epoch):
                    validation.resume(None, int(_validates(epoch, freq)), 0)
        try:
            for epoch in range(here.epoch, epochs.stop):
                if not feed.ready(epochs.stop - epoch):
                    break
                calls.on_epoch_begin(epoch)
                done = here.batch if epoch == here.epoch else 0
                logs = self._train_epoch(run, epoch - epochs.start, done)
                if not logs and here.resumed is not None:  # its last batch was done before
                    logs = dict(here.resumed.logs)
                if validate is not None and _validates(epoch, freq):
                    logs |= {f"val_{name}": value for name, value in validate().items()}
                calls.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            if self.optimizer is not None and self.optimizer.built:
                self.optimizer.finalize_variable_values(self.trainable_variables)  # type: ignore[attr-defined]
        calls.on_train_end(logs)

    def _validation_feed(self, data: Any, batch_size: int | None, steps: int | None) -> Feed:
        stream = self._stream(
            "fit", data, None, None, steps, argument="validation_steps", name="validation_data"
        )
        if stream is not None:
            return stream
        call = "fit(..., validation_data=(x_val, y_val))"
        arrays = _validation_arrays(self, data)
        return self._feed(arrays, batch_size, steps, "validation_data", call=call)

    def _stream(
        self,
        method: str,
        x: Any,
        y: Any,
        sample_weight: Any,
        steps: int | None,
        shuffle: bool | str = False,
        argument: str = "steps_per_epoch",
        name: str = "x",
        class_weight: Any = None,
    ) -> StreamFeed | None:
        """Return the batches of a generator or loader, or None where x is arrays."""
        source = make_source(x, name, shuffle=bool(shuffle))
        if source is None:
            return None
        for other, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(_IN_BATCHES.format(method=method, what=source.what, name=other))

        seen: set[Any] = set()
        source.take_strings(self._takes_strings)  # type: ignore[attr-defined]

        def prepare(batch: Any) -> Any:
            x, *rest = _with_class_weights(self, unpack_x_y_sample_weight(batch), class_weight)
            x = sole_input(self, self._host_encoded(x))
            shapes = tuple(a.shape[1:] for a in tree.flatten(x) if a is not None)
            if shapes not in seen:  # sizes may change from batch to batch, where the model allows
                seen.add(shapes)
                check_inputs(self, x, f"{source.what}")
            return pack_x_y_sample_weight(x, *rest)

        steps = limited("steps_per_epoch", config.max_steps_per_epoch(), steps, source.num_batches)
        feed = StreamFeed(source, steps, prepare, argument)
        if method != "predict":  # its batches are inputs alone, and `prepare` checks those
            self._check_data(feed, "" if name == "x" else name, f"{method}(batches)")
        return feed

    def _calls(
        self,
        callbacks: Any,
        verbose: Any,
        steps: int | None,
        epochs: int = 1,
        add_history: bool = False,
    ) -> CallbackList:
        return CallbackList(
            callbacks,
            add_history=add_history,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
            model=self,
        )

    def _train_epoch(
        self, run: Callable[..., dict[str, Any]], index: int, done: int
    ) -> dict[str, Any]:
        self._in_epoch = True
        try:
            with leaks_explained():
                return run(index, done)
        finally:
            self._in_epoch = False

    def _feed(
        self,
        data: tuple[Any, Any, Any],
        batch_size: int | None,
        steps: int | None,
        what: str = "",
        shuffle: bool | str = False,
        call: str = "fit(x, y)",
        advise: bool = True,
    ) -> ArrayFeed:
        """Return checked data as batches.

        Args:
            data: x, y and sample weights, as arrays.
            batch_size: None is 32, or what makes one pass of `steps`.
            steps: batches in an epoch, or None for all.
            what: the argument's name, for errors.
            shuffle: as in `fit`.
            call: how targets are passed, for errors.
        """
        if batch_size is None:
            batch_size = 32 if steps is None else -(-count_rows(data) // steps)
        seed = make_shuffle_seed() if shuffle else 0
        packed = pack_x_y_sample_weight(sole_input(self, data[0]), *data[1:])
        every = -(-count_rows(data) // batch_size)
        steps = limited("steps_per_epoch", config.max_steps_per_epoch(), steps, every)
        feed = ArrayFeed(packed, batch_size, shuffle=shuffle, seed=seed, steps=steps)
        self._check_data(feed, what, call, advise)
        return feed

    def _check_data(self, feed: Feed, what: str, call: str, advise: bool = True) -> None:
        """Raise on data that does not fit the model, before anything is trained."""
        x, y, _ = unpack_x_y_sample_weight(feed.data)
        check_inputs(self, x, what)
        if advise:
            check_finite(x, what or call.split("(")[0])
        if not self._overrides("train_step") and not self._overrides("compute_loss"):
            batch = feed.first_batch()
            self._build_for(batch)
            check_targets(self, y, self._output_spec(batch), what, call, advise)

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
            return Trainer.evaluate(**modern_call(Trainer.evaluate, locals(), ValueError))
        steps = whole_steps("steps", steps)
        check_verbose("evaluate", verbose)
        self._assert_compiled("evaluate")
        _check_counts("evaluate", locals())
        stream = self._stream("evaluate", x, y, sample_weight, steps, argument="steps")
        with closing(
            stream
            or self._feed(
                _standardize(self, x, y, sample_weight), batch_size, steps, call="evaluate(x, y)"
            )
        ) as feed:
            steps = feed.steps or feed.steps_per_epoch
            calls = self._calls(callbacks, verbose, steps)
            return self._in_form(self._evaluator(feed, calls)(), return_dict)

    def _in_form(self, logs: dict[str, Any], return_dict: bool) -> Any:
        if return_dict:
            return logs
        ordered = [logs[name] for name in self._ordered_names(logs)]
        return ordered[0] if len(ordered) == 1 else ordered

    def _evaluator(self, feed: Feed, calls: CallbackList) -> Callable[[], dict[str, Any]]:
        """Return a function that goes over the feed once and returns its logs."""
        run = epoch_runner(self, "test", feed, calls)

        def evaluate() -> dict[str, Any]:
            self.stop_evaluating = False
            feed.rewind()
            with self._metrics_kept():
                calls.on_test_begin()
                with leaks_explained():
                    logs = run(0)
            calls.on_test_end(logs)
            return logs

        return evaluate

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        **kwargs: Any,
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
        if kwargs:
            return Trainer.predict(**modern_call(Trainer.predict, locals()))
        alone = verbose == 0 and steps is None and callbacks is None
        outputs = predict_again(self, x, batch_size) if alone else None
        if outputs is not None:
            return outputs
        steps = whole_steps("steps", steps)
        check_verbose("predict", verbose)
        _check_counts("predict", locals())
        feed = self._stream("predict", x, None, None, steps, argument="steps")
        if feed is not None:
            with closing(feed):
                calls = self._calls(callbacks, verbose, feed.steps_per_epoch)
                return predict_batches(self, feed.batches(0), calls)
        given, x = x, sole_input(self, to_arrays(self._host_encoded(x), "x"))
        rows = count_rows(x)
        check_inputs(self, x, "")
        size = batch_size or (32 if steps is None else -(-rows // steps))
        most = config.max_steps_per_epoch()
        steps = limited("steps_per_epoch", most, steps, -(-rows // size))
        if steps is not None:
            rows = min(rows, steps * size)
            x = tree.map_structure(lambda a: a[:rows], x)
        calls = self._calls(callbacks, verbose, -(-rows // size))
        calls.on_predict_begin()
        outputs = predict_arrays(self, x, rows, size, calls)
        calls.on_predict_end()
        if alone and x is given:
            remember(self, x, batch_size)
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
        """Train on one batch and return its loss and metrics."""
        self._assert_compiled("train_on_batch")
        return self._on_batch("train", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return the loss and metrics on one batch."""
        self._assert_compiled("test_on_batch")
        return self._on_batch("test", x, y, sample_weight, None, return_dict)

    def _on_batch(
        self, mode: str, x: Any, y: Any, sample_weight: Any, class_weight: Any, return_dict: bool
    ) -> Any:
        data = _with_class_weights(self, _standardize(self, x, y, sample_weight), class_weight)
        first = mode not in (self._executor or {})  # advice costs as much as a small step
        feed = self._feed(data, count_rows(data), None, call=f"{mode}_on_batch(x, y)", advise=first)
        with self._metrics_kept():
            return self._in_form(self._one_batch(mode, feed), return_dict)

    def _one_batch(self, mode: str, feed: ArrayFeed) -> dict[str, Any]:
        rows = np.arange(feed.rows, dtype=np.int32)
        if self._by_hand(mode):
            self._build_for(feed.first_batch())
            self.reset_metrics()
            return eager_step(self, mode, feed.data)
        executor = self._executor_for(mode, feed.first_batch())
        device = tree.map_structure(lambda a: None if a is None else jnp.asarray(a), feed.data)
        return executor.fetch(executor.dispatch_rows(device, rows, fresh=True))[0]

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch as NumPy arrays."""
        x = sole_input(self, to_arrays(self._host_encoded(x), "x"))
        check_inputs(self, x, "")
        rows = count_rows(x)
        return predict_arrays(self, x, rows, rows, CallbackList())


def _standardize(model: Any, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """Turn user data into nests of arrays with equal numbers of rows."""
    if x is None:
        raise ValueError("The data is None: pass x=... (and y=...), arrays with equal rows.")
    x = to_arrays(model._host_encoded(x), "x")
    data = x, to_arrays(y, "y"), to_arrays(sample_weight, "sample_weight")
    count_rows(data)
    return data


def _with_class_weights(model: Any, data: Any, class_weight: Any) -> tuple[Any, Any, Any]:
    """Return x, y and the weights of the rows, from class weights where those are given."""
    x, y, sample_weight = data
    if isinstance(class_weight, str) and class_weight == "auto":
        say_once("class_weight='auto'", "class_weight={class: weight}, or nothing", "fit")
        return data
    if class_weight is None:
        return data
    if sample_weight is not None:
        raise ValueError(
            "class_weight and sample_weight cannot be used together. Multiply the class weights "
            "into sample_weight."
        )
    if y is None:
        raise ValueError("class_weight needs targets y.")
    return x, y, apply_class_weight(model, y, class_weight)


def _warn_of_short_epochs(feed: ArrayFeed, steps: int | None, epochs: int) -> None:
    """Warn where the data ends in the middle of an epoch."""
    every = -(-feed.rows // feed.batch_size)
    if steps is not None and every % steps and epochs >= -(-every // steps):
        warnings.warn(
            _SHORT_PASS.format(steps=steps, every=every, batch_size=feed.batch_size), stacklevel=3
        )


def _validation_arrays(model: Any, data: Any) -> tuple[Any, Any, Any]:
    if not isinstance(data, (list, tuple)) or not 1 <= len(data) <= 3:
        raise ValueError(
            "fit: validation_data must be (x, y) or (x, y, sample_weight), "
            f"got {type(data).__name__}."
        )
    return _standardize(model, *unpack_x_y_sample_weight(tuple(data)))


def _validates(epoch: int, freq: Any) -> bool:
    if isinstance(freq, int):
        return (epoch + 1) % freq == 0
    return epoch + 1 in freq


_COUNTS = (
    "batch_size", "epochs", "steps", "steps_per_epoch", "validation_steps", "validation_batch_size"
)  # fmt: skip


def _check_counts(method: str, given: dict[str, Any]) -> None:
    for name in _COUNTS:
        value = given.get(name)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1
        ):
            raise ValueError(
                f"{method}: {name} must be a positive int, got {value!r} ({type(value).__name__})."
            )


def _check_frequency(freq: Any) -> None:
    whole = isinstance(freq, int) and not isinstance(freq, bool) and freq > 0
    if not whole and not isinstance(freq, (list, tuple, set)):
        raise ValueError(
            "fit: validation_freq must be a positive int or a list of epochs (from 1), "
            f"got {freq!r} ({type(freq).__name__})."
        )


def _check_shuffle(shuffle: Any) -> bool | str:
    if isinstance(shuffle, str) and shuffle != "batch":
        raise ValueError(f"fit: shuffle must be True, False or 'batch', got {shuffle!r}.")
    return shuffle if isinstance(shuffle, str) else bool(shuffle)
