"""Progbar and ProgbarLogger: Keras's text on a terminal, clean lines elsewhere."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest

import staghorn
from staghorn.callbacks import CallbackList, ProgbarLogger
from staghorn.engine import progbar
from staghorn.engine.progbar import Progbar
from tests.oracle import keras


class Terminal(io.StringIO):
    """A stream that says it is a terminal, or not."""

    def __init__(self, encoding="utf-8", tty=True):
        super().__init__()
        self._encoding, self.tty = encoding, tty

    @property
    def encoding(self):
        return self._encoding

    def write(self, text):
        text.encode(self._encoding)
        return super().write(text)

    def isatty(self):
        return self.tty


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progbar, "clock", clock)
    monkeypatch.setattr(keras.src.utils.progbar.time, "time", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(progbar, "is_live", lambda stream: stream is not None and stream.isatty())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def use(encoding="utf-8", tty=True):
        stream = Terminal(encoding, tty)
        monkeypatch.setattr(sys, "stdout", stream)
        return stream

    return use


# steps per update, seconds per update, target, last values
RUNS = [
    (1, 0.1, 3, [("loss", 0.12345)]),
    (1, 0.0004, 60, [("loss", 0.5), ("accuracy", 0.875)]),
    (1, 1.5, 5, [("loss", -2.0)]),
    (1, 45.0, 400, [("loss", 1e-5)]),
    (1, 2.0, 100, [("loss", float("nan")), ("mae", 0.0)]),
    (1, 0.1, 1, []),
    (1, 0.1, None, [("loss", 1234.5)]),
]


def joined(text):
    """Every redraw as one string without colours."""
    plain = re.sub(r"\x1b\[\d+m|\x08", "", text)
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("run", RUNS, ids=str)
def test_text_as_keras(run, verbose, clock, terminal):
    stride, seconds, target, values = run
    outputs = []
    for cls in (Progbar, keras.utils.Progbar):
        stream = terminal()
        bar = cls(target, verbose=verbose, stateful_metrics=["accuracy"])
        for step in range(stride, (target or 4) + 1, stride):
            clock.now += seconds
            bar.update(step, values, finalize=False)
        bar.update(target or 4, values, finalize=True)
        outputs.append(joined(stream.getvalue()))
    ours, theirs = outputs
    if verbose == 2 and target is None:  # Keras prints nothing
        assert len(ours) == 1
    elif verbose == 2:  # Keras writes a negative value in scientific notation
        assert [line.replace("-2.0000e+00", "-2.0000") for line in theirs] == ours
    else:
        assert ours == theirs


def test_averages_as_keras(clock, terminal):
    lines = []
    for cls in (Progbar, keras.utils.Progbar):
        stream = terminal()
        bar = cls(10, stateful_metrics=["last"])
        for step, value in ((1, 1.0), (3, 2.0), (6, 4.0)):
            clock.now += 1
            bar.update(step, [("mean", value), ("last", value)])
        lines.append([re.sub(r"\d+ms/step|\ds", "", line) for line in joined(stream.getvalue())])
    assert lines[0] == lines[1]
    assert "mean: 2.8333 - last: 4.0000" in lines[0][-1]


def test_redraws_at_most_every_interval(clock, terminal):
    stream = terminal()
    bar = Progbar(1000)
    for step in range(1, 1000):
        clock.now += 0.001
        bar.update(step)
    assert 15 <= stream.getvalue().count("\r") <= 21


def test_a_shorter_line_covers_a_longer_one(clock, terminal):
    stream = terminal()
    bar = Progbar(100)
    bar.update(1, [("loss", 123456.0)])
    clock.now += 1
    bar.update(2, [("loss", 0.5)])
    clock.now += 1
    bar.update(100, [("loss", 0.5)])
    lengths = [len(re.sub(r"\x1b\[\d+m", "", x)) for x in stream.getvalue().split("\r")[1:]]
    assert lengths[0] <= lengths[1] <= lengths[2]


def test_the_live_line_fits_the_terminal_and_the_last_is_whole(clock, terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    stream = terminal()
    bar = Progbar(10)
    values = [(f"metric_{i}", 0.5) for i in range(10)]
    bar.update(1, values)
    assert len(joined(stream.getvalue())[-1]) <= 49
    bar.update(10, values)
    assert "metric_9: 0.5000" in joined(stream.getvalue())[-1]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_other_encodings_get_a_plain_bar(encoding, clock, terminal):
    stream = terminal(encoding)
    bar = Progbar(4)
    bar.update(2, [("größe", 0.5)])
    (line,) = joined(stream.getvalue())
    assert line.startswith("2/4 ==========.......... ")
    assert ("größe" in line) is (encoding == "cp1252")


def test_no_colour(clock, terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream = terminal()
    Progbar(4).update(2)
    assert "\x1b" not in stream.getvalue()


def test_compilation_is_left_out_of_the_time_per_step(clock, terminal):
    stream = terminal()
    bar = Progbar(40)
    clock.now += 20  # compiles
    bar.update(10)
    clock.now += 1
    bar.update(20)
    assert "20/40" in joined(stream.getvalue())[-1]
    assert " 2s 100ms/step" in joined(stream.getvalue())[-1]


def test_both_kinds_of_metrics():
    with pytest.raises(ValueError, match="not both"):
        Progbar(1, stateful_metrics=["a"], stateless_metrics=["b"])


def test_add(clock, terminal):
    stream = terminal()
    bar = Progbar(4)
    bar.add(1)
    clock.now += 1
    bar.add(3)
    assert joined(stream.getvalue())[-1].startswith("4/4 ")
    assert stream.getvalue().endswith("\n")


def run_fit(verbose, epochs=2, steps=4):
    calls = CallbackList(add_progbar=verbose != 0, verbose=verbose, epochs=epochs, steps=steps)
    calls.on_train_begin()
    for epoch in range(epochs):
        calls.on_epoch_begin(epoch)
        calls.on_train_chunk_end(1, {})
        calls.on_train_chunk_end(3, {"loss": 0.9})
        calls.on_test_begin()
        calls.on_test_chunk_end(1, {"loss": 7.0})
        calls.on_test_end({"loss": 0.7})
        calls.on_epoch_end(epoch, {"loss": 0.5, "val_loss": 0.7})
    calls.on_train_end({})


@pytest.mark.parametrize("verbose", [1, "auto"])
def test_a_log_gets_one_clean_line_per_epoch(verbose, clock, terminal):
    stream = terminal(tty=False)
    run_fit(verbose)
    assert stream.getvalue().splitlines() == [
        f"Epoch {epoch}/2 - 4/4 - 0s - 0s/step - loss: 0.5000 - val_loss: 0.7000"
        for epoch in (1, 2)
    ]


@pytest.mark.filterwarnings("ignore:.shuffle=True.:UserWarning")  # of keras
def test_verbose_2_writes_what_keras_writes(capsys):
    x = np.arange(40, dtype="float32").reshape(20, 2) / 40

    def batches():
        for _ in range(3):
            yield x[:4], x[:4, :1]

    def written(library):
        model = library.Sequential([library.layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse", metrics=["mae"])
        capsys.readouterr()
        model.fit(x, x[:, :1], 20, epochs=2, verbose=2, validation_split=0.25)
        model.fit(x, x[:, :1], 20, epochs=3, initial_epoch=1, verbose=2)
        model.fit(x, x[:, :1], 20, epochs=1, verbose=2)
        model.fit(batches(), epochs=1, steps_per_epoch=3, verbose=2)
        model.evaluate(x, x[:, :1], verbose=2)
        model.predict(x, verbose=2)
        return re.sub(r"\d+s - \d+[mu]?s/step", "TIME", capsys.readouterr().out)

    assert written(staghorn) == written(keras)


def test_a_single_epoch_has_no_number(clock, terminal):
    stream = terminal(tty=False)
    run_fit(2, epochs=1)
    assert stream.getvalue().startswith("4/4 - 0s")


def test_a_terminal_shows_title_and_bar(clock, terminal):
    stream = terminal()
    run_fit("auto")
    lines = joined(stream.getvalue())
    assert lines[0] == "Epoch 1/2"
    assert "4/4 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step - loss: 0.5000 - val_loss: 0.7000" in lines
    assert "7.0000" not in stream.getvalue()  # the validation inside fit is silent


def test_verbose_0_is_silent(terminal):
    stream = terminal()
    run_fit(0)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("mode", ["test", "predict"])
def test_evaluate_and_predict(mode, clock, terminal):
    stream = terminal(tty=False)
    calls = CallbackList(add_progbar=True, verbose="auto", epochs=1, steps=2)
    getattr(calls, f"on_{mode}_begin")()
    getattr(calls, f"on_{mode}_chunk_end")(1, {})
    getattr(calls, f"on_{mode}_end")({"loss": 0.5} if mode == "test" else None)
    expected = "2/2 - 0s - 0s/step" + (" - loss: 0.5000" if mode == "test" else "")
    assert stream.getvalue() == f"{expected}\n"


def test_unknown_number_of_steps_is_learnt(clock, terminal):
    stream = terminal()
    calls = CallbackList([ProgbarLogger()], verbose=1, epochs=2, steps=None)
    calls.on_train_begin()
    for epoch in range(2):
        calls.on_epoch_begin(epoch)
        clock.now += 1
        calls.on_train_chunk_end(2, {"loss": 0.5})
        calls.on_epoch_end(epoch, {"loss": 0.5})
    lines = joined(stream.getvalue())
    assert lines[1].startswith("      3/Unknown")
    assert lines[2].startswith("3/3 ━━")
    assert lines[4].startswith("3/3 ━━")


def test_a_stopped_epoch_shows_the_steps_done(clock, terminal):
    stream = terminal(tty=False)
    calls = CallbackList(add_progbar=True, verbose=2, epochs=1, steps=60)
    calls.on_train_begin()
    calls.on_epoch_begin(0)
    calls.on_train_chunk_end(19, {})
    calls.on_epoch_end(0, {"loss": 0.5})
    assert stream.getvalue().startswith("20/60 - ")


def test_a_tail_counted_beyond_the_target(clock, terminal):
    stream = terminal(tty=False)
    calls = CallbackList(add_progbar=True, verbose=2, epochs=1, steps=3)
    calls.on_predict_begin()
    calls.on_predict_chunk_end(3)
    calls.on_predict_end()
    assert stream.getvalue().startswith("3/3 - ")


def test_no_standard_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    bar = Progbar(1, verbose=1)
    bar.update(1)
    assert not bar.live


def test_a_pipe_gets_no_control_characters_and_rich_is_not_loaded():
    program = (
        "import sys; from staghorn.engine.progbar import Progbar\n"
        "bar = Progbar(3)\n"
        "for i in range(3): bar.update(i + 1, [('loss', 0.5)])\n"
        "assert 'rich' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"3/3 - 0s - .*/step - loss: 0.5000\n", done.stdout)


def test_notebooks_are_live_and_redirections_are_not(monkeypatch, tmp_path):
    class OutStream(io.TextIOBase):
        pass

    monkeypatch.delenv("PYCHARM_HOSTED", raising=False)
    assert not progbar.is_live(OutStream())
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert progbar.is_live(OutStream())
    assert not progbar.is_live(io.StringIO())
    with (tmp_path / "log.txt").open("w") as file:
        assert not progbar.is_live(file)


def test_a_message_during_an_epoch_stands_below_the_bar(terminal):
    for tty, expected in ((True, "\nstopped\n"), (False, "stopped\n")):
        stream = terminal(tty=tty)
        progbar.say("stopped", during_epoch=True)
        assert stream.getvalue() == expected
    stream = terminal()
    progbar.say("done")
    assert stream.getvalue() == "done\n"
