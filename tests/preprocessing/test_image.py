"""`ImageDataGenerator` and its flows against keras, with the same seeds."""

import importlib
import inspect
import itertools
import pickle

import numpy as np
import pandas as pd
import pytest

import staghorn
from staghorn import utils
from staghorn.preprocessing import image as ours
from tests.oracle import keras

theirs = importlib.import_module(f"{keras.__name__}.src.legacy.preprocessing.image")

pytestmark = pytest.mark.filterwarnings("ignore:Please import `affine_transform`")

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (7, 10, 14, 3)).astype("float32")
CLASSES = np.array([0, 1, 2, 0, 1, 2, 0])

OPTIONS = {
    "nothing": {},
    "rotation": {"rotation_range": 40},
    "shifts": {"width_shift_range": 0.2, "height_shift_range": 0.3, "fill_mode": "constant"},
    "pixels": {"width_shift_range": 3, "height_shift_range": [-2, 1, 2], "fill_mode": "wrap"},
    "fraction": {"width_shift_range": 2.5, "cval": 7.0, "fill_mode": "constant"},
    "shear": {"shear_range": 25, "interpolation_order": 3},
    "zoom": {"zoom_range": 0.3, "fill_mode": "reflect", "interpolation_order": 0},
    "zooms": {"zoom_range": (0.5, 0.9)},
    "channels": {"channel_shift_range": 60},
    "flips": {"horizontal_flip": True, "vertical_flip": True},
    "brightness": {"brightness_range": (0.3, 1.4)},
    "rescale": {"rescale": 1 / 255, "dtype": "float64"},
    "samplewise": {"samplewise_center": True, "samplewise_std_normalization": True},
    "function": {"preprocessing_function": lambda x: x[..., ::-1] - 100, "rescale": 0.5},
    "all": {
        "rotation_range": 20,
        "width_shift_range": 0.1,
        "height_shift_range": 0.1,
        "shear_range": 10,
        "zoom_range": 0.2,
        "channel_shift_range": 20,
        "horizontal_flip": True,
        "brightness_range": [0.8, 1.2],
        "rescale": 1 / 255,
    },
}


def assert_equal(a, b):
    """Two batches are equal to the last bit."""
    if isinstance(b, (tuple, list)):
        assert type(a) is type(b)
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
        return
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    np.testing.assert_array_equal(a, b)


def both(options):
    return [module.ImageDataGenerator(**options) for module in (ours, theirs)]


def assert_same_flows(a, b, steps=7):
    assert (len(a), a.n, a.batch_size) == (len(b), b.n, b.batch_size)
    np.random.seed(5)
    mine = [next(a) for _ in range(steps)]
    np.random.seed(5)
    for batch in mine:
        assert_equal(batch, next(b))


# One picture -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data_format"),
    [(name, "channels_last") for name in OPTIONS]
    # keras takes the height for the channels where it changes the brightness of channels first
    + [(n, "channels_first") for n in OPTIONS if "brightness_range" not in OPTIONS[n]],
)
def test_random_transform(name, data_format):
    a, b = both(OPTIONS[name] | {"data_format": data_format})
    for seed, x in enumerate(PICTURES[:4]):
        x = np.moveaxis(x, -1, 0) if data_format == "channels_first" else x
        parameters = a.get_random_transform(x.shape, seed)
        assert parameters == b.get_random_transform(x.shape, seed)
        assert list(parameters) == list(b.get_random_transform(x.shape, seed))
        assert_equal(a.apply_transform(x, parameters), b.apply_transform(x, parameters))
        assert_equal(a.random_transform(x, seed), b.random_transform(x, seed))
        assert_equal(a.standardize(x.copy()), b.standardize(x.copy()))


def test_brightness_with_channels_first():
    options = {"brightness_range": (0.5, 0.6)}
    last = ours.ImageDataGenerator(**options).random_transform(PICTURES[0], 1)
    first = ours.ImageDataGenerator(**options, data_format="channels_first")
    x = np.moveaxis(PICTURES[0], -1, 0)
    assert_equal(first.random_transform(x, 1), np.moveaxis(last, -1, 0))


