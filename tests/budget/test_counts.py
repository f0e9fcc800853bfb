"""What can be counted of a `fit` stays within its limits; `make counts` prints the table."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import counts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The figures, counted in a process of their own: no other test's programs, one device."""
    cache = {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.counts", "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**environment, **cache, "PYTHONPATH": str(ROOT)},
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", counts.CASES)
def test_counts_are_within_their_limits(found, name):
    assert counts.broken(name, found[name]) == []


def test_a_lost_loop_a_copy_and_a_wait_per_step_are_seen():
    model = counts.compiled(counts.perceptron(), steps_per_execution=1)
    figures = counts.count(lambda: counts.on_arrays(model))
    assert figures["programs"] == counts.STEPS
    assert figures["copies"] >= counts.STEPS
    said = counts.broken("mlp", figures)
    assert f"mlp: programs is {counts.STEPS}, the limit is 1" in said


def test_what_is_not_seen_is_said(found):
    said = counts.broken("mlp", {**found["mlp"], "operations": 0})
    assert said == ["mlp: no operations were counted: `Counting` looks at the wrong place"]


def test_a_wait_per_batch_is_seen():
    figures = counts.count(counts.batch_hooks)
    assert figures["waits"] >= counts.STEPS


def test_compiling_again_is_seen():
    def make():
        model = counts.compiled(counts.perceptron())

        def fit(epochs):
            counts.on_arrays(counts.compiled(model))(epochs)

        return fit

    figures = counts.count(make)
    assert figures["compiles again"] >= 2
    assert any("compiles again" in line for line in counts.broken("mlp", figures))


PROGRAM = """\
HloModule jit__run

%fused (p: f32[2]) -> f32[2] {
  %p = f32[2]{0} parameter(0)
  ROOT %n = f32[2]{0} negate(%p)
}

%inner (q: (f32[2])) -> (f32[2]) {
  %q = (f32[2]{0}) parameter(0)
  %g = f32[2]{0} get-tuple-element(%q), index=0
  %c = f32[2]{0} copy(%g)
  ROOT %t = (f32[2]{0}) tuple(%c)
}

%body (q: (f32[2])) -> (f32[2]) {
  %q = (f32[2]{0}) parameter(0)
  %g = f32[2]{0} get-tuple-element(%q), index=0
  %f = f32[2]{0} fusion(%g), kind=kLoop, calls=%fused
  %c = f32[2]{0} copy(%f)
  %w = (f32[2]{0}) while(%q), condition=%cond, body=%inner
  ROOT %t = (f32[2]{0}) tuple(%c)
}

ENTRY %main (x: (f32[2])) -> (f32[2]) {
  %x = (f32[2]{0}) parameter(0)
  ROOT %w = (f32[2]{0}) while(%x), condition=%cond, body=%body
}
"""


def test_the_size_of_a_loop():
    """A fusion, two copies and an inner loop; what moves no data is free."""
    assert counts.loop_size(PROGRAM) == (4, 2)
    assert counts.loop_size("") == (0, 0)


def test_the_table_marks_what_is_above():
    figures = {**vars(counts.CASES["mlp"][1]), "compiles again": 0}
    assert "!" not in counts.table({"mlp": figures})
    assert "40/1!" in counts.table({"mlp": {**figures, "programs": 40}})
