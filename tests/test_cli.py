"""The command line: it starts light, teaches instead of failing, and its main job works."""

import json
import re
import runpy
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import staghorn
from staghorn.cli import main
from staghorn.demo.errors import DemoError, output_folder, require
from staghorn.demo.table import branch_names, numbers, read_table

HEAVY = ("jax", "numpy", "h5py", "matplotlib", "rich", "pandas", "sklearn")


def write_table(folder, suffix=".csv", rows=60):
    """A table with two columns that follow from the other two."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, 2)), columns=["heat", "wind"])
    frame["power"] = 450 + 20 * frame["heat"] - 5 * frame["wind"]
    frame["steam (t/h)"] = 3 * frame["wind"] + frame["heat"]
    path = folder / f"plant{suffix}"
    writers = {".csv": frame.to_csv, ".xlsx": frame.to_excel, ".parquet": frame.to_parquet}
    writers[suffix](path, index=False)
    return path


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["demo", "--help"], ["inspect", "--help"], ["convert", "--help"]],
)
def test_answers_without_loading_anything_heavy(arguments):
    program = (
        "import sys; from staghorn.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as done: assert done.code == 0, done.code\n"
        f"print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("loaded: []\n")


def test_runs_as_a_module_and_without_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "staghorn"], capture_output=True, text=True, check=True
    )
    assert "demo" in done.stdout


def test_prints_its_version(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"staghorn {staghorn.__version__}\n"


@pytest.mark.parametrize("epochs", ["0", "-2", "many"])
def test_refuses_epochs_that_are_no_count(epochs, capsys):
    with pytest.raises(SystemExit) as done:
        main(["demo", "--epochs", epochs])
    assert done.value.code == 2
    assert f"from 1 up, got '{epochs}'" in capsys.readouterr().err


MISTAKES = {
    "unknown column": (
        ["--inputs", "heat,Wnd", "--outputs", "power"],
        ["no column 'Wnd'. Did you mean 'wind'?", "heat, wind, power, steam (t/h)"],
    ),
    "unknown output": (
        ["--inputs", "heat", "--outputs", "zzz"],
        ["--outputs: no column 'zzz'.\n", "heat, wind, power, steam (t/h)"],
    ),
    "no inputs": (["--outputs", "power"], ["--inputs is missing", "heat, wind, power"]),
    "no outputs": (["--inputs", "heat"], ["--outputs is missing", "heat, wind, power"]),
    "named twice": (["--inputs", "heat,heat", "--outputs", "power"], ["'heat' is named twice"]),
    "both ways": (["--inputs", "heat", "--outputs", "heat"], ["heat: a column cannot be an input"]),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_in_the_options_gets_one_message(case, tmp_path, capsys):
    options, expected = MISTAKES[case]
    assert main(["demo", "--data", str(write_table(tmp_path)), *options]) == 2
    message = capsys.readouterr().err
    assert message.startswith("staghorn: ")
    assert "Traceback" not in message
    for text in expected:
        assert text in message


def test_columns_without_a_table(capsys):
    assert main(["demo", "--inputs", "heat"]) == 2
    assert "add --data FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("plant.txt", b"a,b\n1,2\n", "ending in .csv, .xlsx, .parquet, got .txt"),
        ("plant", b"a,b\n1,2\n", "got no ending"),
        ("plant.csv", b"", "No columns to parse"),
        ("plant.csv", b"\xff\xfe\x00a", "codec can't decode"),
        ("plant.xlsx", b"not a workbook", "plant.xlsx"),
        ("plant.parquet", b"not parquet", "plant.parquet"),
    ],
)
def test_a_file_that_cannot_be_read(name, content, expected, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DemoError, match=re.escape(expected)):
        read_table(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DemoError, match=r"No such file: .*plant\.csv"):
        read_table(tmp_path / "plant.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_reads_the_usual_separators(separator, tmp_path):
    path = tmp_path / "plant.csv"
    path.write_text(f"a{separator}b\n1{separator}2\n")
    assert list(read_table(path).columns) == ["a", "b"]


def test_names_every_cell_that_needs_cleaning():
    frame = pd.DataFrame({"a": [1.0, None, 3.0], "b": ["4", "five", "6"], "c": [1.0, 2.0, np.inf]})
    with pytest.raises(DemoError) as caught:
        numbers(frame, ["a", "b", "c"])
    message = str(caught.value)
    assert "column 'a' has 1 row (3) without a value" in message
    assert "column 'b' has 1 row (3) that hold no finite number, such as 'five'" in message
    assert "column 'c' has 1 row (4) that hold no finite number, such as 'inf'" in message


def test_long_lists_of_rows_are_cut():
    with pytest.raises(DemoError, match=r"12 rows \(2, 3, 4, 5, 6, 7, 8, 9, \.\.\.\)"):
        numbers(pd.DataFrame({"a": [None] * 12}), ["a"])


@pytest.mark.parametrize(
    ("rows", "column", "expected"),
    [(5, "power", "has 5 rows; at least 20"), (60, "same", "'same' holds one value only")],
)
def test_a_table_with_nothing_to_learn(rows, column, expected, tmp_path, capsys):
    path = write_table(tmp_path, rows=rows)
    pd.read_csv(path).assign(same=1.5).to_csv(path, index=False)
    assert main(["demo", "--data", str(path), "--inputs", "heat", "--outputs", column]) == 2
    assert expected in capsys.readouterr().err


def test_a_missing_package_names_the_command(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert main(["demo"]) == 2
    message = capsys.readouterr().err
    assert "needs scikit-learn, which is not installed" in message
    assert "pip install 'staghorn[demo]'" in message


def test_a_broken_package_shows_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import a_module_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_module_nobody_has"):
        require("broken_package", "broken", "This test")


def test_an_output_folder_that_is_a_file(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(DemoError, match="Name another --out"):
        output_folder(tmp_path / "taken")


def test_ctrl_c_is_no_traceback(monkeypatch, capsys):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("staghorn.demo.digits.run", interrupted)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "staghorn: stopped.\n"


def test_branch_names_differ_and_suit_layers():
    assert branch_names(["V", "V ", "a/b", "%"]) == ["V", "V_2", "a_b", "output"]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet"])
def test_the_table_job_learns(suffix, tmp_path, capsys):
    """Two outputs that are linear in the inputs: both are found, each on its own branch."""
    path = write_table(tmp_path, suffix, rows=200)
    options = ["--inputs", "heat,wind", "--outputs", "power, steam (t/h)", "--epochs", "60"]
    assert main(["demo", "--data", str(path), *options, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    scores = re.findall(r"(power|steam \(t/h\)) +│ +([\d.]+)", printed)
    assert [name for name, _ in scores] == ["power", "steam (t/h)"]
    assert all(float(score) > 0.9 for _, score in scores), printed
    picture = tmp_path / "out" / "actual_vs_predicted.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_table_job_takes_one_output(tmp_path, capsys):
    options = ["--inputs", "heat", "--outputs", "power", "--epochs", "2"]
    path = write_table(tmp_path)
    assert main(["demo", "--data", str(path), *options, "--out", str(tmp_path / "out")]) == 0
    assert "actual_vs_predicted.png" in capsys.readouterr().out.replace("\n", "")


def test_the_main_job(tmp_path, capsys):
    """Three styles above 0.95, alike in size; the rebuilt model predicts the same; files exist."""
    assert main(["demo", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    rows = re.findall(
        r"(Sequential|Functional|Subclassed) +│ +([\d,]+) │ +[\d.]+ │ +([\d.]+)", printed
    )
    assert [style for style, _, _ in rows] == ["Sequential", "Functional", "Subclassed"]
    assert {parameters for _, parameters, _ in rows} == {"50,826"}
    assert all(float(accuracy) > 0.95 for _, _, accuracy in rows), printed
    digit, even = re.search(r"digit ([\d.]+), even ([\d.]+)", printed).groups()
    assert float(digit) > 0.95
    assert float(even) > 0.95
    assert float(re.search(r"predictions ([\d.e+-]+)", printed).group(1)) < 1e-6
    rebuilt = staghorn.models.load_model(tmp_path / "digits.keras")
    assert rebuilt.output_names == ["digit", "even"]
    assert (tmp_path / "learning_curves.png").read_bytes().startswith(b"\x89PNG")


def saved_model(folder, name="m.keras"):
    model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)], name="net")
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((3, 4)), np.ones((3, 2)))
    model.save(folder / name)
    return folder / name, model


def test_inspect_prints_what_is_in_a_file(tmp_path, capsys):
    path, _ = saved_model(tmp_path)
    assert main(["inspect", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "Sequential 'net'" in printed
    assert re.search(r"^dense +Dense +units=2 +10$", printed, re.MULTILINE)
    assert main(["inspect", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["optimizer_step"] == 1


def test_inspect_of_what_loading_refuses(tmp_path, capsys):
    path, _ = saved_model(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    assert main(["inspect", str(path)]) == 1
    assert "Loading refuses it:" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"no model"])
def test_inspect_of_what_is_no_model(content, tmp_path, capsys):
    path = tmp_path / "m.keras"
    if content:
        path.write_bytes(content)
    assert main(["inspect", str(path)]) == 2
    message = capsys.readouterr().err
    assert re.fullmatch(r"staghorn: .*m\.keras.*\n", message)


def test_convert_there_and_back(tmp_path, capsys):
    path, model = saved_model(tmp_path)
    old, again = str(tmp_path / "old.h5"), str(tmp_path / "again.keras")
    assert main(["convert", str(path), old]) == 0
    assert main(["convert", old, again]) == 0
    printed = capsys.readouterr().out
    assert printed.count("dropped  nothing") == 2
    assert printed.count("kept     state of the optimizer: step 1") == 2
    back = staghorn.models.load_model(again)
    np.testing.assert_array_equal(back.predict(np.ones((3, 4))), model.predict(np.ones((3, 4))))
    assert int(back.optimizer.iterations) == 1


def test_convert_replaces_nothing_unless_told_to(tmp_path, capsys):
    path, _ = saved_model(tmp_path)
    new = tmp_path / "new.h5"
    new.write_bytes(b"precious")
    assert main(["convert", str(path), str(new)]) == 2
    assert "Add --force" in capsys.readouterr().err
    assert new.read_bytes() == b"precious"
    assert main(["convert", str(path), str(new), "--force"]) == 0
    assert new.read_bytes().startswith(b"\x89HDF")


OWN = """
import staghorn