FUNCTIONS = {
    "random_rotation": (30,),
    "random_shift": (0.2, 0.3),
    "random_shear": (20,),
    "random_zoom": ((0.6, 1.3),),
    "random_channel_shift": (40,),
    "apply_channel_shift": (-30,),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_one_picture(name):
    last = {"channel_axis": 2}
    if "channel" not in name:
        last |= {"row_axis": 0, "col_axis": 1, "fill_mode": "wrap", "interpolation_order": 2}
    for x, options in ((PICTURES[0], last), (np.moveaxis(PICTURES[0], -1, 0), {})):
        results = []
        for module in (ours, theirs):
            np.random.seed(3)
            results.append(getattr(module, name)(x, *FUNCTIONS[name], **options))
        assert_equal(*results)


@pytest.mark.parametrize("low", [-50, 0, 200])
@pytest.mark.parametrize("scale", [True, False])
def test_brightness(low, scale):
    x = PICTURES[0] / 2 + low
    for brightness in (0.0, 0.7, 1.6):
        assert_equal(
            ours.apply_brightness_shift(x, brightness, scale),
            theirs.apply_brightness_shift(x, brightness, scale),
        )
    np.random.seed(1)
    drawn = ours.random_brightness(x, (0.5, 1.5), scale)
    np.random.seed(1)
    assert_equal(drawn, theirs.random_brightness(x, (0.5, 1.5), scale))


def test_positions_of_arguments_are_kept():
    """Written by place in old scripts: x, range, row_axis, col_axis, channel_axis."""
    np.random.seed(2)
    x = ours.random_shift(PICTURES[0], 0.2, 0.3, 0, 1, 2)
    np.random.seed(2)
    assert_equal(x, theirs.random_shift(PICTURES[0], 0.2, 0.3, 0, 1, 2))


# Statistics of the data --------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*overrides", "ignore:.*needs")
@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"featurewise_center": True},
        {"featurewise_center": True, "featurewise_std_normalization": True, "rescale": 0.1},
        {"featurewise_std_normalization": True},
        {"zca_whitening": True, "zca_epsilon": 1e-3},
        {"zca_whitening": True, "featurewise_std_normalization": True},
        {"samplewise_std_normalization": True},
    ],
    ids=str,
)
def test_fit(options, augment):
    a, b = both(options | {"horizontal_flip": True, "rotation_range": 10})
    names = ("center", "std_normalization")
    for name in [f"{k}wise_{n}" for k in ("feature", "sample") for n in names]:
        assert getattr(a, name) == getattr(b, name)
    small = PICTURES[:, :5, :6]
    for generator in (a, b):
        generator.fit(small, augment=augment, rounds=2, seed=4)
    for name in ("mean", "std", "zca_whitening_matrix"):
        mine, other = getattr(a, name), getattr(b, name)
        assert (mine is None) == (other is None)
        if other is not None:
            assert_equal(mine, other)
    assert_same_flows(*(g.flow(small, batch_size=3, seed=1) for g in (a, b)))


# Flows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("name", ["nothing", "flips", "all"])
def test_flow(name, seed):
    weights = np.linspace(0, 1, 7)
    more = [np.arange(7), np.arange(14).reshape(7, 2)]
    for x, y, w in (
        (PICTURES, CLASSES, None),
        (PICTURES, None, None),
        (PICTURES, CLASSES, weights),
        ((PICTURES, more), CLASSES, None),
        ((PICTURES, more[0]), None, None),
    ):
        for batch_size in (3, 7, 20):
            options = {"batch_size": batch_size, "seed": seed, "sample_weight": w}
            assert_same_flows(*(g.flow(x, y, **options) for g in both(OPTIONS[name])), 4)


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_by_number_and_in_turn(seed):
    """`flow[i]`, the end of an epoch, `reset` and `next` share one state, as in keras."""
    flows = [g.flow(PICTURES, CLASSES, batch_size=3, seed=seed) for g in both(OPTIONS["all"])]
    given = []
    for flow in flows:
        np.random.seed(7)
        batches = [flow[i] for i in range(3)]
        flow.on_epoch_end()
        batches += [flow[2], flow[0], next(flow), next(flow)]
        flow.reset()
        batches += [next(flow), *itertools.islice(iter(flow), 3)]
        given.append(batches)
        assert flow.total_batches_seen == 11
    assert_equal(*given)
    assert flows[0].next()[0].shape[1:] == PICTURES.shape[1:]


