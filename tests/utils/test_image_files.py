"""`load_img`, `save_img` and the like against keras, byte for byte."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from staghorn import config, utils
from staghorn.preprocessing.image import smart_resize
from tests.oracle import assert_same, keras

RNG = np.random.default_rng(0)
MODES = {
    "L": RNG.integers(0, 256, (9, 14)).astype("uint8"),
    "RGB": RNG.integers(0, 256, (9, 14, 3)).astype("uint8"),
    "RGBA": RNG.integers(0, 256, (9, 14, 4)).astype("uint8"),
    "I;16": RNG.integers(0, 2**16, (9, 14)).astype("uint16"),
}


def assert_same_picture(ours, theirs):
    assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
    assert ours.tobytes() == theirs.tobytes()


@pytest.fixture(params=MODES)
def picture(request, tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(MODES[request.param]).save(path)
    return path


@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("size", [None, (9, 14), (4, 5), (20, 7)])
def test_load_img(picture, color_mode, size):
    for keep in (False, True):
        options = {"color_mode": color_mode, "target_size": size, "keep_aspect_ratio": keep}
        ours = utils.load_img(picture, **options)
        assert_same_picture(ours, keras.utils.load_img(picture, **options))


@pytest.mark.parametrize(
    "interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
)
def test_interpolations(picture, interpolation):
    options = {"target_size": (5, 6), "interpolation": interpolation, "keep_aspect_ratio": True}
    theirs = keras.utils.load_img(picture, **options)
    assert_same_picture(utils.load_img(picture, **options), theirs)


def test_ways_to_name_a_file(picture):
    expected = keras.utils.load_img(picture)
    for path in (str(picture), str(picture).encode(), io.BytesIO(picture.read_bytes())):
        assert_same_picture(utils.load_img(path), expected)
    with picture.open("rb") as file:
        assert_same_picture(utils.load_img(file), expected)
    grey = keras.utils.load_img(picture, "grayscale")
    assert_same_picture(utils.load_img(picture, grayscale=True), grey)
    assert_same_picture(utils.load_img(picture, True), grey)
    assert_same_picture(utils.load_img(picture, False), expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("data_format", [None, "channels_last", "channels_first"])
def test_arrays_and_back(mode, data_format):
    picture = Image.fromarray(MODES[mode])
    for dtype in (None, "uint8", "float64"):
        ours = utils.img_to_array(picture, data_format, dtype)
        theirs = keras.utils.img_to_array(picture, data_format, dtype)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    for values in (ours, ours - 100.5, ours * 7, ours * 0):
        for scale in (True, False):
            x = values if scale else values.clip(0, 255)
            assert_same_picture(
                utils.array_to_img(x, data_format, scale),
                keras.utils.array_to_img(x, data_format, scale),
            )


def test_grey_values_above_255_have_32_bits():
    x = np.array([[[300.0], [1.0]]])
    ours = utils.array_to_img(x, scale=False)
    assert_same_picture(ours, keras.utils.array_to_img(x, scale=False))
    assert ours.getpixel((0, 0)) == 300


def test_the_default_layout_is_used():
    config.set_image_data_format("channels_first")
    assert utils.img_to_array(Image.new("RGB", (6, 4))).shape == (3, 4, 6)
    assert utils.array_to_img(np.ones((3, 4, 6))).size == (6, 4)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg", "a.bmp", "a.gif", "a.TIFF"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_save_img(tmp_path, name, channels):
    x = RNG.random((6, 5, channels))
    ours, theirs = tmp_path / name, tmp_path / f"keras-{name}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        keras.utils.save_img(theirs, x)
        expected = len(caught)
        utils.save_img(str(ours), x)
    assert len(caught) == 2 * expected  # RGBA into JPEG: both warn
    assert ours.read_bytes() == theirs.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, f"keras-{name}"])


def test_save_img_options(tmp_path):
    x = RNG.random((16, 16, 3))
    ours, theirs = io.BytesIO(), io.BytesIO()
    utils.save_img(ours, x, file_format="jpg", quality=20)
    keras.utils.save_img(theirs, x, file_format="jpg", quality=20)
    assert ours.getvalue() == theirs.getvalue()
    utils.save_img(tmp_path / "short.tif", x)  # fails in keras
    assert utils.load_img(tmp_path / "short.tif").format == "TIFF"


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(AttributeError):
        utils.save_img(path, np.ones((2, 2, 3)), pnginfo="not of Pillow")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("shape", "size", "options"),
    [
        ((9, 14, 3), (4, 4), {}),
        ((2, 14, 9, 1), (3, 8), {"interpolation": "nearest"}),
        ((9, 14, 3), (1, 20), {"interpolation": "bicubic"}),
        ((2, 3, 9, 14), (8, 3), {"data_format": "channels_first"}),
    ],
)
def test_smart_resize(shape, size, options):
    x = RNG.random(shape).astype("float32")
    ours = smart_resize(x, size, **options)
    assert isinstance(ours, np.ndarray)
    assert_same(ours, keras.preprocessing.image.smart_resize(x, size, **options))


MISTAKES = {
    "color": (lambda p: utils.load_img(p, "grey"), ValueError, "'grayscale'.* got 'grey'"),
    "method": (
        lambda p: utils.load_img(p, target_size=(2, 2), interpolation="bilinaer"),
        ValueError,
        "Did you mean 'bilinear'",
    ),
    "path": (lambda p: utils.load_img(3), TypeError, "name of a file .* got int"),
    "missing": (lambda p: utils.load_img("none.png"), FileNotFoundError, "none.png"),
    "batch": (lambda p: utils.array_to_img(np.ones((1, 2, 2, 3))), ValueError, r"x\[0\]"),
    "channels": (lambda p: utils.array_to_img(np.ones((3, 2, 2))), ValueError, "got 2 .*format"),
    "axes": (lambda p: utils.img_to_array(np.ones(3)), ValueError, r"got \(3,\)"),
    "layout": (
        lambda p: utils.img_to_array(np.ones((2, 2)), "last"),
        ValueError,
        "data_format must be one of 'channels_last'",
    ),
    "ending": (lambda p: utils.save_img("a", np.ones((2, 2, 3))), ValueError, "with .png"),
    "format": (lambda p: utils.save_img("a.xyz", np.ones((2, 2, 3))), ValueError, "'xyz' is not"),
    "size": (lambda p: smart_resize(np.ones((2, 2, 3)), (2,)), ValueError, r"got \(2,\)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake, tmp_path):
    path = tmp_path / "picture.png"
    Image.new("RGB", (4, 4)).save(path)
    call, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        call(path)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"no picture")
    with pytest.raises(UnidentifiedImageError, match=r"broken\.png"):
        utils.load_img(path)
