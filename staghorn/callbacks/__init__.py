"""Callbacks: what happens between epochs."""

from staghorn.callbacks.callback import Callback as Callback
from staghorn.callbacks.callback_list import CallbackList as CallbackList
from staghorn.callbacks.checkpoint import ModelCheckpoint as ModelCheckpoint
from staghorn.callbacks.csv_logger import CSVLogger as CSVLogger
from staghorn.callbacks.early_stopping import EarlyStopping as EarlyStopping
from staghorn.callbacks.history import History as History
from staghorn.callbacks.lambda_callback import LambdaCallback as LambdaCallback
from staghorn.callbacks.learning_rate import LearningRateScheduler as LearningRateScheduler
from staghorn.callbacks.learning_rate import ReduceLROnPlateau as ReduceLROnPlateau
from staghorn.callbacks.progress import ProgbarLogger as ProgbarLogger
from staghorn.callbacks.terminate_on_nan import TerminateOnNaN as TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
