"""Global defaults and switches: float type, fuzz factor, image layout, limits of a run, logging."""

import importlib
import os
import sys
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from staghorn.dtype_policies import dtype_policy as dtype_policy
    from staghorn.dtype_policies import set_dtype_policy as set_dtype_policy

# fmt: off
__all__ = [
    "backend", "compile_cache", "disable_flash_attention", "disable_interactive_logging",
    "disable_traceback_filtering", "dtype_policy", "enable_flash_attention",
    "enable_interactive_logging", "enable_traceback_filtering", "enable_unsafe_deserialization",
    "epsilon", "floatx", "image_data_format", "is_flash_attention_enabled",
    "is_interactive_logging_enabled", "is_nnx_enabled", "is_traceback_filtering_enabled",
    "max_epochs", "max_steps_per_epoch", "set_backend", "set_compile_cache", "set_dtype_policy",
    "set_epsilon", "set_floatx", "set_image_data_format", "set_max_epochs",
    "set_max_steps_per_epoch",
]
# fmt: on

_FLOAT_TYPES = ("bfloat16", "float16", "float32", "float64")
_DATA_FORMATS = ("channels_first", "channels_last")


def _limit(variable: str) -> int | None:
    """Return the whole number that an environment variable holds, if it is set."""
    text = os.environ.get(variable)
    if not text:
        return None
    if not text.isdecimal():
        raise ValueError(f"The environment variable {variable} must be an int, got {text!r}.")
    return int(text)


def _cache_folder() -> str | None:
    """Return where compiled programs are kept: as the environment says, else with other caches."""
    chosen = os.environ.get("STAGHORN_COMPILE_CACHE")
    if chosen is not None:
        return None if chosen.lower() in ("", "0", "off", "false", "no") else chosen
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "staghorn", "compiled") if os.path.isabs(base) else None


@dataclass
class _Defaults:
    floatx: str = "float32"
    epsilon: float = 1e-7
    image_data_format: str = "channels_last"
    flash_attention: bool | None = None
    interactive_logging: bool = True
    traceback_filtering: bool = True
    compile_cache: str | None = field(default_factory=_cache_folder)
    max_epochs: int | None = field(default_factory=lambda: _limit("KERAS_MAX_EPOCHS"))
    max_steps: int | None = field(default_factory=lambda: _limit("KERAS_MAX_STEPS_PER_EPOCH"))


_defaults = _Defaults()


def floatx() -> str:
    """Return the default float type, a string.

    Example:
        >>> staghorn.config.floatx()
        'float32'
    """
    return _defaults.floatx


def set_floatx(value: str) -> None:
    """Set the default float type: bfloat16, float16, float32 or float64.

    `float64` also switches JAX to 64-bit mode, without which it would silently compute in float32.

    Args:
        value: "float16", "bfloat16", "float32" or "float64".

    Example:
        >>> staghorn.config.set_floatx("float32")
    """
    if value not in _FLOAT_TYPES:
        raise ValueError(f"set_floatx: expected one of {_FLOAT_TYPES}, got {value!r}.")
    if value == "float64":
        import jax

        jax.config.update("jax_enable_x64", True)
    _defaults.floatx = value


def epsilon() -> float:
    """Return the small number that keeps divisions and logarithms finite.

    Example:
        >>> staghorn.config.epsilon()
        1e-07
    """
    return _defaults.epsilon


def set_epsilon(value: float) -> None:
    """Set the small number that keeps divisions and logarithms finite.

    Args:
        value: a float.

    Example:
        >>> staghorn.config.set_epsilon(1e-7)
    """
    _defaults.epsilon = float(value)


def image_data_format() -> str:
    """Return where images keep their channels: "channels_last" or "channels_first".

    Example:
        >>> staghorn.config.image_data_format()
        'channels_last'
    """
    return _defaults.image_data_format


def set_image_data_format(data_format: str) -> None:
    """Set where images keep their channels.

    Args:
        data_format: "channels_last" or "channels_first".

    Example:
        >>> staghorn.config.set_image_data_format("channels_last")
    """
    value = str(data_format).lower()
    if value not in _DATA_FORMATS:
        raise ValueError(
            f"set_image_data_format: expected one of {_DATA_FORMATS}, got {data_format!r}."
        )
    _defaults.image_data_format = value


def backend() -> str:
    """Return the name of the compute engine, always "jax".

    Example:
        >>> staghorn.config.backend()
        'jax'
    """
    return "jax"


def set_backend(backend: str) -> None:
    """Accept "jax", the one engine there is.

    Args:
        backend: "jax".

    Raises:
        ValueError: for any other name.

    Example:
        >>> staghorn.config.set_backend("jax")
    """
    if backend != "jax":
        raise ValueError(
            f"set_backend: Staghorn computes with JAX alone, {backend!r} is not there. "
            "Leave the call out; arrays of other libraries go in as NumPy arrays (np.asarray)."
        )


def is_nnx_enabled() -> bool:
    """Say whether variables are those of Flax's NNX: never.

    Example:
        >>> staghorn.config.is_nnx_enabled()
        False
    """
    return False


def enable_flash_attention() -> None:
    """Leave to each attention layer whether to use a fused kernel: the default.

    Example:
        >>> staghorn.config.enable_flash_attention()
    """
    _defaults.flash_attention = None


def disable_flash_attention() -> None:
    """Use no fused attention kernel where a layer does not ask for it.

    Example:
        >>> staghorn.config.disable_flash_attention()
        >>> staghorn.config.is_flash_attention_enabled()
        False
        >>> staghorn.config.enable_flash_attention()
    """
    _defaults.flash_attention = False


