"""Wrong arguments: where Keras refuses a value, so do we, and in words that help.

One table: every public class with a constructor, what makes a good one, and a few values that are
wrong almost everywhere. The words name the argument, what was given and what is accepted.
"""

import inspect
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

import staghorn
from tests.layers.case import Case
from tests.layers.cases import ALL
from tests.losses.test_losses import CASES as LOSSES
from tests.metrics.test_metrics import CASES as METRICS
from tests.optimizers.test_against_oracle import RULES
from tests.optimizers.test_schedules import CASES as SCHEDULES
from tests.oracle import keras
from tests.test_constraints import TABLE as CONSTRAINTS
from tests.test_initializers import EVERY as INITIALIZERS
from tests.test_regularizers import TABLE as REGULARIZERS

NOTHING_LIKE_IT = object()
WRONG = (None, -3, 0, 2.5, "no_such", NOTHING_LIKE_IT)
CALLBACKS: dict[str, dict[str, Any]] = {
    "BackupAndRestore": {"backup_dir": "backups"},
    "CSVLogger": {"filename": "log.csv"},
    "EarlyStopping": {},
    "LambdaCallback": {},
    "LearningRateScheduler": {"schedule": lambda epoch: 0.1},
    "ModelCheckpoint": {"filepath": "model.keras"},
    "OrbaxCheckpoint": {"directory": "checkpoints"},
    "ReduceLROnPlateau": {},
    "RemoteMonitor": {},
    "SwapEMAWeights": {},
    "TensorBoard": {},
    "TerminateOnNaN": {},
}
# Arguments of which more is accepted here than in Keras.
WIDER = {
    "data_format": (0,),  # the default, as None is
    "learning_rate": WRONG,  # whole numbers too; 0 and negative rates are the caller's business
    "momentum": (0,),
    "seed": (-3,),  # a number like others
}


class Subject(NamedTuple):
    """A class by its path, good arguments, and for layers what to call it on."""

    path: str
    kwargs: dict[str, Any]
    case: Case | None = None

    def make(self, library, **changes):
        """Make one; a layer is called too, since some of Keras's checks come as late."""
        cls = library
        for name in self.path.split("."):
            cls = getattr(cls, name)
        made = cls(**{**self.kwargs, **changes})
        if self.case is not None:
            shapes = self.case.symbolic_shapes()
            shapes = shapes if self.case.many else (shapes,)
            inputs = [library.KerasTensor(shape, dtype=self.case.dtype) for shape in shapes]
            made(inputs if self.case.many else inputs[0])

    @property
    def parameters(self):
        cls = keras
        for name in self.path.split("."):
            cls = getattr(cls, name)
        every = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return [p.name for p in every if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def schedule_arguments(name, values):
    names = inspect.signature(getattr(staghorn.optimizers.schedules, name)).parameters
    return dict(zip(names, values, strict=False))


def subjects():
    """The first row of each class in the tables of the families."""
    yield from (Subject(f"layers.{case.layer}", case.kwargs, case) for case in ALL)
    yield from (Subject(f"losses.{name}", kwargs) for name, kwargs, _ in LOSSES)
    yield from (Subject(f"metrics.{name}", kwargs) for name, kwargs, _ in METRICS)
    yield from (Subject(f"optimizers.{name}", kwargs) for name, kwargs in RULES.values())
    for name, values in SCHEDULES.values():
        yield Subject(f"optimizers.schedules.{name}", schedule_arguments(name, values))
    yield from (Subject(f"initializers.{name}", kw) for name, (kw, _) in INITIALIZERS.items())
    yield from (Subject(f"constraints.{name}", rows[0]) for name, rows in CONSTRAINTS.items())
    yield from (Subject(f"regularizers.{name}", rows[0]) for name, rows in REGULARIZERS.items())
    yield from (Subject(f"callbacks.{name}", kwargs) for name, kwargs in CALLBACKS.items())


SUBJECTS = {subject.path: subject for subject in reversed(list(subjects()))}


def refusal(subject, library, name, value):
    """Return the error that an argument gives, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            subject.make(library, **{name: value})
        except Exception as error:  # of whatever kind: that is the question
            return error
    return None


def helps(error, name, value):
    """Whether an error is of the right kind and names the argument and what was given."""
    said = str(error)
    given = "<object object" if value is NOTHING_LIKE_IT else repr(value).lower()
    return isinstance(error, (ValueError, TypeError)) and name in said and given in said.lower()


@pytest.mark.parametrize("path", sorted(SUBJECTS))
def test_wrong_arguments_are_refused_in_words_that_help(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subject = SUBJECTS[path]
    subject.make(staghorn)
    bad = {}
    for name in subject.parameters:
        for value in WRONG:
            if value in WIDER.get(name, ()) or refusal(subject, keras, name, value) is None:
                continue
            error = refusal(subject, staghorn, name, value)
            if not helps(error, name, value):
                bad.setdefault(name, []).append((value, error))
    assert bad == {}


def test_all_that_is_wrong_is_said_at_once():
    words = r"Dense: units must be .*, got -3 \(int\). use_bias must be .*, got 'no' \(str\)."
    with pytest.raises(ValueError, match=words):
        staghorn.layers.Dense(-3, use_bias="no")


def test_what_a_constructor_stumbles_over_is_named():
    words = r"Dense: kernel_initializer: Unknown initializer 'glorot_unifrom'. Did you mean"
    with pytest.raises(ValueError, match=words) as caught:
        staghorn.layers.Dense(3, kernel_initializer="glorot_unifrom")
    assert caught.value.__cause__ is not None


def test_an_error_of_a_users_class_stays_as_it_is():
    class Mine(staghorn.layers.Layer):
        def __init__(self, size):
            raise ValueError(f"got {size!r} (int)")

    with pytest.raises(ValueError, match=r"^got 3 \(int\)$"):
        Mine(3)


def test_what_a_signature_collects_is_refused():
    with pytest.raises(TypeError, match=r"SeedGenerator: unknown argument 'sed'. Did you mean"):
        staghorn.random.SeedGenerator(sed=3)
    with pytest.raises(
        TypeError, match=r"Variable: unknown argument 'nam'. Known: initializer, .*"
    ):
        staghorn.Variable(1.0, nam="x")
    with pytest.raises(NotImplementedError, match="layout must be None"):
        staghorn.Variable(1.0, layout="x")


def test_the_first_values_of_a_table():
    table = np.ones((3, 2)).tolist()
    for weights in (table, [table], [np.ones((3, 2))]):
        made = staghorn.layers.Embedding(3, 2, weights=weights)
        np.testing.assert_array_equal(made.get_weights()[0], np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"weights must be a matrix of shape \(3, 2\).* got shape"):
        staghorn.layers.Embedding(3, 2, weights=np.ones((2, 2)))
