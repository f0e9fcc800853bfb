"""Staghorn: Keras on the surface, pure functions inside, JAX below.

Names load on first use, so that `import staghorn` is cheap.
"""

from typing import TYPE_CHECKING

from staghorn.engine.lazy import lazy_names

if TYPE_CHECKING:
    from staghorn import activations as activations
    from staghorn import backend as backend
    from staghorn import callbacks as callbacks
    from staghorn import config as config
    from staghorn import constraints as constraints
    from staghorn import datasets as datasets
    from staghorn import dtype_policies as dtype_policies
    from staghorn import initializers as initializers
    from staghorn import layers as layers
    from staghorn import losses as losses
    from staghorn import metrics as metrics
    from staghorn import mixed_precision as mixed_precision
    from staghorn import models as models
    from staghorn import ops as ops
    from staghorn import optimizers as optimizers
    from staghorn import preprocessing as preprocessing
    from staghorn import quantizers as quantizers
    from staghorn import random as random
    from staghorn import regularizers as regularizers
    from staghorn import saving as saving
    from staghorn import tree as tree
    from staghorn import utils as utils
    from staghorn import visualization as visualization
    from staghorn import wrappers as wrappers
    from staghorn.compat.install import install as install
    from staghorn.compat.install import uninstall as uninstall
    from staghorn.dtype_policies import DTypePolicy as DTypePolicy
    from staghorn.dtype_policies import FloatDTypePolicy as FloatDTypePolicy
    from staghorn.engine.operation import Function as Function
    from staghorn.engine.operation import Operation as Operation
    from staghorn.engine.operation import RematScope as RematScope
    from staghorn.engine.operation import StatelessScope as StatelessScope
    from staghorn.engine.operation import SymbolicScope as SymbolicScope
    from staghorn.engine.operation import device as device
    from staghorn.engine.operation import name_scope as name_scope
    from staghorn.engine.operation import remat as remat
    from staghorn.engine.scope import functionalize as functionalize
    from staghorn.engine.scope import jit as jit
    from staghorn.engine.scope import value_and_grad as value_and_grad
    from staghorn.engine.symbolic import KerasTensor as KerasTensor
    from staghorn.engine.variable import Variable as Variable
    from staghorn.initializers import Initializer as Initializer
    from staghorn.layers.input import Input as Input
    from staghorn.layers.input_spec import InputSpec as InputSpec
    from staghorn.layers.layer import Layer as Layer
    from staghorn.losses import Loss as Loss
    from staghorn.metrics import Metric as Metric
    from staghorn.models import Functional as Functional
    from staghorn.models import Model as Model
    from staghorn.models import Sequential as Sequential
    from staghorn.optimizers import Optimizer as Optimizer
    from staghorn.quantizers import Quantizer as Quantizer
    from staghorn.regularizers import Regularizer as Regularizer

__version__ = "0.1.0"

_MODULES = (
    "activations backend callbacks config constraints datasets dtype_policies engine initializers "
    "layers losses metrics mixed_precision models ops optimizers preprocessing quantizers random "
    "regularizers saving tree utils visualization wrappers"
)

# module → what is public in it
_HOMES = {
    "compat.install": "install uninstall",
    "dtype_policies": "DTypePolicy FloatDTypePolicy",
    "engine.operation":
        "Function Operation RematScope StatelessScope SymbolicScope device name_scope remat",
    "engine.scope": "functionalize jit value_and_grad",
    "engine.symbolic": "KerasTensor",
    "engine.variable": "Variable",
    "initializers": "Initializer",
    "layers.input": "Input",
    "layers.input_spec": "InputSpec",
    "layers.layer": "Layer",
    "losses": "Loss",
    "metrics": "Metric",
    "models": "Functional Model Sequential",
    "optimizers": "Optimizer",
    "quantizers": "Quantizer",
    "regularizers": "Regularizer",
}  # fmt: skip


def version() -> str:
    """Return the version of Staghorn.

    Example:
        >>> staghorn.version() == staghorn.__version__
        True
    """
    return __version__


if not TYPE_CHECKING:
    __all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES, _MODULES)
    __all__ += ["__version__", "version"]
