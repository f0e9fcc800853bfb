"""The harness sees what an attack would do: each misdeed below is reported."""

from __future__ import annotations

import pytest

from tests.attacks.harness import EITHER, Attempt, Canary, problems, run

MISDEEDS = {
    "read": "did open",
    "write": "files: ",
    "folder": "did os.mkdir",
    "process": "did subprocess.Popen",
    "network": "did urllib.Request",
    "import": "did import",
    "code": "did compile",
    "bytecode": "and marshal.loads",
    "setting": "changed: ['floatx'",
    "name": "changed: ['registered",
    "memory": "MiB, allowed",
    "time": "took 1",
    "leak": "leaked: True",
    "error": "raised KeyError",
    "untold": "does not name the file",
    "crash": "the process died",
    "exit": "the process died",
    "endless": "the process died",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("misdeeds")
    canary = Canary(folder)
    harmless = folder / "harmless"
    harmless.write_text("x")
    attempts = [
        Attempt(name, "misbehave", EITHER, str(harmless), {"secret": str(canary.text),
                "url": canary.url}) for name in (*MISDEEDS, "nothing")
    ]  # fmt: skip
    try:
        reports = run(attempts, folder, canary, wall=6)
        return {a.id: problems(a, reports[a.id], 64 << 20, 1) for a in attempts}, canary.requests
    finally:
        canary.close()


@pytest.mark.parametrize("name", MISDEEDS)
def test_misdeeds_are_seen(name, found):
    assert any(MISDEEDS[name] in line for line in found[0][name]), found[0][name]


def test_nothing_is_nothing(found):
    assert found[0]["nothing"] == []
    assert found[1] == ["/"]  # the server hears
