"""Wrong keywords and wrong names: the error says which one was probably meant."""

import importlib
import re

import numpy as np
import pytest

import staghorn
from staghorn import callbacks, initializers, layers, losses, metrics, optimizers
from staghorn.engine.not_yet import NOT_YET
from staghorn.engine.registry import suggestion


class Chained(layers.Dense):
    """A constructor that passes everything on."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class Forgetful(layers.Dense):
    """A constructor with a mistake of its own."""

    def __init__(self, size):
        super().__init__()


class Misspelled(layers.Layer):
    """A constructor whose own code passes a wrong keyword."""

    def __init__(self, size):
        super().__init__()
        self.loss = losses.Huber(delt=size)


class Careless(losses.Loss):
    """A constructor that fails with a TypeError of another kind."""

    def __init__(self, size):
        super().__init__(name="x")
        self.size = size + "1"


class Handing(losses.Huber):
    """A constructor that passes a keyword which nobody gave."""

    def __init__(self, delta=1.0):
        super().__init__(delta, sharpness=3)


CALLS = [
    (lambda: layers.Dense(unit=3), "Dense: unknown argument 'unit'. Did you mean 'units'?"),
    (lambda: Chained(output_dim=3), "'output_dim'. Did you mean 'units'?"),
    (lambda: Chained(unit=3), "Chained: unknown argument 'unit'. Did you mean 'units'?"),
    (lambda: layers.Dropout(q=0.5), "Dropout: argument 'rate' is missing."),
    (lambda: losses.Huber(delt=1), "Huber: unknown argument 'delt'. Did you mean 'delta'?"),
    (lambda: metrics.AUC(num_threshold=3), "AUC: unknown argument 'num_threshold'. Did you mean"),
    (lambda: metrics.Precision(from_logits=True), "Precision: unknown argument 'from_logits'."),
    (lambda: initializers.RandomNormal(std=1), "unknown argument 'std'. Did you mean 'stddev'?"),
    (lambda: staghorn.Sequential(layer=[]), "unknown argument 'layer'. Did you mean 'layers'?"),
    (
        lambda: optimizers.schedules.ExponentialDecay(0.1, decay_step=3, decay_rate=0.5),
        "ExponentialDecay: unknown argument 'decay_step'. Did you mean 'decay_steps'?",
    ),
    (layers.Dense, "Dense: argument 'units' is missing. Write Dense(units=...)."),
    (
        lambda: layers.Dense(activation="relu"),
        "Dense: argument 'units' is missing. Write Dense(..., units=...).",
    ),
    (
        lambda: layers.Embedding(),
        "'input_dim', 'output_dim' are missing. Write Embedding(input_dim=..., output_dim=...).",
    ),
    (lambda: staghorn.regularizers.L2(l=3), "Did you mean 'l2'? Known: l2."),
    # Mistakes in a constructor's own code keep their words.
    (lambda: Forgetful(3), "Dense.__init__() missing 1 required positional argument: 'units'"),
    (lambda: Misspelled(3), "Huber: unknown argument 'delt'. Did you mean 'delta'?"),
    (lambda: Careless(3), "unsupported operand type(s) for +: 'int' and 'str'"),
    (lambda: Handing(), "Huber.__init__() got an unexpected keyword argument 'sharpness'"),
    (lambda: layers.Dense(3, units=4), "got multiple values for argument 'units'"),
]


@pytest.mark.parametrize(("call", "words"), CALLS)
def test_wrong_call(call, words):
    with pytest.raises(TypeError, match=re.escape(words)):
        call()


SPELLINGS = [
    ("adm", ["Adam", "Nadam", "Adamax"], "Adam"),
    ("ADAM", ["Nadam", "Adam"], "Adam"),
    ("Relu", ["elu", "selu", "relu"], "relu"),
    ("hingee", ["Hinge", "hinge"], "hinge"),
    ("Hingee", ["hinge", "Hinge"], "Hinge"),
    ("lr", ["learning_rate", "l"], "learning_rate"),
    ("nb_filter", ["filters", "nb"], "filters"),
    ("output_dim", ["input_dim", "units"], "units"),
    ("output_di", ["input_dim", "output_dim"], "output_dim"),
    ("init", ["units", "kernel_initializer"], "kernel_initializer"),
]


@pytest.mark.parametrize(("name", "known", "meant"), SPELLINGS)
def test_suggestion(name, known, meant):
    assert suggestion(name, known) == f" Did you mean '{meant}'?"


def test_no_suggestion_far_from_everything():
    assert suggestion("from_logits", ["thresholds", "top_k", "name"]) == ""


def test_an_optimizer_name_with_a_letter_missing():
    with pytest.raises(ValueError, match=r"Unknown optimizer 'adm'\. Did you mean 'Adam'\?"):
        optimizers.get("adm")


MISSING = [
    ("layers", "Densee", "staghorn.layers has no 'Densee'. Did you mean 'Dense'?"),
    ("callbacks", "OrbaxCheckpoints", "Did you mean 'OrbaxCheckpoint'?"),
    ("layers", "Mixup", "Did you mean 'MixUp'?"),
    ("losses", "MeanSquareError", "Did you mean 'MeanSquaredError'?"),
    ("metrics", "Acuracy", "Did you mean 'Accuracy'?"),
    ("activations", "Relu", "Did you mean 'relu'?"),
    ("ops", "reduce_mean", "Did you mean 'mean'?"),
    ("optimizers", "Adm", "Did you mean 'Adam'?"),
    ("optimizers.schedules", "CosineDecays", "Did you mean 'CosineDecay'?"),
    ("callbacks", "EarlyStoping", "Did you mean 'EarlyStopping'?"),
    ("initializers", "GlorotUnifrom", "Did you mean 'GlorotUniform'?"),
    ("regularizers", "L12", "Did you mean 'L1L2'?"),
    ("constraints", "MaxNrm", "Did you mean 'MaxNorm'?"),
    ("config", "set_float", "Did you mean 'set_floatx'?"),
    ("dtype_policies", "DTypePolice", "Did you mean 'DTypePolicy'?"),
    ("mixed_precision", "Polcy", "Did you mean 'Policy'?"),
    ("utils", "to_categoricals", "Did you mean 'to_categorical'?"),
    ("utils", "FeatureSpac", "Did you mean 'FeatureSpace'?"),
]


@pytest.mark.parametrize(("package", "name", "words"), MISSING)
def test_missing_name(package, name, words):
    module = importlib.import_module(f"staghorn.{package}")
    with pytest.raises(AttributeError, match=re.escape(words)):
        getattr(module, name)
    assert not hasattr(module, "__nothing__")


def test_missing_names_at_the_top():
    with pytest.raises(AttributeError, match=r"staghorn has no 'lyers'\. Did you mean 'layers'\?"):
        _ = staghorn.lyers
    with pytest.raises(AttributeError, match="staghorn has no applications yet"):
        _ = staghorn.applications


@pytest.mark.parametrize("package", sorted(NOT_YET))
def test_names_not_offered_yet_are_not_there(package):
    module = importlib.import_module(package)
    assert [name for name in NOT_YET[package] if hasattr(module, name)] == []


def test_from_import_of_a_missing_name_is_an_import_error():
    with pytest.raises(ImportError, match="cannot import name 'applications'"):
        exec("from staghorn import applications", {})


def test_public_names_hold_no_helper():
    for module in (staghorn.ops, layers, losses, metrics, optimizers, callbacks):
        assert not {name for name in module.__all__ if "missing_names" in name}


def test_a_batch_normalization_axis_from_an_old_file():
    assert layers.BatchNormalization(axis=[1]).get_config()["axis"] == 1
    assert layers.BatchNormalization(axis=np.int64(1)).get_config()["axis"] == 1
