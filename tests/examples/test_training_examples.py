"""The scripts of `examples/` about training that one can take apart, run as a reader would."""

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NUMBER = r"(\d\.\d+|\d\.\de[-+]\d+)"


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Return `run(script, epochs)`: what it prints; its files go to a folder of the test."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    sys.modules.pop("support", None)
    import support

    monkeypatch.setattr(support, "ROOT", tmp_path)

    def run(script, epochs):
        monkeypatch.setattr(sys, "argv", [script, "--epochs", str(epochs)])
        runpy.run_path(str(EXAMPLES / f"{script}.py"), run_name="__main__")
        return capsys.readouterr().out

    yield run
    sys.modules.pop("support", None)


def numbers(pattern, text):
    found = re.search(pattern, text)
    assert found, text
    return [float(value) for value in found.groups()]


def test_distillation(run):
    said = run("distillation", 3)
    (alike,) = numbers(rf"answers as its teacher: {NUMBER}", said)
    assert alike > 0.3  # of ten classes
    assert "taught: accuracy" in said


def test_gradient_penalty(run):
    said = run("gradient_penalty", 1)
    assert numbers(r"drawn: (\d) of 8 clouds", said)[0] >= 1


def test_custom_loop(run):
    """The same training written twice gives the same answers."""
    said = run("custom_loop", 2)
    assert numbers(rf"largest difference of their answers: {NUMBER}", said)[0] < 1e-4
    seen = re.findall(r"accuracy (\S+),", said)
    assert len(seen) == 2
    assert len(set(seen)) == 1


def test_optax_optimizer(run):
    said = run("optax_optimizer", 2)
    (before,) = numbers(rf"^loss: {NUMBER}", said)
    (after,) = numbers(rf"trained on: {NUMBER}", said)
    assert after < before


def test_training_helpers(run, tmp_path):
    said = run("training_helpers", 2)
    assert re.search(r"frozen: .*wide.*norm.*code|frozen: encoder", said), said
    assert numbers(rf"fine-tuned: accuracy {NUMBER}", said)[0] > 0.5
    pictures = {path.name for path in tmp_path.rglob("*.png")}
    assert pictures == {"learning_rates.png", "norms.png"}
