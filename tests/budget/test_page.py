"""docs/benchmarks.md from made-up results: every figure is where it belongs, misses are named."""

import copy
import json

import pytest

from benchmarks import compare, page
from benchmarks.contenders import CONTENDERS, PEERS, measure, peers_meant
from benchmarks.programs import PROGRAMS


def result(some, first=2.0, peak=500.0, quality=None, **more):
    """One contender's figures: `some` are its rounds, one list for each process."""
    count = len(some)
    return {
        "built": [0.5] * count,
        "first": [first] * count,
        "some": some,
        "cpu": [[2 * value for value in rounds] for rounds in some],
        "peak": [peak] * count,
        "quality": [quality or {"accuracy": 0.9}] * count,
        **more,
    }


POWER = {
    "staghorn": result([[5.0, 4.0], [4.0, 4.0]], quality={"R2 PE": 0.95}),
    "jax": result([[4.0, 4.0], [4.0, 4.0]], quality={"R2 PE": 0.95}),
    "torch": result([[90.0], [90.0]], quality={"R2 PE": 0.95}, hopeless=True),
    "keras-jax": result([[30.0, 32.0], [28.0, 32.0]], peak=600.0, quality={"R2 PE": 0.94}),
    "keras-jax+steps": result([[16.0, 16.0], [16.0, 16.0]], quality={"R2 PE": 0.95}),
    "keras-torch": {**result([]), "quality": [], "failed": "no answer in 120 s"},
}
DEEP = {
    "staghorn": result([[]], first=1.0, peak=700.0),
    "keras-jax": result([[]], first=2.5, peak=600.0),
}
STARTUP = {
    "import": {"staghorn above jax": [0.1, 0.2, 0.3], "keras-jax": [1.5, 1.6, 1.7]},
    "help": {"staghorn --help": [0.4, 0.5, 0.6]},
    "cold": {"staghorn": [1.0, 2.0], "keras-jax": [3.0, 4.0]},
    "warm": {"staghorn": [0.9, 1.0], "keras-jax": [3.0, 4.0]},
}
CURVES = {"rows": {"x": [10, 20, 40], "ms": [6.0, 7.0, 9.0]}}


def results(effort="quick", **parts):
    measured = {"power_plant": POWER, "deep": DEEP, "startup": STARTUP, **parts}
    measured["growth"] = {"staghorn": CURVES}
    return {
        "about": {"effort": effort, "machine": "a machine", "versions": {"jax": "0.10.2"}},
        "parts": {
            name: {"date": "2026-01-02", "load": 0.1, "results": copy.deepcopy(value)}
            for name, value in measured.items()
        },
    }


