"""Old spellings of arguments (Keras 1, Keras 2, tf.keras), and how each is written today.

The tables are looked at only where a call has a keyword that stands in them. A name that the class
or method has today is never translated: `output_dim` is Embedding's own and was Dense's.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])


class OldSpelling(UserWarning):
    """Said once for each old spelling: it was understood, and is written in another way today.

    Example:
        >>> issubclass(staghorn.engine.spellings.OldSpelling, UserWarning)
        True
    """


# Old name -> today's: the first that the class or method takes.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "W_constraint": ("kernel_constraint", "embeddings_constraint", "depthwise_constraint"),
    "W_regularizer": ("kernel_regularizer", "embeddings_regularizer", "depthwise_regularizer"),
    "U_constraint": ("recurrent_constraint",),
    "U_regularizer": ("recurrent_regularizer",),
    "X": ("x",),
    "Y": ("y",),
    "atrous_rate": ("dilation_rate",),
    "b_constraint": ("bias_constraint",),
    "b_regularizer": ("bias_regularizer",),
    "beta_init": ("beta_initializer",),
    "bias": ("use_bias",),
    "border_mode": ("padding",),
    "concat_axis": ("axis",),
    "dim_ordering": ("data_format",),
    "dot_axes": ("axes",),
    "dropout_U": ("recurrent_dropout",),
    "dropout_W": ("dropout",),
    "filter_length": ("kernel_size",),
    "forget_bias_init": ("unit_forget_bias",),
    "gamma_init": ("gamma_initializer",),
    "init": ("kernel_initializer", "embeddings_initializer", "alpha_initializer"),
    "inner_activation": ("recurrent_activation",),
    "inner_init": ("recurrent_initializer",),
    "input": ("inputs",),
    "length": ("size",),
    "lr": ("learning_rate",),
    "m": ("max_value",),
    "nb_epoch": ("epochs",),
    "nb_filter": ("filters",),
    "output": ("outputs",),
    "output_dim": ("units",),
    "p": ("rate",),
    "pool_length": ("pool_size",),
    "sigma": ("stddev",),
    "stride": ("strides",),
    "subsample": ("strides",),
    "subsample_length": ("strides",),
    "theta": ("threshold",),
}

# Several old names -> one tuple today.
JOINED: dict[str, tuple[tuple[str, ...], ...]] = {
    "kernel_size": (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")),
}

# Old name -> old value -> today's. Other values stay as they are.
VALUES: dict[str, dict[Any, Any]] = {
    "dim_ordering": {"th": "channels_first", "tf": "channels_last", "default": None},
    "forget_bias_init": {"one": True, "ones": True, "zero": False, "zeros": False},
}

_SPEED = "leave it out, since results do not depend on it"
_WORKERS = "leave it out, or give it to the PyDataset that makes the batches"
_BY_SHAPE = "leave it out, since the loss and the shapes of the data say it"
_EMBEDDINGS = "leave it out; embeddings_freq=1 writes all of them"
ANY = object()

# Old name -> (an argument of the classes and methods that had it, values that can be left out,
# what to do today).
DROPPED: dict[str, tuple[str, Any, str]] = {
    "batch_size": ("histogram_freq", ANY, "leave it out"),
    "class_mode": ("loss_weights", ANY, _BY_SHAPE),
    "consume_less": ("recurrent_initializer", ANY, _SPEED),
    "embeddings_data": ("histogram_freq", ANY, _EMBEDDINGS),
    "embeddings_layer_names": ("histogram_freq", ANY, _EMBEDDINGS),
    "max_q_size": ("x", ANY, _WORKERS),
    "max_queue_size": ("x", ANY, _WORKERS),
    "mode": ("gamma_initializer", (0,), "leave it out; mode 0 is what there is"),
    "nb_worker": ("x", ANY, _WORKERS),
    "pickle_safe": ("x", ANY, _WORKERS),
    "sample_weight_mode": ("loss_weights", ANY, _BY_SHAPE),
    "schedule_decay": ("beta_2", (0.004,), "leave it out; 0.004 is built in"),
    "use_multiprocessing": ("x", ANY, _WORKERS),
    "workers": ("x", ANY, _WORKERS),
    "write_grads": ("histogram_freq", ANY, "leave it out; gradients are not written"),
}

# `epsilon=None` was the default of Keras 2's optimizers, and meant the one that they have today.
OLD_NAMES = frozenset(
    {*ARGUMENTS, *DROPPED, "epsilon", *(n for ways in JOINED.values() for way in ways for n in way)}
)

# What logs and histories call the same thing, then and now.
KEYS = {
    "acc": "accuracy",
    "lr": "learning_rate",
    "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape",
    "mean_squared_error": "mse",
    "mean_squared_logarithmic_error": "msle",
}

_said: set[tuple[str, str]] = set()


class _Scripts:
    old = False


def old_scripts(old: bool | None = None) -> bool:
    """Say whether scripts of old versions run here, with their meaning of what has changed since.

    Args:
        old: sets it, as `staghorn.install()` does. Default: None, ask only.

    Example:
        >>> staghorn.engine.spellings.old_scripts()
        False
    """
    if old is not None:
        _Scripts.old = old
    return _Scripts.old


def user_level() -> int:
    """Return the `stacklevel` by which a warning points at the user's line, such as `fit`.

    Example:
        >>> from staghorn.engine.spellings import user_level
        >>> user_level() >= 1
        True
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back:
        name = frame.f_globals.get("__name__", "")
        if name == "importlib" or name.startswith(("staghorn.", "jax.")):
            level += 1
        elif not name.startswith("importlib._bootstrap"):  # which `warnings` does not count
            break
        frame = frame.f_back
    return level


