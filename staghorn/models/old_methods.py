"""Methods of models that old scripts call; each says once how it is written today."""

from __future__ import annotations

import itertools
import math
from typing import Any

from staghorn.engine import tree
from staghorn.engine.spellings import say_once

_FIT = (
    "x", "steps_per_epoch", "epochs", "verbose", "callbacks", "validation_data",
    "validation_steps", "validation_freq", "class_weight", "max_queue_size", "workers",
    "use_multiprocessing", "shuffle", "initial_epoch",
)  # fmt: skip


class OldMethods:
    """What `Model` answers to beside today's methods.

    Example:
        >>> import warnings
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(3)])
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     model.predict_classes(np.ones((2, 4))).shape
        (2,)
    """

    def to_yaml(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: YAML can hold code."""
        raise RuntimeError(
            "model.to_yaml() is gone, since YAML can hold code. Use    model.to_json()    and\n"
            "staghorn.models.model_from_json(text)."
        )

    def fit_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """Train on batches: `fit`. `samples_per_epoch` and `nb_val_samples` count rows."""
        say_once("model.fit_generator(batches, ...)", "model.fit(batches, ...)")
        # TensorFlow put validation_freq before class_weight; numbers tell them from dicts.
        names = _FIT if len(args) < 7 or isinstance(args[6], int) else _FIT[:7] + _FIT[8:]
        given = {**dict(zip(names[1:], args, strict=False)), **kwargs}
        generator = _counted("samples_per_epoch", "steps_per_epoch", generator, given)
        if "validation_data" in given:
            given["validation_data"] = _counted(
                "nb_val_samples", "validation_steps", given["validation_data"], given
            )
        if not given.get("class_weight"):
            given.pop("class_weight", None)
        return self.fit(generator, **given)  # type: ignore[attr-defined]

    def evaluate_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """Return loss and metrics on batches: `evaluate`."""
        say_once("model.evaluate_generator(batches, ...)", "model.evaluate(batches, ...)")
        return self._over_batches("evaluate", generator, args, kwargs)

    def predict_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for batches: `predict`."""
        say_once("model.predict_generator(batches, ...)", "model.predict(batches, ...)")
        return self._over_batches("predict", generator, args, kwargs)

    def _over_batches(self, method: str, generator: Any, args: tuple, kwargs: dict) -> Any:
        names = (
            "steps",
            "callbacks",
            "max_queue_size",
            "workers",
            "use_multiprocessing",
            "verbose",
        )
        given = {"verbose": 0, **dict(zip(names, args, strict=False)), **kwargs}
        generator = _counted("val_samples", "steps", generator, given)
        return getattr(self, method)(generator, **given)

    def predict_classes(self, x: Any, batch_size: int = 32, verbose: Any = 0) -> Any:
        """Return each row's class: the largest output, or 0 and 1 for a single one."""
        say_once(
            "model.predict_classes(x)", "model.predict(x).argmax(-1), or model.predict(x) > 0.5"
        )
        outputs = self.predict(x, batch_size=batch_size, verbose=verbose)  # type: ignore[attr-defined]
        return outputs.argmax(-1) if outputs.shape[-1] > 1 else (outputs > 0.5).astype("int32")

    def predict_proba(self, x: Any, batch_size: int = 32, verbose: Any = 0) -> Any:
        """Return the outputs: `predict`."""
        say_once("model.predict_proba(x)", "model.predict(x)")
        return self.predict(x, batch_size=batch_size, verbose=verbose)  # type: ignore[attr-defined]

    def reset_states(self) -> None:
        """Set the states that stateful layers keep between batches to zero."""
        say_once("model.reset_states()", "layer.reset_state() of each stateful layer")
        for layer in self._flatten_layers(include_self=False):  # type: ignore[attr-defined]
            if getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
                layer.reset_state()


def _counted(rows: str, steps: str, batches: Any, given: dict[str, Any]) -> Any:
    """Turn a number of rows in `given` into one of batches; return the batches, none lost."""
    if rows not in given:
        return batches
    wanted = given.pop(rows)
    say_once(f"{rows}= (rows)", f"{steps}= (batches)")
    if wanted is None or isinstance(batches, (tuple, list)):
        return batches
    size = getattr(batches, "batch_size", None)
    if size is None and not hasattr(batches, "__next__"):
        size = _rows(next(iter(batches)))
    elif size is None:
        first = next(batches)
        batches, size = itertools.chain([first], batches), _rows(first)
    given[steps] = math.ceil(wanted / size)
    return batches


def _rows(batch: Any) -> int:
    return len(next(a for a in tree.flatten(batch) if a is not None))
