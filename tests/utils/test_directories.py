"""`image_dataset_from_directory` and `text_dataset_from_directory` against keras.

Keras's own data sets need TensorFlow or grain, which are not here; its lists of files, its splits
and its reading of one picture are compared.
"""

import copy
import importlib
import inspect
import pathlib

import numpy as np
import pytest

import staghorn
from staghorn import utils
from tests.oracle import assert_same, keras

files = importlib.import_module(f"{keras.__name__}.src.utils.dataset_utils")
pictures = importlib.import_module(f"{keras.__name__}.src.utils.image_dataset_utils")
RNG = np.random.default_rng(0)
QUIET = {"verbose": False}


@pytest.fixture
def folder(tmp_path):
    for name, count in (("b", 4), ("a", 7), ("a/deep", 2), (".hidden", 1), ("c", 3)):
        (tmp_path / name).mkdir()
        for i in range(count):
            x = RNG.random((9 + i, 14 - i, 3 + i % 2))
            utils.save_img(tmp_path / name / f"{i}.{('png', 'BMP')[i == 2]}", x)
            (tmp_path / name / f"{i}.txt").write_text(f"text {i} of {name}", encoding="utf-8")
    return tmp_path


def same_labels(ours, theirs, mode, count):
    if mode == "int":
        np.testing.assert_array_equal(ours, theirs)
    elif mode == "categorical":
        np.testing.assert_array_equal(ours, keras.utils.to_categorical(theirs, count))
    else:
        np.testing.assert_array_equal(ours, np.array(theirs, "float32")[:, None])


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("int", {}),
        ("categorical", {"class_names": ["c", "a"]}),
        ("binary", {"class_names": ["b", "c"]}),
        ("int", {"labels": list(range(17))}),
        (None, {"labels": None}),
    ],
)
def test_files_and_labels(folder, mode, options, shuffle, capsys):
    options = {"labels": "inferred", "class_names": None, **options}
    theirs = copy.deepcopy(options)  # keras shuffles the caller's list of labels
    formats = pictures.ALLOWLIST_FORMATS
    paths, labels, names = files.index_directory(
        str(folder), formats=formats, shuffle=shuffle, seed=3, **theirs
    )
    expected = capsys.readouterr().out
    split = {"validation_split": 0.3, "seed": 3, "shuffle": shuffle, "label_mode": mode}
    data = utils.image_dataset_from_directory(
        folder, **options, **split | {"validation_split": None}
    )
    assert capsys.readouterr().out == expected
    assert data.class_names == names
    assert data.file_paths == paths
    both = utils.image_dataset_from_directory(folder, **options, **split, subset="both", **QUIET)
    for subset, pair in zip(("training", "validation"), both, strict=True):
        one = utils.image_dataset_from_directory(folder, **options, **split, subset=subset, **QUIET)
        some, theirs = files.get_training_or_validation_split(paths, labels, 0.3, subset)
        for part in (one, pair):
            assert part.file_paths == some
            if mode is not None:
                same_labels(part.labels, theirs, mode, len(names))


SIZES = {
    "rgb": ("channels_last", (5, 6), 3),
    "rgba": ("channels_first", (20, 9), 4),
    "grayscale": ("channels_last", (8, 31), 1),
}


@pytest.mark.parametrize(
    ("options", "color_modes"),
    [
        ({}, SIZES),
        ({"crop_to_aspect_ratio": True}, ["rgb", "rgba"]),
        ({"pad_to_aspect_ratio": True}, ["rgb", "grayscale"]),
        ({"interpolation": "nearest"}, ["rgba"]),
        ({"interpolation": "bicubic"}, ["rgba"]),
        ({"interpolation": "lanczos3"}, ["rgb"]),
        ({"interpolation": "lanczos5"}, ["grayscale"]),
    ],
)
def test_reading(folder, options, color_modes):
    path = str(folder / "a" / "3.png")
    options = {"interpolation": "bilinear", **options}
    for color_mode in color_modes:
        data_format, size, channels = SIZES[color_mode]
        given = {"color_mode": color_mode, "image_size": size, "data_format": data_format}
        data = utils.image_dataset_from_directory(folder, **given, **options)
        theirs = pictures._load_image_grain(
            path, size, channels, data_format=data_format, **options
        )
        assert_same(data._read(path), np.asarray(theirs), atol=2e-3)