@pytest.mark.parametrize("subset", ["training", "validation"])
def test_subset_of_arrays(subset):
    options = {"subset": subset, "shuffle": False, "ignore_class_split": True}
    flows = [g.flow(PICTURES, CLASSES, **options) for g in both({"validation_split": 0.45})]
    assert_same_flows(*flows, steps=1)


def test_copies_of_the_pictures(tmp_path):
    for i, generator in enumerate(both({"rotation_range": 30})):
        folder = tmp_path / str(i)
        folder.mkdir()
        next(generator.flow(PICTURES, seed=1, save_to_dir=folder, save_prefix="a"))
    files = [sorted(folder.iterdir()) for folder in (tmp_path / "0", tmp_path / "1")]
    assert [f.name for f in files[0]] == [f.name for f in files[1]]
    assert len(files[0]) == 7
    for mine, other in zip(*files, strict=True):
        assert mine.read_bytes() == other.read_bytes()


@pytest.fixture
def folder(tmp_path):
    """Two classes, one with a folder inside; a file that is no picture."""
    for name, count in (("dogs", 3), ("cats", 5), ("cats/young", 2)):
        (tmp_path / name).mkdir()
        for i in range(count):
            x = RNG.random((6 + i, 8, 4))
            utils.save_img(
                tmp_path / name / f"{i}.{'PNG' if i % 2 else 'bmp'}", x[..., : 3 + i % 2]
            )
    (tmp_path / "dogs" / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.mark.parametrize("class_mode", ["categorical", "binary", "sparse", "input", None])
@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
def test_flow_from_directory(folder, class_mode, color_mode, capsys):
    options = {"class_mode": class_mode, "color_mode": color_mode, "batch_size": 4, "seed": 2}
    options |= {"target_size": (5, 7)}
    a, b = (g.flow_from_directory(folder, **options) for g in both(OPTIONS["all"]))
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["Found 10 images belonging to 2 classes."] * 2
    assert_same_directories(a, b)


def assert_same_directories(a, b):
    for name in ("class_indices", "filenames", "filepaths", "samples", "num_classes"):
        assert getattr(a, name) == getattr(b, name)
    for name in ("image_shape", "target_size", "class_mode"):
        assert getattr(a, name) == getattr(b, name)
    assert_equal(a.classes, b.classes)
    assert_equal(a.labels, b.labels)
    assert_same_flows(a, b)


@pytest.mark.parametrize(
    "options",
    [
        {"subset": "training"},
        {"subset": "validation", "shuffle": False},
        {"classes": ["dogs", "cats"]},
        {"classes": ["dogs"], "class_mode": None},
        {"interpolation": "bilinear", "keep_aspect_ratio": True},
        {"classes": ["."], "class_mode": "sparse"},
    ],
    ids=str,
)
def test_directory_options(folder, options, capsys):
    flows = [
        g.flow_from_directory(str(folder), target_size=(5, 5), seed=1, **options)
        for g in both({"validation_split": 0.4, "dtype": "float64"})
    ]
    assert_same_directories(*flows)


def test_directory_with_channels_first(folder, capsys):
    flows = [
        g.flow_from_directory(folder, target_size=(5, 6), seed=1)
        for g in both({"data_format": "channels_first", "horizontal_flip": True})
    ]
    assert flows[0].image_shape == (3, 5, 6)
    assert_same_directories(*flows)


def table(folder):
    rows = sorted(p for p in folder.rglob("*") if p.suffix in (".png", ".PNG", ".bmp"))
    return pd.DataFrame(
        {
            "filename": [str(p.relative_to(folder)) for p in rows],
            "class": [p.relative_to(folder).parts[0] for p in rows],
            "several": [["a", "b"][: 1 + i % 2] for i in range(len(rows))],
            "number": np.arange(len(rows)) / 3,
            "weight": np.arange(len(rows)) + 1,
        },
        index=np.arange(len(rows))[::-1],
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_mode": "binary", "subset": "training"},
        {"class_mode": "sparse", "weight_col": "weight", "subset": "validation"},
        {"y_col": "several"},
        {"y_col": "several", "classes": ["b"]},
        {"classes": ["dogs", "dogs", "none"]},
        {"class_mode": "raw", "y_col": "number", "weight_col": "weight"},
        {"class_mode": "raw", "y_col": ["number", "weight"]},
        {"class_mode": "multi_output", "y_col": ["number", "weight"]},
        {"class_mode": "input"},
        {"class_mode": None, "validate_filenames": False},
    ],
    ids=str,
)
def test_flow_from_dataframe(folder, options, capsys):
    a, b = (
        g.flow_from_dataframe(table(folder), folder, target_size=(5, 6), batch_size=4, **options)
        for g in both({"horizontal_flip": True, "validation_split": 0.4})
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0] == lines[1]
    for name in ("filenames", "filepaths", "samples", "class_indices", "classes"):
        assert getattr(a, name, None) == getattr(b, name, None)
    assert_same_flows(a, b)


