"""What the repository promises about itself."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import staghorn

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCES = sorted((ROOT / "staghorn").rglob("*.py"))
FILE_LINES = 600
FUNCTION_LINES = 60


def package_name(requirement):
    return re.match(r"[A-Za-z0-9_.-]+", requirement).group()


def test_one_version():
    assert PROJECT["version"] == staghorn.__version__


def test_the_changelog_knows_the_version():
    assert f"## {staghorn.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_dependency_is_explained():
    extras = PROJECT["optional-dependencies"].values()
    wanted = {package_name(r) for group in (PROJECT["dependencies"], *extras) for r in group}
    explained = set(re.findall(r"`([\w.-]+)`", (ROOT / "docs" / "dependencies.md").read_text()))
    assert wanted - {"staghorn"} <= explained


def test_the_package_is_typed_and_licensed():
    assert (ROOT / "staghorn" / "py.typed").is_file()
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"


def test_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = set()
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / ".ci" / "run"):
        for line in re.findall(r"\bmake ((?:[a-z-]+ ?)+)(?=[`\n])", page.read_text()):
            named.update(line.split())
    assert {"demo", "test", "test-full", "bench"} <= named
    assert named <= targets


def test_the_readme_runs(tmp_path, monkeypatch, capsys):
    """Its Python blocks, one after the other, as a newcomer would paste them."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    namespace = {"__name__": "readme"}
    for block in blocks:
        exec(block, namespace)  # our own text, checked here
    assert (tmp_path / "model.keras").is_file()
    assert namespace["Classifier"]()(namespace["x"]).shape == (1000, 1)
    assert max(namespace["history"].history["val_accuracy"]) > 0.8
    assert "[[" in capsys.readouterr().out


@pytest.mark.parametrize(
    "script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem
)
def test_examples_say_what_they_are_and_what_they_lack(script, tmp_path):
    """Each has a heading, and one that needs data leaves with status 3 and a line that helps."""
    text = script.read_text()
    assert ast.get_docstring(ast.parse(text))
    if "data_file(" not in text:
        return
    done = subprocess.run(
        [sys.executable, str(script), "--epochs", "1"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "STAGHORN_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 3, done.stderr
    assert "set STAGHORN_DATA" in done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_budgets(path):
    """A file fits on few screens, a function on one; docstrings and comments are free."""
    text = path.read_text()
    tree = ast.parse(text)
    prose = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            prose.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    code = {
        number
        for number, line in enumerate(text.splitlines(), 1)
        if number not in prose and line.strip() and not line.strip().startswith("#")
    }
    assert len(code) <= FILE_LINES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = len(code & set(range(node.lineno, node.end_lineno + 1)))
            assert size <= FUNCTION_LINES, f"{node.name} has {size} lines of code"
