"""Each script of this folder, as a reader of such a tutorial would type it, by `staghorn run`.

`STAGHORN_PLAIN_PYTHON` names the Python of an environment that has nothing but Staghorn and the
packages of its demo; without it, `runner.py` hides keras from the one that runs the tests.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

HERE = Path(__file__).parent
PLAIN = os.environ.get("STAGHORN_PLAIN_PYTHON")
OURS = ("KERAS_BACKEND", "PYTHONPATH", "STAGHORN_STRICT", "XLA_FLAGS")  # of the test run alone


@dataclass
class Tutorial:
    """What a script shows.

    Each of `says` is in its output. `numbers` are printed as `label: number` and lie between two
    bounds. `pictures` have at least that many pixels (wide, high). `old` are the spellings of which
    it is said, once each, how they are written today.
    """

    says: list[str]
    numbers: dict[str, tuple[float, float]] = field(default_factory=dict)
    pictures: dict[str, tuple[int, int]] = field(default_factory=dict)
    old: list[str] = field(default_factory=list)
    data: tuple[str, ...] = ()


MNIST = ("mnist.npz",)
CURVES = (700, 400)

TUTORIALS = {
    "toy_network": Tutorial(
        says=[
            'Model: "sequential"',
            'Model: "functional',
            "Total params: 41 (164.00 B)",
            "│ dense (Dense)  ",
            "│ input_layer_1 (InputLayer)  ",
            "predictions (200, 1)",
            "agree with evaluate: True",
            "dense_3 [(3, 4), (4,)]",
        ],
        numbers={"Sequential accuracy": (0.85, 1), "Functional accuracy": (0.85, 1)},
        pictures={"sequential.png": (150, 150), "functional.png": (150, 200)},
    ),
    "toy_network_tf": Tutorial(
        says=[
            "TensorFlow version: 2.",
            "GPUs: ",
            'Model: "toy_sequential"',
            'Model: "toy_functional"',
            "Total params: 41 (164.00 B)",
            "Epoch 5/5",
            "toy_functional test loss, test acc: [",
            "Shape of one prediction: (1, 1)",
            "Called as a function: (2, 1)",
        ],
        pictures={
            "toy_sequential.png": (150, 150),
            "toy_functional.png": (500, 40),
            "toy_loss.png": (600, 400),
        },
    ),
    "power_plant": Tutorial(
        says=[
            "rows and columns: (9568, 5)",
            "Total params: 6,594",
            "'energy_root_mean_squared_error'",
            "'val_vacuum_root_mean_squared_error'",
            "predictions: [(1914, 1), (1914, 1)]",
        ],
        # `set_seed` leaves the order of rows to chance, as in TensorFlow: 0.878 to 0.925 were seen.
        numbers={"energy R2": (0.8, 1), "vacuum R2": (0.6, 1)},
        pictures={
            "power_plant.png": (300, 300),
            "energy_root_mean_squared_error.png": (600, 400),
            "energy_scatter.png": (400, 400),
            "vacuum_scatter.png": (400, 400),
        },
        data=("Folds5x2_pp.xlsx",),
    ),
    "softmax_sequential": Tutorial(
        says=[
            "Y_train shape: (1600, 10)",
            "Total params: 13,066",
            "classes: (400,) i proba: (400, 10)",
            "classes are the largest proba: True",
        ],
        numbers={"Test accuracy": (0.85, 1), "accuracy by hand": (0.85, 1)},
        pictures={"model.png": (100, 300), "model_shapes.png": (150, 300)},
        old=[
            "keras.utils.np_utils",
            "keras.utils.vis_utils",
            "SGD: lr=",
            "SGD: decay=",
            "model.predict_classes(x)",
            "model.predict_proba(x)",
        ],
    ),
    "headlines_keras1": Tutorial(
        says=[
            "Connected to",
            "'aux_output_accuracy'",
            "'main_output_loss'",
            "predicted: (4, 1) (4, 1)",
        ],
        numbers={"main accuracy": (0.9, 1)},
        pictures={"headlines.png": (300, 400)},
        old=[
            "keras.utils.visualize_util",
            "Embedding: init=",
            "LSTM: output_dim=",
            "LSTM: inner_activation=",
            "LSTM: dropout_W=",
            "merge(mode='concat')",
            "Dense: init=",
            "Dense: W_regularizer=",
            "Model: input=",
            "Model: output=",
            "fit: nb_epoch=",
        ],
    ),
    "headlines_keras2": Tutorial(
        says=["Connected to", "'main_output_accuracy'", "outputs: 2 (3, 1)"],
        numbers={"main accuracy": (0.85, 1)},
        pictures={"headlines2.png": (300, 400)},
        old=[
            "keras.utils.vis_utils",
        ],
    ),
    "mnist_sequential": Tutorial(
        says=[
            "training images: (20000, 28, 28) uint8",
            "Total params: 266,610",
            "dense (784, 300)",
            "sums to one: True",
            "true: [7 2 1]",
        ],
        numbers={"Test accuracy": (0.85, 1)},
        pictures={
            "digits.png": (700, 150),
            "mnist_sequential.png": (150, 200),
            "learning_curves.png": CURVES,
        },
        data=MNIST,
    ),
    "mnist_functional": Tutorial(
        says=['Model: "wide_and_deep"', "Connected to", "predicted 7 label 7"],
        numbers={"Test accuracy": (0.9, 1)},
        pictures={"mnist_functional.png": (200, 250), "functional_curves.png": CURVES},
        data=MNIST,
    ),
    "mnist_subclass": Tutorial(
        says=[
            'Model: "digit_classifier"',
            "(None, 784)",
            "Total params: 101,770",
            "labels: [7 2 1 0]",
            "called directly: ndarray (4, 10)",
        ],
        numbers={"Test accuracy": (0.9, 1)},
        pictures={"mnist_subclass.png": (150, 150), "subclass_curves.png": CURVES},
        data=MNIST,
    ),
    "guide_iris": Tutorial(
        says=['Model: "iris"', "Total params: 139", "versicolor", "This flower is: setosa"],
        numbers={"Accuracy": (0.8, 1)},
        pictures={"iris.png": (800, 250)},
    ),
    "guide_images": Tutorial(
        says=[
            "one batch: (64, 28, 28, 1) (64,)",
            "(None, 26, 26, 16)",
            "filters: (3, 3, 1, 16) biases: (16,)",
            "feature maps: (1, 26, 26, 16)",
        ],
        numbers={"Test accuracy": (0.75, 1)},
        pictures={"augmented.png": (500, 150), "cnn.png": (200, 400)},
        data=MNIST,
    ),
    "guide_folders": Tutorial(
        says=[
            "Found 240 images belonging to 2 classes.",
            "{'lying': 0, 'standing': 1}",
            "one picture: (1, 32, 32, 3) stands with",
            "previews: 5",
        ],
        numbers={"Validation accuracy": (0.6, 1)},
        pictures={"standing.png": (32, 32)},
        old=["model.fit_generator(batches, ...)", "model.evaluate_generator(batches, ...)"],
    ),
    "guide_prices": Tutorial(
        says=["windows: (448, 32, 1)", "Total params: 30,651", "test windows: 120 (1, 32, 1)"],
        numbers={"RMSE": (0.5, 8)},
        pictures={"prices.png": (900, 350)},
    ),
    "guide_unet": Tutorial(
        says=["Connected to", "(None, 32, 32, 1)", "masks: (32, 32, 32, 1)"],
        numbers={"Dice": (0.5, 1)},
        pictures={"unet.png": (400, 800), "masks.png": (500, 500)},
    ),
    "guide_resnet": Tutorial(
        says=[
            'Model: "small_resnet"',
            "Connected to",
            "Learning rate: 0.01",
            "Learning rate: 0.001",
            "add layers: 2",
        ],
        numbers={"Test accuracy": (0.8, 1)},
        pictures={"resnet.png": (200, 1000)},
    ),
    "guide_seq2seq": Tutorial(
        says=["tokens: 6 8", "Connected to", "Total params: "],
        numbers={"letters right": (0.6, 1)},
        pictures={"seq2seq.png": (400, 200)},
    ),
    "guide_siamese": Tutorial(
        says=["pairs: (16000, 2, 28, 28) (16000,)", "Connected to"],
        numbers={"Accuracy on test pairs": (0.85, 1), "evaluate agrees": (0.85, 1)},
        pictures={"siamese.png": (300, 300)},
        data=MNIST,
    ),
    "guide_image_and_text": Tutorial(
        says=["vocabulary: ", "vision (Sequential)", "answer: (1, 1)"],
        numbers={"Validation accuracy": (0.75, 1)},
        pictures={"vqa.png": (300, 500)},
    ),
    "keras1_images": Tutorial(
        says=["Epoch 12/12", "'val_accuracy'", "predicted: (160, 4)"],
        numbers={"last acc": (0.8, 1), "Validation accuracy": (0.8, 1)},
        old=[
            "keras.layers.advanced_activations",
            "keras.layers.convolutional",
            "keras.layers.core",
            "keras.layers.normalization",
            "keras.utils.np_utils",
            "Convolution2D(filters, rows, ...)",
            "Conv2D: border_mode=",
            "Conv2D: subsample=",
            "Conv2D: init=",
            "Conv2D: nb_row=, nb_col=",
            "Conv2D: nb_filter=",
            "Conv2D: dim_ordering=",
            "Dropout: p=",
            "Dense: output_dim=",
            "merge(mode='concat')",
            "Dense: b_regularizer=",
            "Dense: W_constraint=",
            "RMSprop: lr=",
            "RMSprop: decay=",
            "model.fit_generator(batches, ...)",
            "samples_per_epoch= (rows)",
            "nb_val_samples= (rows)",
            "fit: nb_epoch=",
            "'acc' in logs",
            "model.evaluate_generator(batches, ...)",
            "val_samples= (rows)",
            "model.predict_generator(batches, ...)",
        ],
    ),
    "keras1_merge_modes": Tutorial(
        says=[
            "sum [[5.0, -3.0, 9.0], [1.5, 0.0, 3.0]]",
            "mul [[4.0, -10.0, 18.0], [0.5, -1.0, 2.0]]",
            "ave [[2.5, -1.5, 4.5], [0.75, 0.0, 1.5]]",
            "max [[4.0, 2.0, 6.0], [1.0, 1.0, 2.0]]",
            "concat [[1.0, 2.0, 3.0, 4.0, -5.0, 6.0], [0.5, -1.0, 2.0, 1.0, 1.0, 1.0]]",
            "dot [[12.0], [1.5]]",
            "cos [[",
            "function [[-3.0, 7.0, -3.0], [-0.5, -2.0, 1.0]]",
            "similarity (2, ",
        ],
        old=[
            "merge(mode='sum')",
            "Model: input=",
            "Model: output=",
            "merge(mode='mul')",
            "merge(mode='ave')",
            "merge(mode='max')",
            "merge(mode='concat')",
            "merge(mode='dot')",
            "merge(mode='cos')",
            "merge(mode=function)",
            "Dense: init=",
            "merge(mode='cos')",
            "fit: nb_epoch=",
        ],
    ),
    "old_habits": Tutorial(
        says=["GPU: [", "classes: (5,", "same predictions: True", "restored: True"],
        numbers={"learning rate": (0.0099, 0.0101), "Final val_acc": (0.75, 1)},
        pictures={"accuracy.png": (600, 400)},
        old=[
            "keras.layers.core",
            "keras.utils.generic_utils",
            "Adam: lr=",
            "Adam: decay=",
            "optimizer.lr",
            "model.fit_generator(batches, ...)",
            "fit: workers=",
            "'val_acc' in logs",
            "'acc' in logs",
            "model.predict_classes(x)",
        ],
    ),
}


@pytest.fixture
def reader(tmp_path, request):
    """Return `type_in(name)`: run a script of this folder in an empty one of its own."""

    def type_in(name):
        tutorial = TUTORIALS[name]
        shutil.copy(HERE / f"{name}.py", tmp_path)
        home = tmp_path / "home"
        (home / "datasets").mkdir(parents=True)
        for file in tutorial.data:
            source = request.getfixturevalue("data_folder") / file
            place = tmp_path if file.endswith(".xlsx") else home / "datasets"
            (place / file).symlink_to(source)
        environment = {key: value for key, value in os.environ.items() if key not in OURS}
        if not PLAIN and "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        environment |= {
            "KERAS_HOME": str(home),
            "MPLBACKEND": "Agg",
            "PATH": str(home),  # no system program: no `dot`
            # The MNIST at hand is a cut-down one: no network, so that it is not replaced.
            "https_proxy": "http://127.0.0.1:1",
        }
        command = (
            [PLAIN, "-m", "staghorn", "run"] if PLAIN else [sys.executable, HERE / "runner.py"]
        )
        done = subprocess.run(
            [*command, f"{name}.py"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.fail(
                f"status {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-3000:]}", False
            )
        return tutorial, done.stdout, done.stderr

    return type_in


def check_output(tutorial, output):
    for line in tutorial.says:
        assert line in output, f"no {line!r} in\n{output}"
    for label, (low, high) in tutorial.numbers.items():
        found = re.search(rf"^{re.escape(label)}: ([\d.]+)", output, flags=re.M)
        assert found, f"no '{label}: number' in\n{output}"
        value = float(found[1])
        assert low <= value <= high, f"{label} is {value}, not in {low} ... {high}"


def check_pictures(tutorial, folder):
    for name, (width, height) in tutorial.pictures.items():
        with Image.open(folder / name) as picture:
            assert picture.width >= width, f"{name}: {picture.size}"
            assert picture.height >= height, f"{name}: {picture.size}"
            extremes = picture.convert("L").getextrema()
        assert extremes[0] < 100 < 200 < extremes[1], f"{name} shows nothing: {extremes}"


def check_warnings(tutorial, errors):
    """Each old spelling is said once, and nothing else is."""
    said = re.findall(r"OldSpelling: (.*) is an old spelling", errors)
    assert sorted(said) == sorted(tutorial.old), errors
    others = re.findall(r"(\w*Warning): (.*)", errors)
    assert [text for _, text in others if "checksum" not in text] == [], errors


@pytest.mark.parametrize("name", TUTORIALS)
def test_runs_as_typed(name, reader, tmp_path):
    tutorial, output, errors = reader(name)
    check_output(tutorial, output)
    check_pictures(tutorial, tmp_path)
    check_warnings(tutorial, errors)


def test_every_script_is_run():
    scripts = {path.stem for path in HERE.glob("*.py")} - {"runner", "test_tutorials"}
    assert scripts == set(TUTORIALS)


@pytest.mark.skipif(not PLAIN, reason="STAGHORN_PLAIN_PYTHON names no second environment")
def test_the_plain_environment_has_staghorn_alone():
    from tests.tutorials.runner import HIDDEN

    code = f"import importlib.util as u; print([n for n in {HIDDEN} if u.find_spec(n)])"
    found = subprocess.run([PLAIN, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