def test_rows_without_a_file_are_left_out(folder, capsys):
    rows = table(folder)
    rows.iloc[3, 0] = "gone.png"
    with pytest.warns(UserWarning, match="1 of 10 rows .*'filename'.*gone.png"):
        flow = ours.ImageDataGenerator().flow_from_dataframe(rows, str(folder), sort=True)
    assert flow.samples == 9
    complete = rows.drop(rows.index[3]).assign(filename=lambda t: str(folder) + "/" + t.filename)
    flow = ours.ImageDataGenerator().flow_from_dataframe(
        complete, class_mode="other", y_col="number"
    )
    assert flow.class_mode == "raw"
    assert flow.labels.tolist() == complete["number"].tolist()


# Training ----------------------------------------------------------------------------------------


def model():
    utils.set_random_seed(0)
    layers = staghorn.layers
    net = staghorn.Sequential([layers.Flatten(), layers.Dense(3, activation="softmax")])
    net.compile(
        staghorn.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return net


def test_a_model_learns_from_a_flow():
    x = np.zeros((30, 6, 6, 1), "float32")
    y = np.arange(30) % 3
    x[np.arange(30), :, y * 2] = 255
    generator = ours.ImageDataGenerator(rescale=1 / 255, height_shift_range=0.1)
    flow = generator.flow(x, y, batch_size=8, seed=1)
    net = model()
    history = net.fit(flow, epochs=30, validation_data=flow, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2
    assert net.evaluate(flow, verbose=0)[1] > 0.9
    still = generator.flow(x, batch_size=8, shuffle=False)
    assert net.predict(still, verbose=0).shape == (30, 3)


def test_steps_of_an_epoch():
    """A part of a pass is an epoch, and the next epoch goes on with the rest."""
    seen = []
    generator = ours.ImageDataGenerator(preprocessing_function=lambda x: seen.append(1) or x)
    flow = generator.flow(PICTURES, CLASSES, batch_size=3)
    history = model().fit(flow, steps_per_epoch=1, epochs=3, verbose=0)
    assert len(history.epoch) == 3
    assert len(seen) == len(PICTURES)


def test_worker_processes_would_get_the_same_order():
    flow = ours.ImageDataGenerator(horizontal_flip=True).flow(PICTURES, CLASSES, batch_size=2)
    flow.use_multiprocessing = True
    flow.on_epoch_begin()
    copies = [pickle.loads(pickle.dumps(flow)) for _ in range(2)]
    classes = [[copy[i][1] for i in range(4)] for copy in (flow, *copies)]
    assert_equal(classes[0], classes[1])
    assert_equal(classes[0], classes[2])
    assert sorted(np.concatenate(classes[0])) == sorted(CLASSES)


def test_threads():
    flow = ours.ImageDataGenerator(rotation_range=9).flow(PICTURES, CLASSES, batch_size=2)
    flow.workers = 3
    assert len(model().fit(flow, epochs=2, verbose=0).epoch) == 2


# Signatures and mistakes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "ImageDataGenerator",
        "Iterator",
        "NumpyArrayIterator",
        "DirectoryIterator",
        "DataFrameIterator",
        "apply_affine_transform",
        "ImageDataGenerator.flow",
        "ImageDataGenerator.flow_from_directory",
        "ImageDataGenerator.flow_from_dataframe",
        "ImageDataGenerator.fit",
    ],
)
def test_signatures(name):
    found = []
    for module in (ours, theirs):
        function = module
        for part in name.split("."):
            function = getattr(function, part)
        parameters = inspect.signature(function).parameters.values()
        found.append([(p.name, p.default) for p in parameters])
    assert found[0] == found[1]


