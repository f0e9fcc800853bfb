"""`staghorn run` and `staghorn.install()`: whose names imports find, in processes of their own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import staghorn

ROOT = Path(staghorn.__file__).parents[1]

# One line each, as scripts of every age write them.
IMPORTS = """
import keras
import tf_keras
import keras.backend as K
import keras.layers.core
import keras.datasets.mnist
import tensorflow as tf
import tensorflow.keras as K
import tensorflow.keras.layers as L
import tensorflow.keras.backend as K
from keras import Input, Model, Sequential, backend, callbacks, layers, losses, ops, optimizers
from keras import activations, constraints, initializers, metrics, regularizers, utils
from keras.callbacks import EarlyStopping, ModelCheckpoint, TensorBoard
from keras.datasets import mnist
from keras.datasets.cifar10 import load_data
from keras.engine import Layer
from keras.engine.base_layer import Layer
from keras.engine.topology import Layer, InputSpec, Input
from keras.engine.training import Model
from keras.initializations import uniform
from keras.layers import *
from keras.layers import Convolution2D, MaxPooling2D
from keras.layers.advanced_activations import LeakyReLU, PReLU
from keras.layers.convolutional import Conv2D, UpSampling2D, ZeroPadding2D
from keras.layers.core import Activation, Dense, Dropout, Flatten, Lambda, RepeatVector
from keras.layers.cudnn_recurrent import CuDNNLSTM
from keras.layers.embeddings import Embedding
from keras.layers.merge import add, concatenate
from keras.layers.noise import GaussianNoise
from keras.layers.normalization import BatchNormalization
from keras.layers.pooling import GlobalAveragePooling2D
from keras.layers.recurrent import GRU, LSTM
from keras.layers.wrappers import Bidirectional, TimeDistributed
from keras.metrics import mse
from keras.models import Input, Model, Sequential, load_model, model_from_json
from keras.objectives import mse, binary_crossentropy
from keras.optimizers import SGD, Adam, RMSprop
from keras.optimizers.legacy import Adam
from keras.optimizers.schedules import ExponentialDecay
from keras.preprocessing import image, sequence, text
from keras.preprocessing.image import ImageDataGenerator, img_to_array, load_img
from keras.preprocessing.sequence import pad_sequences
from keras.preprocessing.text import Tokenizer
from keras.regularizers import l1, l1_l2, l2
from keras.src.layers import Dense
from keras.utils import np_utils, plot_model, to_categorical
from keras.utils.data_utils import Sequence, get_file
from keras.utils.generic_utils import Progbar
from keras.utils.layer_utils import *
from keras.utils.np_utils import to_categorical
from keras.utils.vis_utils import model_to_dot, plot_model
from keras.utils.visualize_util import plot
from keras.wrappers.scikit_learn import KerasClassifier
from tensorflow import keras
from tensorflow.contrib.keras import layers
from tensorflow.keras import Model, layers, models
from tensorflow.keras.layers import LSTM, Dense
from tensorflow.keras.layers.experimental import preprocessing
from tensorflow.keras.layers.experimental.preprocessing import Rescaling
from tensorflow.keras.optimizers.legacy import SGD
from tensorflow.keras.optimizers.schedules import PolynomialDecay
from tensorflow.keras.preprocessing.image import ImageDataGenerator
from tensorflow.python.keras.layers import Conv2D
from tf_keras.layers import Dense
""".strip().splitlines()

# What is wrong -> words that the error has.
WRONG = {
    "from keras.layers import Dence": "keras.layers has no 'Dence'. Did you mean 'Dense'?",
    "from keras.layers.core import Dence": "layers.core has no 'Dence'. Did you mean 'Dense'?",
    "from keras.utils import multi_gpu_model": "is gone: delete the call",
    "from keras.models import Graph": "keras.Model(inputs, outputs)",
    "import keras.layers.Dense": "write `from keras.layers import Dense`",
    "import keras.lairs": "Did you mean 'layers'?",
    "import tensorflow.keras.lairs": "Did you mean 'layers'?",
    "from keras.distribution import DataParallel": "keras.distribution: Keras has it",
    "import keras; keras.Sequentail": "Did you mean 'Sequential'?",
}


def python(code, *arguments, path=(), cwd=None):
    """Run code in a new process; return its output, which must end with status 0."""
    done = run([sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments], path, cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(command, path=(), cwd=None):
    paths = os.pathsep.join(map(str, [*path, ROOT]))
    environment = {**os.environ, "PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True)


def test_every_import_of_every_age_leads_to_staghorn():
    code = """
        import sys
        import warnings
        import staghorn
        from staghorn.engine.spellings import OldSpelling
        warnings.simplefilter("ignore", OldSpelling)
        staghorn.install()
        for line in sys.argv[1:]:
            found = {}
            try:
                exec(line, found)
            except BaseException as error:
                sys.exit(f"{line}: {type(error).__name__}: {error}")
            for name, value in found.items():
                home = getattr(value, "__module__", None) or getattr(value, "__name__", "")
                ours = home.startswith(("staghorn", "keras", "tensorflow", "tf_keras"))
                if home and name != "__builtins__" and not ours:
                    sys.exit(f"{line}: {name} comes from {home!r}")
        from staghorn.compat.modules import AliasModule
        roots = [m for n, m in sys.modules.items() if n.split(".")[0] in ("keras", "tf_keras")]
        assert roots and all(isinstance(m, AliasModule) for m in roots)
        import keras, tf_keras, tensorflow as tf
        from keras.layers.core import Dense
        assert Dense is keras.layers.Dense is tf_keras.layers.Dense is tf.keras.layers.Dense
        assert Dense is staghorn.layers.Dense and keras.Model is staghorn.Model
    """
    python(code, *IMPORTS)


def test_a_wrong_name_is_answered_with_the_right_one():
    code = """
        import sys
        import warnings
        import staghorn
        from staghorn.engine.spellings import OldSpelling
        warnings.simplefilter("ignore", OldSpelling)
        staghorn.install()
        for line in sys.argv[1:]:
            try:
                exec(line, {})
            except (ImportError, AttributeError) as error:
                print(error)
            else:
                print("no error")
    """
    said = python(code, *WRONG).splitlines()
    assert len(said) == len(WRONG)
    for words, line in zip(WRONG.values(), said, strict=True):
        assert words in line


def test_an_old_module_says_once_what_it_is_called_today(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from keras.layers.core import Dense\n"
        "from keras.utils import np_utils\n"
        "import keras.layers.core\n"
        "from tensorflow.keras.layers import Dense\n"
    )
    done = run([sys.executable, "-m", "staghorn", "run", str(script)])
    said = [line for line in done.stderr.splitlines() if "OldSpelling" in line]
    assert said == [
        f"{script}:1: OldSpelling: keras.layers.core is an old spelling. Today: keras.layers.",
        f"{script}:2: OldSpelling: keras.utils.np_utils is an old spelling. Today: keras.utils.",
    ]


def test_nothing_is_patched_unless_asked_and_uninstall_undoes_it():
    python("""
        import sys
        before = list(sys.meta_path)
        import staghorn
        assert sys.meta_path == before and "keras" not in sys.modules
        import jax.numpy as jnp
        assert not hasattr(jnp.ones(1), "numpy")
        staghorn.install()
        staghorn.install()
        assert len(sys.meta_path) == len(before) + 1
        import keras.layers
        assert keras.layers.Dense is staghorn.layers.Dense
        assert jnp.ones(1).numpy().tolist() == [1.0]
        staghorn.uninstall()
        assert sys.meta_path == before and "keras" not in sys.modules
        assert not hasattr(jnp.ones(1), "numpy")
        staghorn.uninstall()
    """)


def test_a_keras_that_was_imported_before_is_an_error(tmp_path):
    (tmp_path / "keras.py").write_text("")
    python(
        """
        import keras, staghorn, sys
        try:
            staghorn.install()
        except RuntimeError as error:
            assert "restart the kernel" in str(error)
        else:
            sys.exit("no error")
        assert type(sys.meta_path[0]).__module__ != "staghorn.compat.install"
        """,
        path=[tmp_path],
    )


@pytest.mark.parametrize("first", ["", "import tensorflow"])
def test_an_installed_tensorflow_stays_real_but_for_its_keras(tmp_path, first):
    package = tmp_path / "tensorflow"
    (package / "python" / "keras").mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '9.9'\nkeras = 'its own'\nreal = 1\n")
    (package / "python" / "__init__.py").write_text("")
    (package / "python" / "keras" / "__init__.py").write_text("own = 2\n")
    python(
        f"""
        {first}
        import staghorn
        staghorn.install()
        import tensorflow as tf
        from tensorflow.keras.layers import Dense
        from tensorflow import keras
        from tensorflow.python.keras import own
        assert Dense is staghorn.layers.Dense is tf.keras.layers.Dense is keras.layers.Dense
        assert (tf.__version__, tf.real, own) == ("9.9", 1, 2)
        try:
            tf.function
        except AttributeError as error:
            assert "staghorn" not in str(error).lower()
        """,
        path=[tmp_path],
    )


SCRIPT = """
import sys
from keras.models import Sequential
import beside
if __name__ == "__main__":
    print(sys.argv[1:], Sequential.__module__, beside.value)
    {end}
