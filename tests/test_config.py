"""Switches of `config`: the same as Keras's, and what they do."""

import inspect
import logging
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import staghorn
from staghorn import config, layers
from tests.oracle import keras

X, Y = np.ones((40, 3), "float32"), np.ones((40, 1), "float32")


@pytest.fixture(autouse=True)
def _restored():
    yield
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)
    config.enable_interactive_logging()
    config.enable_traceback_filtering()
    config.enable_flash_attention()


def small_model():
    model = staghorn.Sequential([staghorn.Input((3,)), layers.Dense(1)])
    model.compile("sgd", loss="mse")
    return model


def batches(count=10):
    for _ in range(count):
        yield X[:4], Y[:4]


def test_every_name_and_signature_is_keras_own():
    names = [name for name in dir(keras.config) if not name.startswith("_")]
    assert sorted(names) == sorted(set(config.__all__) - {"compile_cache", "set_compile_cache"})
    for name in names:
        ours, theirs = getattr(config, name), getattr(keras.config, name)
        assert list(inspect.signature(ours).parameters) == list(
            inspect.signature(theirs).parameters
        ) or name.startswith("set_")


@pytest.mark.parametrize("module", [config, keras.config], ids=["ours", "keras"])
def test_switches(module):
    assert module.is_flash_attention_enabled() is None
    module.disable_flash_attention()
    assert module.is_flash_attention_enabled() is False
    module.enable_flash_attention()
    assert module.is_flash_attention_enabled() is None
    for switch in ("interactive_logging", "traceback_filtering"):
        enabled = getattr(module, f"is_{switch}_enabled")
        assert enabled()
        getattr(module, f"disable_{switch}")()
        assert not enabled()
        getattr(module, f"enable_{switch}")()
        assert enabled()
    assert module.is_nnx_enabled() is False
    assert module.max_epochs() is module.max_steps_per_epoch() is None


def test_tracebacks_are_jax_own():
    config.disable_traceback_filtering()
    assert jax.config.jax_traceback_filtering == "off"


@pytest.mark.parametrize(
    "data", [lambda: (X, Y), lambda: (batches(100),)], ids=["arrays", "stream"]
)
def test_epochs_and_steps_are_limited(data):
    config.set_max_epochs(2)
    config.set_max_steps_per_epoch(3)
    model, kwargs = small_model(), {"batch_size": 4} if len(data()) == 2 else {}
    with pytest.warns(UserWarning, match="Limiting (epochs to 2|steps_per_epoch to 3)"):
        history = model.fit(*data(), epochs=5, verbose=0, **kwargs)
    assert len(history.epoch) == 2
    assert int(model.optimizer.iterations.value) == 6


def test_evaluation_and_prediction_are_limited():
    config.set_max_steps_per_epoch(2)
    model = small_model()
    y = np.concatenate([Y[:8], 1e6 * Y[:32]])
    with pytest.warns(UserWarning, match="Limiting"):
        assert model.evaluate(X, y, batch_size=4, verbose=0) < 1e6
    with pytest.warns(UserWarning, match="Limiting"):
        assert model.predict(X, batch_size=4, verbose=0).shape == (8, 1)
    assert model.predict(X[:8], batch_size=4, verbose=0).shape == (8, 1)


def test_a_limit_above_what_there_is_changes_nothing():
    config.set_max_epochs(9)
    config.set_max_steps_per_epoch(99)
    model = small_model()
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0, validation_data=(X, Y))
    assert int(model.optimizer.iterations.value) == 20


def test_environment_variables():
    code = "from staghorn import config; print(config.max_epochs(), config.max_steps_per_epoch())"
    limits = {"KERAS_MAX_EPOCHS": "3", "KERAS_MAX_STEPS_PER_EPOCH": "7"}
    run = [sys.executable, "-c", code]
    done = subprocess.run(
        run, env={**os.environ, **limits}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["3", "7"]
    done = subprocess.run(
        run, env={**os.environ, "KERAS_MAX_EPOCHS": "few"}, capture_output=True, text=True
    )
    assert "KERAS_MAX_EPOCHS must be an int, got 'few'" in done.stderr


def test_messages_go_to_the_logger(capsys, caplog):
    config.disable_interactive_logging()
    with caplog.at_level(logging.INFO, logger="staghorn"):
        small_model().fit(X, Y, verbose=2)
    assert capsys.readouterr().out == ""
    assert any("loss" in record.message for record in caplog.records)
    config.enable_interactive_logging()
    small_model().fit(X, Y, verbose=2)
    assert "loss" in capsys.readouterr().out


def test_other_engines_are_refused():
    config.set_backend("jax")
    with pytest.raises(ValueError, match="computes with JAX alone, 'torch' is not there"):
        config.set_backend("torch")


def _choose_jax():
    keras.config.set_backend("jax")
    config.set_backend("jax")


def test_the_engine_that_is_there_may_be_chosen():
    """Keras imports itself anew, so this takes a process of its own."""
    lines = (
        "import warnings; warnings.simplefilter('ignore')",
        "from tests.test_config import _choose_jax; _choose_jax()",
        "import keras, staghorn",
        "print(keras.config.backend(), staghorn.config.backend())",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["jax", "jax"]


def test_code_in_files_stays_out():
    with pytest.warns(UserWarning, match=r"load_model\(path, replace="):
        config.enable_unsafe_deserialization()


def test_what_is_allowed_in_files_once_for_all(tmp_path):
    """Keras then runs the code in a file; here it stays out, and `replace=` gives the function."""
    path = tmp_path / "doubled.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: 2 * x, name="twice")]).save(
        path
    )
    x = np.ones((1, 2), "float32")
    with pytest.raises(ValueError, match="lambda"):
        keras.models.load_model(path)
    with pytest.warns(UserWarning, match="has no effect"):
        config.enable_unsafe_deserialization()
    keras.config.enable_unsafe_deserialization()
    try:
        theirs = keras.models.load_model(path)(x)
    finally:
        state = sys.modules["keras.src.backend.common.global_state"]
        state.set_global_attribute("safe_mode_saving", None)
    with pytest.raises(staghorn.saving.UnsafeFileError, match="twice"):
        staghorn.models.load_model(path)
    ours = staghorn.models.load_model(path, replace={"twice": lambda x: 2 * x})(x)
    np.testing.assert_array_equal(ours, theirs)
