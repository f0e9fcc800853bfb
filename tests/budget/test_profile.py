"""The profile adds up the events of a trace and says which layer an operation belongs to."""

import gzip
import json

from benchmarks import profile

TRACE = {
    "traceEvents": [
        {"ph": "X", "name": "dot.1", "dur": 30.0, "args": {"hlo_op": "dot.1"}},
        {"ph": "X", "name": "dot.1", "dur": 12.0, "args": {"hlo_op": "dot.1"}},
        {"ph": "X", "name": "python", "dur": 99.0, "args": {}},
        {"ph": "M", "name": "process_name"},
    ]
}
TEXT = '  %dot.1 = f32[2]{0} dot(%a, %b), metadata={op_type="dot" op_name="jit(_run)/dense/dot"}\n'


def test_times_and_origins(tmp_path):
    (tmp_path / "deep").mkdir()
    with gzip.open(tmp_path / "deep" / "host.trace.json.gz", "wt") as file:
        json.dump(TRACE, file)
    (tmp_path / "module.cpu_after_optimizations.txt").write_text(TEXT)
    spent, calls = profile.times(tmp_path)
    assert dict(spent) == {"dot.1": 42.0}
    assert dict(calls) == {"dot.1": 2}
    assert profile.origins(tmp_path) == {"dot.1": "jit(_run)/dense/dot"}


def test_those_with_jax():
    assert set(profile.WITH_JAX) == {"staghorn", "jax", "keras-jax", "keras-jax+steps"}
