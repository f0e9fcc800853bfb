"""Callback and CallbackList: who listens, in which order, and at which cost."""

import numpy as np
import pytest

import staghorn
from staghorn.callbacks import Callback, CallbackList, LambdaCallback
from staghorn.callbacks.callback import BATCH_HOOKS, HOOKS
from staghorn.callbacks.callback_list import python_logs
from tests.callbacks.fakes import FakeModel
from tests.oracle import keras


def overriding(*hooks, base=Callback, **body):
    return type("Custom", (base,), {hook: lambda self, *a, **k: None for hook in hooks} | body)


def test_every_hook_of_keras_exists():
    theirs = {name for name in vars(keras.callbacks.Callback) if name.startswith("on_")}
    ours = {name for name in vars(Callback) if name.startswith("on_")}
    chunks = {f"on_{mode}_chunk_end" for mode in BATCH_HOOKS}
    assert ours == HOOKS == theirs | chunks


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_needs_batches_follows_the_overridden_hook(hook):
    cls = overriding(hook)
    assert cls.needs_batches is (hook in BATCH_HOOKS["train"])
    for mode, hooks in BATCH_HOOKS.items():
        assert CallbackList([cls()]).needs_batches(mode) is (hook in hooks)
    by_function = CallbackList([LambdaCallback(**{hook: print})])
    for mode, hooks in BATCH_HOOKS.items():
        assert by_function.needs_batches(mode) is (hook in hooks)


def test_needs_batches_is_inherited_and_can_be_declared():
    parent = overriding("on_train_batch_end")
    assert overriding("on_epoch_end", base=parent).needs_batches is True
    declared = overriding("on_train_batch_end", needs_batches=False)
    child = overriding("on_epoch_end", base=declared)
    for cls in (declared, child):
        assert cls.needs_batches is False
        calls = CallbackList([cls()])
        assert not calls.needs_batches("train")
        assert calls.listens("on_train_batch_end")
    assert overriding("on_batch_begin", base=declared).needs_batches is True
    wish = overriding("on_train_chunk_end", needs_batches=True)
    assert CallbackList([wish()]).needs_batches("train")
    assert not CallbackList([wish()]).needs_batches("predict")


def test_none_of_our_callbacks_needs_batches():
    ours = [getattr(staghorn.callbacks, name) for name in dir(staghorn.callbacks)]
    ours = [c for c in ours if isinstance(c, type) and issubclass(c, Callback)]
    ours = [c for c in ours if c is not CallbackList]
    assert len(ours) >= 10
    assert [
        c.__name__ for c in ours if c.needs_batches or c.hooks & set(BATCH_HOOKS["train"])
    ] == []


def test_batch_alias_is_reached_through_the_list():
    seen = []

    class Old(Callback):
        def on_batch_end(self, batch, logs=None):
            seen.append((batch, logs))

    calls = CallbackList([Old()])
    calls.on_train_batch_end(4, {"loss": np.float32(0.5)})
    assert seen == [(4, {"loss": 0.5})]


def test_default_callbacks_come_in_the_order_of_keras():
    ours = CallbackList([LambdaCallback()], add_history=True, add_progbar=True)
    theirs = keras.callbacks.CallbackList(
        [keras.callbacks.LambdaCallback()], add_history=True, add_progbar=True
    )
    names = [[type(c).__name__ for c in x.callbacks] for x in (ours, theirs)]
    assert names[0] == names[1] == ["LambdaCallback", "History", "ProgbarLogger"]


def test_own_history_is_used_and_given_to_the_model():
    history, model = staghorn.callbacks.History(), FakeModel()
    calls = CallbackList([history], add_history=True, model=model, epochs=3)
    assert calls.callbacks == [history]
    assert model.history is history
    assert history.model is model
    assert history.params == {"epochs": 3}


def test_nested_lists_and_lists_of_callbacks_are_flattened():
    a, b, c = Callback(), Callback(), Callback()
    assert CallbackList([a, [b, (c,)]]).callbacks == [a, b, c]
    assert CallbackList(CallbackList([a, b])).callbacks == [a, b]
    assert CallbackList(a).callbacks == [a]


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ([Callback], r"got the class Callback. Call it: callbacks=\[Callback"),
        ([None], "got None"),
        ([print], "LambdaCallback"),
    ],
)
def test_wrong_callbacks_are_named(value, match):
    with pytest.raises(TypeError, match=match):
        CallbackList(value)


def test_unheard_hooks_do_not_read_the_logs():
    class Device:
        shape = ()

        def __float__(self):
            raise AssertionError("read the device")

    calls = CallbackList([LambdaCallback(on_epoch_end=print)])
    calls.on_train_chunk_end(0, {"loss": Device()})
    calls.on_train_batch_end(0, {"loss": Device()})
    with pytest.raises(AssertionError, match="read the device"):
        calls.on_epoch_end(0, {"loss": Device()})


def test_logs_are_shared_along_the_list_and_not_with_the_caller():
    seen = {}
    put = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(extra=1.0))
    get = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.update(logs))
    mine = {"loss": np.float32(0.25)}
    CallbackList([put, get]).on_epoch_end(0, mine)
    assert seen == {"loss": 0.25, "extra": 1.0}
    assert list(mine) == ["loss"]


def test_exceptions_pass_unchanged():
    error = RuntimeError("mine")

    def fail(epoch, logs):
        raise error

    with pytest.raises(RuntimeError) as caught:
        CallbackList([LambdaCallback(on_epoch_end=fail)]).on_epoch_end(0)
    assert caught.value is error
    assert caught.value.__cause__ is None


def test_logs_as_keras():
    logs = {"b": np.float32(0.5), "a": 1, "c": {"z": np.float64(2), "d": True}, "s": "text"}
    result = python_logs(logs)
    assert result == {"a": 1.0, "b": 0.5, "d": 1.0, "z": 2.0, "s": "text"}
    theirs = []
    keras.callbacks.CallbackList(
        [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: theirs.append(logs))]
    ).on_epoch_end(0, logs)
    assert list(theirs[0].items()) == list(result.items())
    assert all(type(v) is float for v in result.values() if v != "text")


def test_callbacks_of_keras_work_and_do_not_ask_for_batches():
    stop = keras.callbacks.EarlyStopping("loss")
    calls = CallbackList([stop])
    assert not calls.needs_batches("train")
    assert calls.listens("on_epoch_end")
    assert CallbackList([keras.callbacks.TerminateOnNaN()]).needs_batches("train")


def test_append_joins_model_and_params():
    calls = CallbackList(model=FakeModel(), epochs=2)
    late = overriding("on_train_batch_end")()
    calls.append(late)
    assert late.params == {"epochs": 2}
    assert calls.needs_batches("train")


def test_callback_without_super_init():
    class Bare(Callback):
        def __init__(self):
            self.mine = 1

    bare = Bare()
    assert bare.model is None
    assert bare.params is None


def test_misspelt_lambda_hook():
    with pytest.raises(TypeError, match="Did you mean 'on_test_begin'"):
        LambdaCallback(on_test_begn=print)
    with pytest.raises(TypeError, match=r"on_epoch_end must be a function, got 3 \(int\)"):
        LambdaCallback(on_epoch_end=3)