def name_first(method: Method) -> Method:
    """Let `add_weight("kernel", shape, ...)` of tf.keras mean `add_weight(shape, name="kernel")`.

    Example:
        >>> staghorn.layers.Layer().add_weight("w", shape=(2, 3)).shape
        (2, 3)
    """

    @functools.wraps(method)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], str):
            kwargs["name"], args = args[0], args[1:]
        return method(self, *args, **kwargs)

    return cast(Method, called)


def say_once(old: str, new: str, owner: str = "") -> None:
    """Warn that a spelling is old: once in a process, at the user's line.

    Args:
        old: as it was written, such as "init=".
        new: as it is written today, such as "kernel_initializer=".
        owner: class or method, for the message. Default: "", none.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     for _ in range(2):
        ...         staghorn.engine.spellings.say_once("model.lerne()", "model.fit()")
        >>> [str(warning.message) for warning in said]
        ['model.lerne() is an old spelling. Today: model.fit().']
    """
    if (old, new) in _said:
        return
    _said.add((old, new))
    prefix = f"{owner}: " if owner else ""
    warnings.warn(
        f"{prefix}{old} is an old spelling. Today: {new}.", OldSpelling, stacklevel=user_level()
    )


def modern(
    owner: str, known: Iterable[str], args: tuple, kwargs: Mapping[str, Any]
) -> tuple[tuple, dict[str, Any]]:
    """Return a call's arguments in today's spelling; what has none is left as it is.

    Args:
        owner: class or method, for messages.
        known: the names that it takes today, in their order.
        args, kwargs: the arguments.

    Raises:
        TypeError: if an old name and its new one are both given.
        ValueError: if an old argument has a value that has no counterpart today.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     modern = staghorn.engine.spellings.modern
        ...     modern("Dense", ["units", "use_bias"], (), {"output_dim": 3, "bias": False})
        ((), {'units': 3, 'use_bias': False})
    """
    known = list(known)
    result = dict(kwargs)
    joined = {
        way: new
        for new, ways in JOINED.items()
        for way in ways
        if new in known and all(name in kwargs and name not in known for name in way)
    }
    for way, new in joined.items():
        sizes = tuple(result.pop(name) for name in way)
        _put(owner, ", ".join(f"{name}=" for name in way), new, sizes, known, args, result)
    if result.get("epsilon", "") is None and "epsilon" in known and "learning_rate" in known:
        del result["epsilon"]
    for old in [name for name in result if name not in known]:
        if old in DROPPED:
            _drop(owner, old, known, result)
        today = [name for name in ARGUMENTS.get(old, ()) if name in known]
        if today:
            value = result.pop(old)
            value = VALUES[old].get(value, value) if old in VALUES else value
            _put(owner, f"{old}=", today[0], value, known, args, result)
    if known[1:2] == ["kernel_size"] and set(kwargs) - set(result):
        args = rows_and_columns(args)
    return args, result


def _put(
    owner: str, old: str, new: str, value: Any, known: list[str], args: tuple, kwargs: dict
) -> None:
    if new in kwargs or new in known[: len(args)]:
        raise TypeError(
            f"{owner}: {old.replace('=', '')} is the old name of {new}, and both were given. "
            f"Keep {new}."
        )
    kwargs[new] = value
    say_once(old, f"{new}=", owner)


def _drop(owner: str, old: str, known: list[str], kwargs: dict) -> None:
    marker, values, today = DROPPED[old]
    if marker not in known:
        return
    if values is not ANY and kwargs[old] not in values:
        raise ValueError(
            f"{owner}: {old}={kwargs[old]!r} has no counterpart today; only "
            f"{old}={values[0]!r} is understood, and that can be left out."
        )
    del kwargs[old]
    say_once(f"{old}=", today, owner)


def rows_and_columns(args: Sequence[Any]) -> tuple:
    """Return (filters, (rows, columns), ...) for Keras 1's (filters, rows, columns, ...).

    Example:
        >>> staghorn.engine.spellings.rows_and_columns((32, 3, 5, "relu"))
        (32, (3, 5), 'relu')
    """
    sizes = []
    for value in args[1:]:
        if not isinstance(value, int) or isinstance(value, bool):
            break
        sizes.append(value)
    return (*args[:1], tuple(sizes), *args[1 + len(sizes) :]) if len(sizes) > 1 else tuple(args)


def recorded_name(name: str, known: Iterable[str]) -> str | None:
    """Return the other spelling of a logged name if it is among the known ones; say so once.

    Example:
        >>> staghorn.engine.spellings.recorded_name("val_loss", ["loss"]) is None
        True
    """
    known = set(known)
    for then, now in KEYS.items():
        for asked, other in ((then, now), (now, then)):
            if name == asked or name.endswith(f"_{asked}"):
                found = name.removesuffix(asked) + other
                if found in known:
                    if asked == then:
                        say_once(f"{name!r} in logs", repr(found))
                    else:
                        say_once(f"metrics=[{then!r}]", f"metrics=[{now!r}]", "compile")
                    return found
    return None
