"""Callbacks: what happens between epochs. Their files are imported when they are first used."""

from typing import TYPE_CHECKING

from staghorn.engine.lazy import lazy_names

if TYPE_CHECKING:
    from staghorn.callbacks.backup_and_restore import BackupAndRestore as BackupAndRestore
    from staghorn.callbacks.callback import Callback as Callback
    from staghorn.callbacks.callback_list import CallbackList as CallbackList
    from staghorn.callbacks.checkpoint import ModelCheckpoint as ModelCheckpoint
    from staghorn.callbacks.csv_logger import CSVLogger as CSVLogger
    from staghorn.callbacks.early_stopping import EarlyStopping as EarlyStopping
    from staghorn.callbacks.history import History as History
    from staghorn.callbacks.lambda_callback import LambdaCallback as LambdaCallback
    from staghorn.callbacks.learning_rate import LearningRateScheduler as LearningRateScheduler
    from staghorn.callbacks.learning_rate import ReduceLROnPlateau as ReduceLROnPlateau
    from staghorn.callbacks.orbax_checkpoint import OrbaxCheckpoint as OrbaxCheckpoint
    from staghorn.callbacks.progress import ProgbarLogger as ProgbarLogger
    from staghorn.callbacks.remote_monitor import RemoteMonitor as RemoteMonitor
    from staghorn.callbacks.statistics import Statistics as Statistics
    from staghorn.callbacks.swap_ema_weights import SwapEMAWeights as SwapEMAWeights
    from staghorn.callbacks.tensorboard import TensorBoard as TensorBoard
    from staghorn.callbacks.terminate_on_nan import TerminateOnNaN as TerminateOnNaN
    from staghorn.callbacks.weight_averaging import (
        StochasticWeightAveraging as StochasticWeightAveraging,
    )

# module → what is public in it
_HOMES = {
    "callbacks.backup_and_restore": "BackupAndRestore",
    "callbacks.callback": "Callback",
    "callbacks.callback_list": "CallbackList",
    "callbacks.checkpoint": "ModelCheckpoint",
    "callbacks.csv_logger": "CSVLogger",
    "callbacks.early_stopping": "EarlyStopping",
    "callbacks.history": "History",
    "callbacks.lambda_callback": "LambdaCallback",
    "callbacks.learning_rate": "LearningRateScheduler ReduceLROnPlateau",
    "callbacks.orbax_checkpoint": "OrbaxCheckpoint",
    "callbacks.progress": "ProgbarLogger",
    "callbacks.remote_monitor": "RemoteMonitor",
    "callbacks.statistics": "Statistics",
    "callbacks.swap_ema_weights": "SwapEMAWeights",
    "callbacks.tensorboard": "TensorBoard",
    "callbacks.terminate_on_nan": "TerminateOnNaN",
    "callbacks.weight_averaging": "StochasticWeightAveraging",
}

if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)