"""


@pytest.mark.parametrize("command", [["-m", "staghorn", "run"], ["-m", "staghorn"]])
@pytest.mark.parametrize(
    ("end", "status"),
    [("", 0), ("sys.exit(3)", 3), ("sys.exit('stopped')", 1), ("raise ValueError('broken')", 1)],
)
def test_a_script_runs_as_python_would_run_it(tmp_path, command, end, status):
    (tmp_path / "beside.py").write_text("value = 5\n")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(end=end))
    done = run([sys.executable, *command, str(script), "--epochs", "2"])
    assert done.stdout == "['--epochs', '2'] staghorn.models.sequential 5\n"
    assert done.returncode == status
    if "ValueError" in end:
        shown = done.stderr.splitlines()
        assert shown[0].startswith("Traceback")
        assert str(script) in shown[1]
        assert shown[-1] == "ValueError: broken"
    elif "stopped" in end:
        assert done.stderr == "stopped\n"
    else:
        assert done.stderr == ""


def test_a_script_that_is_not_there_is_answered_with_one_that_is(tmp_path):
    (tmp_path / "train.py").write_text("")
    done = run([sys.executable, "-m", "staghorn", "run", "trian.py"], cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "staghorn: there is no file trian.py. Did you mean 'train.py'?\n"
