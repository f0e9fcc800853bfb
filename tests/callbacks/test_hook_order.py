"""The oracle's hook sequence is the one this library was designed for."""

import staghorn
from tests.callbacks.hook_order import hook_order, recorder
from tests.oracle import keras

STEPS = ["on_{}_batch_begin", "on_{}_batch_end"] * 3


def test_fit_evaluate_predict():
    train = [hook.format("train") for hook in STEPS]
    test = ["on_test_begin", *[hook.format("test") for hook in STEPS[:4]], "on_test_end"]
    epoch = ["on_epoch_begin", *train, *test, "on_epoch_end"]
    begin = ["set_model", "set_params"]
    assert [hook for hook, *_ in hook_order(keras, "fit")] == [
        *begin, "on_train_begin", *epoch, *epoch, "on_train_end",
    ]  # fmt: skip
    assert [hook for hook, *_ in hook_order(keras, "evaluate")] == [
        *begin, "on_test_begin", *[hook.format("test") for hook in STEPS], "on_test_end",
    ]  # fmt: skip
    assert [hook for hook, *_ in hook_order(keras, "predict")] == [
        *begin, "on_predict_begin", *[hook.format("predict") for hook in STEPS], "on_predict_end",
    ]  # fmt: skip


def test_logs_of_the_last_epoch_reach_train_end():
    calls = hook_order(keras, "fit")
    assert calls[-1] == ("on_train_end", None, ("loss", "mae", "val_loss", "val_mae"))
    assert calls[-2][1:] == (1, ("loss", "mae", "val_loss", "val_mae"))


def test_the_list_passes_a_recorded_fit_on_unchanged():
    expected = hook_order(keras, "fit")
    record = recorder(staghorn)
    calls = staghorn.callbacks.CallbackList(record, model=object(), verbose=0, epochs=2, steps=3)
    for hook, index, names in expected[2:]:
        logs = dict.fromkeys(reversed(names), 0.5) or None
        if index is None:
            getattr(calls, hook)(logs)
        else:
            getattr(calls, hook)(index, logs)
    assert record.calls == expected
