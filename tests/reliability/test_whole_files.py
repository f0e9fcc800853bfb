"""A save that is killed or fails leaves the old file or the new one: the plan in small.

`make reliability` runs all of it, with many more trials.
"""

import os
import signal

import pytest

from tests.reliability import errors, kills, power_loss, rot, training
from tests.reliability.formats import FORMATS, SMALL, Row
from tests.reliability.watch import Watch

EACH = pytest.mark.parametrize("name", FORMATS)
ROTTING = pytest.mark.parametrize("name", [".keras", ".weights.h5"])
SEED = 11

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() here")


def passed(fill, *arguments):
    row = Row("", "")
    fill(row, *arguments)
    assert row.tried
    assert not row.failures
    return row


@EACH
def test_killed_at_random_moments(name):
    passed(kills.random_kills, FORMATS[name], SMALL, 8, SEED)


@pytest.mark.parametrize("how", ["exit", "EIO for good", "interrupt"])
@pytest.mark.parametrize("name", [".keras", ".weights.h5", "legacy .h5"])
def test_each_system_call_fails(name, how):
    passed(errors.every_call, FORMATS[name], how, SMALL)


@pytest.mark.parametrize("how", ["EIO", "ENOSPC", "EINTR"])
def test_each_system_call_of_a_file_has_an_error(how):
    passed(errors.every_call, FORMATS[".keras"], how, SMALL)


@pytest.mark.parametrize("name", ["folder", "sharded"])
def test_process_ends_at_some_system_calls_of_many_files(name):
    passed(errors.every_call, FORMATS[name], "exit", SMALL, 3)


@EACH
def test_files_may_not_grow(name):
    passed(errors.limited_size, FORMATS[name], SMALL, 0.6)


@EACH
@pytest.mark.parametrize("share", [0.5, None])
def test_full_or_read_only_disk(name, share):
    if not errors.can_mount():
        pytest.skip("no file system can be mounted here without rights")
    passed(errors.full_disk, FORMATS[name], SMALL, share)


@EACH
def test_layer_that_cannot_be_saved(name):
    passed(errors.failing_layers, FORMATS[name], SMALL)


def test_signals_that_raise():
    passed(errors.signals, FORMATS[".keras"], SMALL, signal.SIGTERM, 8, SEED)


@EACH
def test_power_is_cut(name):
    passed(power_loss.power_cuts, FORMATS[name], SMALL, 4, SEED)


def test_the_simulated_power_cut_finds_what_is_not_synced(monkeypatch):
    calls = Watch._call

    def forgetful(self, name, real, *args, **kwargs):
        return None if name == "fsync" else calls(self, name, real, *args, **kwargs)

    monkeypatch.setattr(Watch, "_call", forgetful)
    row = Row("", "")
    power_loss.power_cuts(row, FORMATS[".weights.h5"], SMALL, 8, SEED)
    texts = " ".join(row.failures)
    assert "gets its name before it is synced" in texts
    assert "the folder is not synced" in texts
    assert "CorruptFileError" in texts


@EACH
def test_saved_by_two_at_once_and_read(name):
    passed(kills.writers_and_readers, FORMATS[name], 2, 8, SMALL)


@ROTTING
@pytest.mark.parametrize("kind", rot.KINDS)
def test_rotten_files_are_refused(name, kind):
    passed(rot.damaged, FORMATS[name], kind, 25, SEED)


@ROTTING
def test_files_cut_off_anywhere(name):
    passed(rot.cut_everywhere, FORMATS[name], 30)


@pytest.mark.parametrize("kind", ["1 bit", "512 zeros"])
def test_rotten_files_of_keras_and_in_keras(kind):
    passed(rot.by_keras, kind, 10, SEED)
    passed(rot.opened_by_keras, kind, 10, SEED)


def test_training_that_is_killed_until_it_is_done():
    passed(training.kill_loop, 1, 2, SEED)


def test_damaged_backups():
    passed(training.damaged_backups, 1, SEED)


def test_open_files_stay_the_same():
    passed(kills.steady, FORMATS["folder"], 20)
