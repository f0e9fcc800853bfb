"""What `import tensorflow as tf` means after `staghorn.install()` where TensorFlow is absent.

The part of TensorFlow that scripts for Keras use, over `staghorn.ops`: the functions take arrays,
Variables and KerasTensors, in layers, losses and metrics, compiled or not. Results are JAX arrays;
`install()` gives those a `.numpy()`. Everything else is refused with the name of what to use.

Differences: `tf.shape` gives known sizes; int64 and float64 become 32 bits wide unless JAX is told
otherwise; the mean of ints is a float; `tf.function` returns the function itself.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
from collections.abc import Callable
from logging import Logger, getLogger
from types import SimpleNamespace
from typing import Any

import jax

from staghorn.compat.tensorflow import (
    compat,
    config,
    dtypes,
    image,
    linalg,
    math,
    nn,
    random,
    shaping,
    strings,
    test,
)
from staghorn.compat.tensorflow.advice import explain
from staghorn.compat.tensorflow.variable import TensorShape, TensorSpec, Variable
from staghorn.engine.jax_internals import is_staging

__version__ = "2.21.0"

Tensor = jax.Array
newaxis = None
version = SimpleNamespace(VERSION=__version__)

_MATH = """
    abs acos acosh add add_n argmax argmin asin asinh atan atan2 atanh cos cosh cumsum divide equal
    exp floor greater greater_equal less less_equal logical_and logical_not logical_or maximum
    minimum multiply negative not_equal pow reduce_all reduce_any reduce_logsumexp reduce_max
    reduce_mean reduce_min reduce_prod reduce_sum round scalar_mul sigmoid sign sin sinh sqrt square
    subtract tan tanh truediv
"""
_FROM_MATH = _MATH.split()
_FROM_LINALG = ["einsum", "eye", "matmul", "norm", "tensordot"]
_FROM_SHAPING = [n for n in shaping.__all__ if n not in ("StaticShape", "global_norm")]

globals().update({name: getattr(math, name) for name in _FROM_MATH})
globals().update({name: getattr(linalg, name) for name in _FROM_LINALG})
globals().update({name: getattr(shaping, name) for name in _FROM_SHAPING})
globals().update({name: getattr(dtypes, name) for name in dtypes.__all__})

# Names that Keras has under `tf` itself: module of Staghorn, and the name there.
_KERAS = {
    "initializers": "initializers", "losses": "losses", "metrics": "metrics", "nest": "tree",
    "optimizers": "optimizers", "constant_initializer": "initializers:Constant",
    "ones_initializer": "initializers:Ones", "zeros_initializer": "initializers:Zeros",
    "random_normal_initializer": "initializers:RandomNormal",
    "random_uniform_initializer": "initializers:RandomUniform",
}  # fmt: skip


def function(func: Callable | None = None, input_signature: Any = None, **options: Any) -> Callable:
    """Return the function as it is: `fit` compiles by itself what models do.

    Compiling here would not be safe: models among the arguments, Python side effects and changing
    shapes are all allowed in such functions. Decorate with `staghorn.jit` what should be compiled.
    """
    return func if func is not None else lambda wrapped: wrapped


def print(*inputs: Any, output_stream: Any = None, **kwargs: Any) -> None:
    """Print values, also from compiled code."""
    arrays = [x for x in inputs if isinstance(x, jax.Array)]

    def show(*values: Any) -> None:
        filled = iter(values)
        builtins.print(*(next(filled) if isinstance(x, jax.Array) else x for x in inputs))

    jax.debug.callback(show, *arrays)


def device(device_name: Any) -> Any:
    """Compute on a device named as "/CPU:0" or "GPU:0", where it is there."""
    kind, _, index = str(device_name or "").lower().rpartition("/")[2].partition(":")
    with contextlib.suppress(RuntimeError, IndexError, ValueError):
        return jax.default_device(jax.devices(kind)[int(index or 0)])
    return contextlib.nullcontext()


def name_scope(name: Any = None, *args: Any) -> Any:
    """A context that means nothing: layers name themselves."""
    return contextlib.nullcontext(name)


def executing_eagerly() -> bool:
    """Whether code runs as it is written, not to be compiled."""
    return not is_staging()


def no_op(name: Any = None) -> None:
    """Do nothing."""


def group(*inputs: Any, name: Any = None) -> None:
    """Do nothing: what was to be grouped has run already."""


def get_logger() -> Logger:
    """The logger named "tensorflow"."""
    return getLogger("tensorflow")


def _accept(*args: Any, **kwargs: Any) -> None:
    """Take a setting that has no meaning here."""


autograph = SimpleNamespace(
    set_verbosity=_accept,
    experimental=SimpleNamespace(do_not_convert=function),
)
debugging = SimpleNamespace(set_log_device_placement=_accept, disable_traceback_filtering=_accept)

__all__ = [
    *_FROM_MATH, *_FROM_LINALG, *_FROM_SHAPING, *dtypes.__all__, *_KERAS,
    "Tensor", "TensorShape", "TensorSpec", "Variable", "autograph", "compat", "config", "debugging",
    "device", "dtypes", "executing_eagerly", "function", "get_logger", "group", "image", "linalg",
    "math", "name_scope", "newaxis", "nn", "no_op", "print", "random", "strings", "test", "version",
]  # fmt: skip

# What scripts of TensorFlow 1 write: name -> "module:attribute" beside this one.
_OLD = {
    **{name: f"sessions:{name}" for name in (
        "ConfigProto", "GPUOptions", "InteractiveSession", "Session", "reset_default_graph",
        "train",
    )},
    **{name: f"compat.v1:{name}" for name in (
        "disable_eager_execution", "disable_v2_behavior", "enable_eager_execution",
        "enable_v2_behavior", "logging", "set_random_seed",
    )},
    "random_normal": "random:normal",
    "random_uniform": "random:uniform",
}  # fmt: skip

_explain = explain("tf", __all__)


def __getattr__(name: str) -> Any:
    if name in _OLD:
        module, _, attribute = _OLD[name].partition(":")
        return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    if name not in _KERAS:
        return _explain(name)
    module, _, attribute = _KERAS[name].partition(":")
    found = importlib.import_module(f"staghorn.{module}")
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return list(__all__)