def test_batches(folder):
    data = utils.image_dataset_from_directory(folder, image_size=5, batch_size=6, seed=1, **QUIET)
    batches = list(data)
    assert [x.shape for x, _ in batches] == [(6, 5, 5, 3), (6, 5, 5, 3), (4, 5, 5, 3)]
    assert len(data) == 3
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), data.labels)
    assert [y.tolist() for _, y in data.take(2)] == [y.tolist() for _, y in batches[:2]]
    assert [y.tolist() for _, y in data.skip(1)] == [y.tolist() for _, y in batches[1:]]
    assert len(data.take(-1)) == 3
    chained = (
        data.cache()
        .shuffle(1000)
        .prefetch(buffer_size=-1)
        .map(lambda x, y: (x / 255, y), num_parallel_calls=-1)
    )
    np.testing.assert_array_equal(chained[1][0], batches[1][0] / 255)
    only = data.map(lambda x, y: x).map(lambda x: x[:, 0])
    np.testing.assert_array_equal(only[2], batches[2][0][:, 0])
    before = data.file_paths, data._order.tolist()
    data.on_epoch_end()
    assert data._order.tolist() != before[1]
    assert sorted(data._order) == sorted(before[1])


def test_single_samples(folder):
    data = utils.image_dataset_from_directory(folder, batch_size=None, image_size=4, **QUIET)
    x, y = data[3]
    assert (x.shape, y.shape, len(data)) == ((4, 4, 3), (), 16)


def test_texts(folder):
    options = {"seed": 5, "batch_size": 5, "max_length": 8, **QUIET}
    data = utils.text_dataset_from_directory(str(folder), **options)
    paths, labels, names = files.index_directory(
        str(folder), "inferred", (".txt",), seed=5, verbose=False
    )
    assert (data.file_paths, data.class_names) == (paths, names)
    texts = np.concatenate([x for x, _ in data])
    assert texts.tolist() == [pathlib.Path(path).read_text()[:8] for path in paths]
    np.testing.assert_array_equal(np.concatenate([y for _, y in data]), labels)
    assert utils.text_dataset_from_directory(folder, labels=None, **QUIET)[0].dtype == object


def test_a_model_learns_from_a_folder(folder):
    utils.set_random_seed(0)
    options = {"validation_split": 0.25, "subset": "both", "seed": 0, "image_size": (8, 8)}
    train, validation = utils.image_dataset_from_directory(folder, **options, **QUIET)
    layers = staghorn.layers
    model = staghorn.Sequential([layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)])
    loss = staghorn.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    train.workers = 2
    history = model.fit(train, validation_data=validation, epochs=12, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert model.predict(validation, verbose=0).shape == (4, 3)


@pytest.mark.parametrize("name", ["image_dataset_from_directory", "text_dataset_from_directory"])
def test_signatures(name):
    found = [inspect.signature(getattr(u, name)).parameters for u in (utils, keras.utils)]
    assert [(p.name, p.default) for p in found[0].values()] == [
        (p.name, p.default) for p in found[1].values()
    ]


MISTAKES = {
    "color": ({"color_mode": "gray"}, "color_mode must be one of"),
    "mode": ({"label_mode": "one-hot"}, "label_mode must be one of"),
    "method": ({"interpolation": "area"}, "must be one of 'bilinear'.* got 'area'"),
    "size": ({"image_size": (1, 2, 3)}, r"image_size must be \(height, width\)"),
    "two fits": ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "choose one"),
    "subset": ({"subset": "train", "validation_split": 0.1}, "Did you mean 'training'"),
    "half": ({"validation_split": 0.1}, "goes with subset"),
    "share": ({"validation_split": 2, "subset": "both"}, "between 0 and 1"),
    "seed": ({"validation_split": 0.1, "subset": "both"}, "seed=0"),
    "class": ({"class_names": ["a", "z"]}, "no folder for the class 'z'"),
    "binary": ({"label_mode": "binary"}, r"needs 2 classes, got \['a', 'b', 'c'\]"),
    "labels": ({"labels": [1, 2]}, "there are 2 labels, but 17 files"),
    "kind": ({"labels": "infered"}, "labels must be 'inferred'"),
    "names": ({"labels": None, "class_names": ["a"]}, "goes with labels='inferred'"),
    "format": ({"format": "torch"}, "format must be one of 'tf'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake, folder):
    options, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        utils.image_dataset_from_directory(folder, **options)


def test_labels_in_an_array(folder):
    data = utils.image_dataset_from_directory(folder, np.arange(17) % 3, shuffle=False, **QUIET)
    assert data.labels.tolist() == [i % 3 for i in range(17)]
    assert data.class_names == ["0", "1", "2"]


def test_an_empty_folder(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match=r"no files in .*\.png"):
        utils.image_dataset_from_directory(tmp_path, **QUIET)
