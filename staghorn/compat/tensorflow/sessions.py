"""The lines with which scripts of TensorFlow 1 began: they set up what is not needed here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from staghorn import optimizers
from staghorn.compat.tensorflow.advice import SESSION
from staghorn.engine.spellings import say_once


class ConfigProto:
    """Takes every setting and keeps none: `config.gpu_options.allow_growth = True`.

    Example:
        >>> import warnings
        >>> from staghorn.compat.tensorflow.sessions import ConfigProto
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     ConfigProto().gpu_options.allow_growth = True
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        say_once(f"tf.{type(self).__name__}", "nothing; delete the line")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return SimpleNamespace()


class GPUOptions(ConfigProto):
    """As ConfigProto."""


class Session(ConfigProto):
    """Opens and closes; `run` says what to do instead.

    Example:
        >>> import warnings
        >>> from staghorn.compat.tensorflow.sessions import Session
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     Session().run(1)
        Traceback (most recent call last):
        ...
        NotImplementedError: there are no sessions or placeholders: ...
    """

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None: ...

    def close(self) -> None: ...

    def run(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(SESSION)


class InteractiveSession(Session):
    """As Session."""


def reset_default_graph() -> None:
    """Do nothing: there is no default graph."""
    say_once("tf.reset_default_graph()", "nothing; delete the line")


def set_session(session: Any) -> None:
    """Do nothing: `keras.backend.set_session` chose where TensorFlow computed."""
    say_once("K.set_session(session)", "nothing; delete the line")


def get_session() -> Session:
    """Return a session that cannot run."""
    return Session()


def _optimizer(name: str, today: str) -> Any:
    def made(learning_rate: float = 0.001, *args: Any, **kwargs: Any) -> Any:
        say_once(f"tf.train.{name}", f"keras.optimizers.{today}")
        kwargs.pop("use_locking", None)
        return getattr(optimizers, today)(learning_rate, *args, **kwargs)

    return made


train = SimpleNamespace(
    AdamOptimizer=_optimizer("AdamOptimizer", "Adam"),
    AdagradOptimizer=_optimizer("AdagradOptimizer", "Adagrad"),
    GradientDescentOptimizer=_optimizer("GradientDescentOptimizer", "SGD"),
    MomentumOptimizer=_optimizer("MomentumOptimizer", "SGD"),
    RMSPropOptimizer=_optimizer("RMSPropOptimizer", "RMSprop"),
)
