"""Pages that are written by programs say what the code does today."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


def program(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_which_api_is_up_to_date(tmp_path):
    program("make_which_api").write(tmp_path)
    written = {path.relative_to(tmp_path): path for path in tmp_path.rglob("*") if path.is_file()}
    assert len(written) == 5
    for name, path in written.items():
        hint = f"docs/{name} is out of date: run python docs/make_which_api.py"
        assert (DOCS / name).read_text() == path.read_text(), hint


def test_a_mark_says_no_only_for_a_refusal():
    mark = program("make_which_api").mark
    assert mark(lambda: None) == "**yes**"
    assert mark(lambda: int("three")) == "no"
    with pytest.raises(ZeroDivisionError):
        mark(lambda: 1 / 0)