def row(text, *words):
    """The only line of a page with all these words, as cells."""
    lines = [line for line in text.splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, lines
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


@pytest.fixture(scope="module")
def text():
    return page.render(results())


def test_a_target_that_is_met(text):
    """Ratios are of rounds: 30/5, 32/4, 28/4, 32/4."""
    cells = row(text, "power plant", "default")
    assert cells[1:] == [
        "4 ms per epoch",
        "best `keras` default: keras on JAX, 31",
        "7.50 (6.00 to 8.00)",
        "7x",
        "met",
    ]


def test_a_target_that_is_missed(text):
    assert row(text, "power plant", "best tuned")[3:] == [
        "4.00 (3.20 to 4.00)",
        "4.5x",
        "**missed**",
    ]


def test_the_limit_is_the_other_way_round(text):
    cells = row(text, "limit: hand-written JAX")
    assert cells[3:] == ["1.00 (1.00 to 1.25) of its time", "<= 1.3", "met"]


def test_building_and_first_step_count_together(text):
    cells = row(text, "200 layers")
    assert cells[1:] == ["1.5 s", "keras on JAX, 3", "2.00", "1x", "met"]


def test_a_full_run_judges_the_whole_fit():
    quick, full = page.render(results()), page.render(results("full"))
    assert "s for 1000 epochs" in full
    assert "s for 1000 epochs" not in quick
    assert row(full, "power plant", "default")[3:] == ["1.00", "7x", "**missed**"]
    assert "make bench BENCH=--full" in full


def test_starts(text):
    assert row(text, "`import staghorn`", "above")[-1] == "met"
    assert row(text, "`staghorn --help`")[1:] == [
        "0.50 (0.40 to 0.60) s",
        "",
        "",
        "< 0.3 s",
        "**missed**",
    ]
    assert row(text, "process start", "keras on JAX")[-3:] == ["2.50 (2.00 to 3.00)", "> 1x", "met"]
    assert row(text, "second process", "2x")[-1] == "**missed**"


def test_memory_says_where_it_is_above(text):
    assert row(text, "peak memory")[3:] == ["above on deep", "never above", "**missed**"]


def test_who_failed_and_who_left_is_said(text):
    assert row(text, "power_plant", "keras on PyTorch", "failed")[-1] == "no answer in 120 s"
    assert row(text, "power_plant", "plain PyTorch", "left early")[2:5] == [
        "90",
        "180",
        "20.25 (18.00 to 22.50)",
    ]


def test_quality_and_growth(text):
    reached = row(text, "R2 PE")
    assert "Staghorn 0.9500, hand-written JAX 0.9500" in reached[2]
    assert row(text, "10: 6, 20: 7, 40: 9")[3:] == ["5", "0.1", "0 %"]


def test_staghorn_failed():
    broken = {**POWER, "staghorn": {**result([]), "failed": "it broke"}}
    assert "failed" in row(page.render(results(power_plant=broken)), "power plant: 2", "missed")


def test_nothing_measured(tmp_path):
    nothing = {**results(), "parts": {}}
    page.write(nothing, tmp_path)
    assert "Not measured." in (tmp_path / "benchmarks.md").read_text()


def test_what_is_written_by_hand_is_kept(tmp_path):
    file = tmp_path / "benchmarks.md"
    page.write(results(), tmp_path)
    file.write_text(file.read_text() + "\n## On a GPU\n\nBy hand.\n")
    page.write(results("full"), tmp_path)
    assert file.read_text().endswith(f"{page.KEPT}\n\n## On a GPU\n\nBy hand.\n")
    assert file.read_text().count(page.KEPT) == 1
    assert (tmp_path / page.CHART).read_text().count("power_plant") >= 1


def test_the_chart_is_the_same_each_time(tmp_path):
    for name in ("one.svg", "two.svg"):
        page.draw(results(), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_every_contender_has_a_mark_and_every_target_a_meaning():
    assert set(page.MARKS) == {"jax", *PEERS}
    for program in PROGRAMS.values():
        for word in {**program.targets, **(program.first or {})}:
            assert set(peers_meant(word)) <= set(CONTENDERS)


def test_every_loop_is_written():
    """Each program has the same name in both files of loops; they are read, not imported."""
    for name in ("jax_loops", "torch_loops"):
        source = (compare.ROOT / "benchmarks" / f"{name}.py").read_text()
        for program in PROGRAMS:
            assert f"\ndef {program}(seed)" in source or f"\n{program} = " in source


def test_results_of_an_interrupted_run_are_found_again(tmp_path, capsys):
    path, held = tmp_path / "folder" / "results.json", results()
    about = held["about"]
    assert compare.load_results(path, about, fresh=False) == {"about": about, "parts": {}}
    compare.save_results(path, held)
    assert compare.load_results(path, about, fresh=False) == json.loads(path.read_text()) == held
    assert compare.load_results(path, about, fresh=True)["parts"] == {}
    assert compare.load_results(path, {**about, "effort": "full"}, fresh=False)["parts"] == {}
    assert "starting anew" in capsys.readouterr().out


def test_who_leaves_after_a_round():
    held = {"staghorn": 50.0, "torch": 10.0, "keras-jax": 31.0, "keras-torch": 29.0, "jax": 1.0}
    rounds = {name: {"some": [[value]]} for name, value in held.items()}
    assert compare.hopeless(held, rounds) == ["keras-jax"]


def test_measuring_repeats_for_so_long():
    done = []
    clock, used = measure(done.append, 3, 0.0)
    assert clock > 0
    assert used >= 0
    assert done == [3]
    measure(done.append, 3, 0.01)
    assert len(done) > 2


def test_arguments(capsys):
    options = compare.parse(["lstm", "--full"])
    assert options.parts == ["lstm"]
    assert options.effort is compare.FULL
    assert {"startup", "growth", "deep"} <= set(options.known)
    with pytest.raises(SystemExit):
        compare.parse(["lsmt"])
    assert "unknown: lsmt" in capsys.readouterr().err


def test_a_worker_that_breaks_says_why(tmp_path):
    worker = compare.Worker("lstm", "nobody", 0, 60.0, tmp_path)
    with pytest.raises(compare.Failed, match="invalid choice"):
        worker.answer()


def test_one_program_from_end_to_end(tmp_path):
    """Real processes: Staghorn and the hand-written loop on a program that needs no files."""
    effort = compare.Effort("quick", 0, 1, 2, 0.0, 300.0, 1, 300.0)
    found = compare.run_program("predict_row", ["staghorn", "jax"], effort, lambda text: None)
    for result in found.values():
        assert "failed" not in result
        assert len(result["some"][0]) == 2
        assert result["quality"] == [{"answer": True}]
        assert result["peak"][0] > 10
