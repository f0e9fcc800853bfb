"""TensorBoard: what happens in training, as files that TensorBoard shows."""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import numpy as np

from staghorn import config
from staghorn.callbacks import event_file
from staghorn.callbacks.callback import Callback, Logs, default
from staghorn.callbacks.event_file import EventFile
from staghorn.engine.keywords import reject_unknown
from staghorn.engine.spellings import modern, user_level

# Pictures of one weight in a summary, as in TensorFlow's.
_PICTURES = 3


class TensorBoard(Callback):
    """Write losses, metrics, histograms and more for TensorBoard; TensorFlow is not needed.

    `log_dir/train` gets `epoch_<name>` for each value of training and `epoch_learning_rate`;
    `log_dir/validation` gets `epoch_<name>` for each `val_<name>`, and at the end of each
    evaluation `evaluation_<name>_vs_iterations`. Look at them with `tensorboard --logdir=logs`.

    Args:
        log_dir: folder of this run; default "logs".
        histogram_freq: write a histogram of each weight every so many epochs; default 0, none.
        write_graph: write the model's JSON, which TensorBoard draws as its "conceptual graph",
            under the tag `keras`; Sequential and Functional models only; default True.
        write_images: with the histograms, write weights as pictures too; default False.
        write_steps_per_second: write `epoch_steps_per_second`, and `batch_steps_per_second` where
            batches are written; default False.
        update_freq: "epoch", "batch", or a number of training steps: also write `batch_<name>`
            every so many steps; default "epoch".
        profile_batch: a training step (the first is 1) or a pair of first and last to profile
            with `jax.profiler`; default 0, none.
        embeddings_freq: write the table of each Embedding layer for TensorBoard's projector every
            so many epochs; default 0, never.
        embeddings_metadata: file with a label per row of the table, or a dict from the names of
            Embedding layers to such files; default None.

    Raises:
        ValueError: wrong `update_freq` or `profile_batch`, or `embeddings_metadata` names a layer
            that is not there.

    Example:
        >>> import pathlib, tempfile
        >>> model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> folder = tempfile.mkdtemp()
        >>> data = np.ones((4, 2)), np.ones((4, 1))
        >>> board = staghorn.callbacks.TensorBoard(folder)
        >>> history = model.fit(*data, validation_data=data, verbose=0, callbacks=[board])
        >>> sorted(path.name for path in pathlib.Path(folder).iterdir())
        ['train', 'validation']

    Notes:
        "epoch" costs no speed. Other values of `update_freq`, and `profile_batch`, make every
        training step a program call of its own, from the first step to the last. Differences from
        Keras: batches are counted in steps, also with `steps_per_execution`; a value that is an
        array is written as one number per element, `epoch_<name>_<i>`; the graph is written when
        training begins; embeddings are written as tables that the projector reads, where Keras
        writes a weights file that it cannot read; `tf.summary` calls in a model have no meaning.
    """

    kept = ("_step",)

    def __init__(
        self,
        log_dir: str | PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int | str | Sequence[int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            known = tuple(inspect.signature(TensorBoard).parameters)
            _, kwargs = modern("TensorBoard", known, (), kwargs)
            reject_unknown("TensorBoard", kwargs, known)
        super().__init__()
        self.log_dir = str(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = _checked_frequency(update_freq)
        self.profile_batch = profile_range(profile_batch)
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        if self.update_freq != "epoch" or self.profile_batch[1] > 0:
            self.needs_batches = True
            self.hooks = self.hooks | {"on_train_batch_begin", "on_train_batch_end"}
        self._writers: dict[str, EventFile] = {}
        self._step = 0  # training steps of this fit
        self._epoch_steps = 0  # steps of this epoch that were counted
        self._epoch_start = (0, 0.0)  # iterations of the optimizer and time
        self._batch_start = 0.0
        self._profiling = False

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._writers = {}
        if self.embeddings_freq:
            self._write_projector()

    def _write(self, run: str, events: Sequence[bytes]) -> None:
        if run not in self._writers:
            self._writers[run] = EventFile(Path(self.log_dir) / run)
        self._writers[run].write(events)

    # Hooks ---------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs = None) -> None:
        self._step = 0
        if self.write_graph:
            self._write_model()

    def on_train_end(self, logs: Logs = None) -> None:
        self._stop_profiler()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch_steps = 0
        if self.write_steps_per_second:
            self._epoch_start = (self._iterations(), time.perf_counter())

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = logs or {}
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        if logs:
            train |= learning_rates(self.model.optimizer)
        if logs and self.write_steps_per_second:
            iterations, begin = self._epoch_start
            seconds = max(time.perf_counter() - begin, 1e-9)
            train["steps_per_second"] = (self._iterations() - iterations) / seconds
        validation = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        self._write("train", scalars("epoch_{}", train, epoch))
        self._write("validation", scalars("epoch_{}", validation, epoch))
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write("train", list(self._weights(epoch)))
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings()

    def on_test_end(self, logs: Logs = None) -> None:
        if self.model.optimizer is not None:
            events = scalars("evaluation_{}_vs_iterations", logs or {}, self._iterations())
            self._write("validation", events)

    @default  # heard only where batches are written or profiled, see __init__
    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        self._batch_start = time.perf_counter()
        first, last = self.profile_batch
        if not self._profiling and first <= self._step + 1 <= last:
            self._start_profiler()

    @default  # heard only where batches are written or profiled, see __init__
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        steps = batch + 1 - self._epoch_steps
        self._epoch_steps = batch + 1
        before, self._step = self._step, self._step + steps
        if self._profiling and self._step >= self.profile_batch[1]:
            self._stop_profiler()
        every = self.update_freq
        if not isinstance(every, int) or before // every == self._step // every:
            return
        values = dict(logs or {})
        if self.write_steps_per_second:
            seconds = max(time.perf_counter() - self._batch_start, 1e-9)
            values["steps_per_second"] = steps / seconds
        self._write("train", scalars("batch_{}", values, self._step))

    def _iterations(self) -> int:
        return int(self.model.optimizer.iterations)

    # Weights and graph ---------------------------------------------------------------------

    def _weights(self, epoch: int) -> Iterator[bytes]:
        for layer in self.model.layers:
            for weight in layer.weights:
                value, name = weight.numpy(), weight.path.replace(":", "_")
                yield event_file.histogram(f"{name}/histogram", value, epoch)
                pictures = weight_pictures(value)
                if self.write_images and pictures is not None:
                    yield event_file.images(f"{name}/image", pictures[:_PICTURES], epoch)

    def _write_model(self) -> None:
        if type(self.model).__name__ not in ("Functional", "Sequential"):
            return
        try:
            content = self.model.to_json()
        except (TypeError, ValueError, NotImplementedError) as error:
            warnings.warn(
                f"TensorBoard: the graph is not written, since the model has no JSON. ({error})",
                stacklevel=user_level(),
            )
            return
        self._write("train", [event_file.text("keras", "graph_keras_model", b"1", content, 0)])

    # Profile -------------------------------------------------------------------------------

    def _start_profiler(self) -> None:
        try:
            jax.profiler.start_trace(str(Path(self.log_dir) / "train"))
        except RuntimeError as error:  # somebody else is profiling
            warnings.warn(f"TensorBoard: nothing is profiled. {error}", stacklevel=user_level())
            self.profile_batch = (0, 0)
            return
        self._profiling = True

    def _stop_profiler(self) -> None:
        if self._profiling:
            self._profiling = False
            jax.profiler.stop_trace()

    # Embeddings ----------------------------------------------------------------------------

    def _embeddings(self) -> list[Any]:
        from staghorn.layers.embedding import Embedding

        return [layer for layer in self.model.layers if isinstance(layer, Embedding)]

    def _write_projector(self) -> None:
        """Write the file by which the projector finds the tables and their labels."""
        layers, labels = self._embeddings(), self.embeddings_metadata
        if isinstance(labels, Mapping):
            names = [layer.name for layer in layers]
            if unknown := sorted(set(labels) - set(names)):
                raise ValueError(
                    f"TensorBoard: embeddings_metadata names {', '.join(map(repr, unknown))}, but "
                    f"the model's Embedding layers are {', '.join(map(repr, names)) or 'none'}."
                )
        entries = []
        for layer in layers:
            lines = [f'tensor_name: "{layer.name}"', f'tensor_path: "{_table(layer)}"']
            found = labels.get(layer.name) if isinstance(labels, Mapping) else labels
            if found is not None:
                lines.append(f'metadata_path: "{found}"')
            entries.append("embeddings {\n" + "".join(f"  {line}\n" for line in lines) + "}\n")
        Path(self.log_dir).mkdir(parents=True, exist_ok=True)
        (Path(self.log_dir) / "projector_config.pbtxt").write_text("".join(entries))

    def _write_embeddings(self) -> None:
        for layer in self._embeddings():
            table = np.asarray(np.asarray(layer.embeddings), np.float32)
            np.savetxt(Path(self.log_dir) / _table(layer), table, fmt="%.8g", delimiter="\t")


def _table(layer: Any) -> str:
    return f"embedding-{layer.name.replace('/', '_')}.tsv"


def scalars(tag: str, logs: Mapping[str, Any], step: int) -> list[bytes]:
    """Return an Event per number in the logs; what is neither number nor array is left out.

    Example:
        >>> from staghorn.callbacks.tensorboard import scalars
        >>> len(scalars("epoch_{}", {"loss": 0.5, "f1": np.ones(3)}, step=0))
        4
    """
    events = []
    for name, value in logs.items():
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
            continue
        for i, number in enumerate(array.ravel().tolist()):
            label = f"{name}_{i}" if array.ndim else name
            events.append(event_file.scalar(tag.format(label), number, step))
    return events


def learning_rates(optimizer: Any) -> dict[str, float]:
    """Return the present learning rate, of each optimizer where one holds several.

    Example:
        >>> from staghorn.callbacks.tensorboard import learning_rates
        >>> learning_rates(staghorn.optimizers.SGD(0.5))
        {'learning_rate': 0.5}
    """
    held = getattr(optimizer, "inner_optimizer", optimizer)  # LossScaleOptimizer
    if held is None:
        return {}
    several = getattr(held, "optimizers", None)
    named = [(f"learning_rate_{o.name}", o) for o in several] if several else []
    named = named or [("learning_rate", held)]
    # A transformation of optax may have a rate that nobody can read.
    return {name: float(o.learning_rate) for name, o in named if hasattr(o, "learning_rate")}


def weight_pictures(weight: np.ndarray) -> np.ndarray | None:
    """Return a weight as pictures (n, height, width, channels), None if it has no such form.

    A vector is a column of pixels, a matrix lies on its longer side, three axes are a stack.

    Example:
        >>> from staghorn.callbacks.tensorboard import weight_pictures
        >>> weight_pictures(np.ones((5, 3))).shape
        (1, 3, 5, 1)
    """
    image = np.squeeze(np.asarray(weight, np.float32))
    if image.ndim == 1:
        return image.reshape(1, -1, 1, 1)  # (1, n, 1, 1)
    if image.ndim == 2:
        image = image.T if image.shape[0] > image.shape[1] else image
        return image.reshape(1, *image.shape, 1)  # (1, short, long, 1)
    if image.ndim == 3:
        if config.image_data_format() == "channels_last":
            image = np.transpose(image, (2, 0, 1))
        return image.reshape(*image.shape, 1)  # (channels, height, width, 1)
    return image if image.ndim == 4 and image.shape[-1] in (1, 3, 4) else None


def profile_range(value: Any) -> tuple[int, int]:
    """Return the first and last step to profile; (0, 0) for none.

    Raises:
        ValueError: it is neither a number of steps nor a pair of them.

    Example:
        >>> from staghorn.callbacks.tensorboard import profile_range
        >>> profile_range(3), profile_range((2, 5)), profile_range("2,5")
        ((3, 3), (2, 5), (2, 5))
    """
    given = value.split(",") if isinstance(value, str) else value
    pair = list(given) if isinstance(given, (list, tuple)) else [given]
    try:
        steps = [int(step) for step in pair]
    except (TypeError, ValueError):
        steps = []
    first, last = (steps[0], steps[-1]) if len(steps) in (1, 2) else (-1, -1)
    if first < 0 or last < first or (first == 0 and last > 0):
        raise ValueError(
            "TensorBoard: profile_batch must be 0, a step (the first is 1), or a pair "
            f"(first, last) of steps, got {value!r} ({type(value).__name__})."
        )
    return first, last


def _checked_frequency(value: Any) -> str | int:
    if value == "batch":
        return 1
    if value == "epoch" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError(
        "TensorBoard: update_freq must be 'epoch', 'batch' or a positive int (training steps), "
        f"got {value!r} ({type(value).__name__})."
    )