def generator(**options):
    return ours.ImageDataGenerator(**options)


MISTAKES = {
    "zoom": (lambda: generator(zoom_range=(1, 2, 3)), "zoom_range must be two numbers"),
    "brightness": (lambda: generator(brightness_range=0.5), "brightness_range must be two .* 0.5"),
    "split": (lambda: generator(validation_split=20), "between 0 and 1, got 20"),
    "layout": (lambda: generator(data_format="channel_last"), "Did you mean 'channels_last'"),
    "one picture": (lambda: generator().flow(PICTURES[0]), r"got \(10, 14, 3\).*x\[\.\.\., None\]"),
    "lengths": (lambda: generator().flow(PICTURES, CLASSES[:3]), "7 pictures, but y has 3"),
    "subset": (lambda: generator().flow(PICTURES, subset="valid"), "Did you mean 'validation'"),
    "no split": (lambda: generator().flow(PICTURES, subset="validation"), "validation_split=0.2"),
    "sorted": (
        lambda: generator(validation_split=0.2).flow(PICTURES, np.sort(CLASSES), subset="training"),
        "first 1 samples.*permutation",
    ),
    "class mode": (
        lambda: generator().flow_from_directory(".", class_mode="category"),
        "Did you mean 'categorical'",
    ),
    "colors": (
        lambda: generator().flow_from_directory(".", color_mode="gray"),
        "color_mode must be one of 'grayscale'",
    ),
    "axes": (lambda: ours.apply_affine_transform(PICTURES[0], 3, row_axis=0), "row_axis=0"),
    "fit": (lambda: generator().fit(PICTURES[0]), "have shape"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    call, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call()


def test_mistakes_in_tables(folder):
    rows = table(folder)
    flow = generator().flow_from_dataframe
    with pytest.raises(TypeError, match=r"column 'number' must hold strings, got 0\.0"):
        flow(rows, folder, y_col="number")
    with pytest.raises(TypeError, match="column 'number' must hold"):
        flow(rows, folder, x_col="number")
    with pytest.raises(ValueError, match="needs 2 classes, got 3"):
        flow(rows.assign(kind=list("abcabcabca")), folder, y_col="kind", class_mode="binary")
    with pytest.raises(TypeError, match="y_col must be a list"):
        flow(rows, folder, y_col="number", class_mode="multi_output")
    with pytest.raises(TypeError, match="Did you mean 'has_ext'"):
        flow(rows, folder, hasext=True)


def test_no_such_batch():
    flow = generator().flow(PICTURES, batch_size=4)
    with pytest.raises(IndexError, match="no batch 2, only 2"):
        flow[2]


def test_options_that_need_fit():
    with pytest.warns(UserWarning, match="fit"):
        generator(featurewise_center=True).standardize(PICTURES[0].copy())
    with pytest.warns(UserWarning, match="samplewise_center=True"):
        generator(samplewise_std_normalization=True)
    with pytest.warns(UserWarning, match="has 5 with"):
        generator().flow(np.ones((2, 4, 4, 5)))