def is_flash_attention_enabled() -> bool | None:
    """Return False after `disable_flash_attention()`, otherwise None: where it is possible.

    Example:
        >>> staghorn.config.is_flash_attention_enabled() is None
        True
    """
    return _defaults.flash_attention


def enable_interactive_logging() -> None:
    """Write progress and messages to standard output: the default.

    Example:
        >>> staghorn.config.enable_interactive_logging()
    """
    _defaults.interactive_logging = True


def disable_interactive_logging() -> None:
    """Send progress and messages to the logger "staghorn" of Python's `logging`, as `info`.

    Example:
        >>> staghorn.config.disable_interactive_logging()
        >>> staghorn.config.is_interactive_logging_enabled()
        False
        >>> staghorn.config.enable_interactive_logging()

    Notes: Keras sends them to `absl.logging`.
    """
    _defaults.interactive_logging = False


def is_interactive_logging_enabled() -> bool:
    """Say whether progress and messages go to standard output.

    Example:
        >>> staghorn.config.is_interactive_logging_enabled()
        True
    """
    return _defaults.interactive_logging


def enable_traceback_filtering() -> None:
    """Leave JAX's own lines out of the tracebacks of errors: the default.

    Example:
        >>> staghorn.config.enable_traceback_filtering()
    """
    _filter_tracebacks(True)


def disable_traceback_filtering() -> None:
    """Show all lines in the tracebacks of errors, JAX's too.

    Example:
        >>> staghorn.config.disable_traceback_filtering()
        >>> staghorn.config.is_traceback_filtering_enabled()
        False
        >>> staghorn.config.enable_traceback_filtering()

    Notes: Staghorn's own lines are always shown.
    """
    _filter_tracebacks(False)


def _filter_tracebacks(filtered: bool) -> None:
    import jax

    _defaults.traceback_filtering = filtered
    jax.config.update("jax_traceback_filtering", "auto" if filtered else "off")


def is_traceback_filtering_enabled() -> bool:
    """Say whether JAX's own lines are left out of tracebacks.

    Example:
        >>> staghorn.config.is_traceback_filtering_enabled()
        True
    """
    return _defaults.traceback_filtering


def max_epochs() -> int | None:
    """Return the most epochs that any `fit` runs, or None.

    The environment variable KERAS_MAX_EPOCHS sets it before the program starts.

    Example:
        >>> staghorn.config.max_epochs() is None
        True
    """
    return _defaults.max_epochs


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit the epochs of any `fit`, to try a script out without a change to it.

    Args:
        max_epochs: the most epochs, or None for no limit.

    Example:
        >>> staghorn.config.set_max_epochs(None)
    """
    _defaults.max_epochs = max_epochs


def max_steps_per_epoch() -> int | None:
    """Return the most steps of an epoch in any `fit`, `evaluate` and `predict`, or None.

    The environment variable KERAS_MAX_STEPS_PER_EPOCH sets it before the program starts.

    Example:
        >>> staghorn.config.max_steps_per_epoch() is None
        True
    """
    return _defaults.max_steps


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the steps of any `fit`, `evaluate` and `predict`, to try a script out.

    Args:
        max_steps_per_epoch: the most steps of an epoch, or None for no limit.

    Example:
        >>> staghorn.config.set_max_steps_per_epoch(None)
    """
    _defaults.max_steps = max_steps_per_epoch


def compile_cache() -> str | None:
    """Return the folder where compiled programs are kept for the next run, None for nowhere.

    By default a folder among the user's caches (`~/.cache/staghorn/compiled` on Linux); the
    environment variable STAGHORN_COMPILE_CACHE names another one, or is "off". It holds 1 GiB at
    most, what was not used for longest goes first, and it may be deleted at any time. A folder
    that other users can write is not used. If JAX has a cache of its own
    (`jax_compilation_cache_dir`), that one is used as it is.

    Example:
        >>> folder = staghorn.config.compile_cache()
        >>> staghorn.config.set_compile_cache(None)
        >>> staghorn.config.compile_cache() is None
        True
        >>> staghorn.config.set_compile_cache(folder)

    Notes: a program that calls back into Python is compiled in every run.
    """
    return _defaults.compile_cache


def set_compile_cache(folder: str | os.PathLike[str] | None) -> None:
    """Choose where compiled programs are kept; call it before the first model is made.

    Args:
        folder: a folder of your own, made if it is missing; None for nowhere.

    Example:
        >>> staghorn.config.set_compile_cache(staghorn.config.compile_cache())
    """
    if folder is not None and not isinstance(folder, (str, os.PathLike)):
        raise ValueError(
            f"set_compile_cache: folder must be a path or None, got {folder!r} "
            f"({type(folder).__name__})."
        )
    _defaults.compile_cache = None if folder is None else os.path.abspath(folder)


def enable_unsafe_deserialization() -> None:
    """Warn that there is nothing to enable: code in files is never run.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     staghorn.config.enable_unsafe_deserialization()
        >>> "replace=" in str(said[0].message)
        True
    """
    warnings.warn(
        "enable_unsafe_deserialization has no effect: Staghorn never runs code that a file holds. "
        "Pass what a Lambda layer computes instead: "
        "staghorn.saving.load_model(path, replace={'name of the layer': function}).",
        stacklevel=2,
    )


def __getattr__(name: str) -> Any:
    # By name, because every other file may import this one.
    if name in ("dtype_policy", "set_dtype_policy"):
        return getattr(importlib.import_module("staghorn.dtype_policies"), name)
    registry = importlib.import_module("staghorn.engine.registry")
    return registry.missing_names(__name__, __all__)(name)


def __dir__() -> list[str]:
    return list(__all__)