class Mine(staghorn.layers.Dense):
    pass

def my_loss(y, p):
    return (y - p) ** 2
"""


def test_convert_takes_classes_of_the_user_s_own(tmp_path, capsys):
    own = tmp_path / "own.py"
    own.write_text(OWN)
    things = runpy.run_path(str(own))
    model = staghorn.Sequential([staghorn.Input((4,)), things["Mine"](2)])
    model.compile("sgd", things["my_loss"])
    model.save(tmp_path / "m.keras")
    command = ["convert", str(tmp_path / "m.keras"), str(tmp_path / "new.keras")]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert "'Mine'" in message
    assert "--custom FILE.py:NAME" in message
    command += ["--custom", f"{own}:Mine"]
    assert main(command) == 0
    assert "dropped  training: it cannot be compiled as it was" in capsys.readouterr().out
    assert main([*command, "--force", "--custom", f"{own}:my_loss"]) == 0
    assert "dropped  nothing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["m.weights.h5", "new.keras"], "holds weights and no architecture"),
        (["m.keras", "new.txt"], "must end in '.keras' or '.h5'"),
        (["m.keras", "new.weights.h5"], "model.save_weights(path)"),
        (["absent.keras", "new.keras"], "There is no file 'absent.keras'"),
        (["m.keras", "new.h5", "--custom", "Mine"], "expected FILE.py:NAME, got 'Mine'"),
        (["m.keras", "new.h5", "--custom", "own.py:Mien"], "own.py defines no 'Mien'"),
    ],
)
def test_mistakes_in_convert(options, expected, tmp_path, capsys, monkeypatch):
    _, model = saved_model(tmp_path)
    model.save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert main(["convert", *options]) == 2
    message = capsys.readouterr().err
    assert message.startswith("staghorn: ")
    assert expected in message
    assert not (tmp_path / options[1]).exists()
