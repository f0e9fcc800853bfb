"""Unknown sizes and data types: one test each over the whole table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from staghorn import layers, models, ops
from staghorn.engine.symbolic import KerasTensor
from tests.ops.tables import TABLE, Row
from tests.ops.test_oracle import TRACED, arrays_of, table, with_arrays
from tests.oracle import assert_same, keras

# Which axes are unknown: the batch, the batch and another, all.
UNKNOWN = ({0}, {1}, {0, 1}, {0, 2}, {0, 1, 2})


def shapes_of(result):
    return [tuple(x.shape) for x in jax.tree.leaves(result)]


def without(array, axes, kind):
    shape = [None if axis in axes else size for axis, size in enumerate(array.shape)]
    return kind(shape, str(array.dtype))


@pytest.mark.parametrize("row", list(table(TRACED)))
def test_unknown_sizes(row: Row):
    """What is known of a shape is true, and is all that Keras knows."""
    ours, arrays = with_arrays(getattr(ops, row.name), row)
    theirs, _ = with_arrays(getattr(keras.ops, row.name), row)
    eager = [np.shape(x) for x in jax.tree.leaves(ours(*arrays))]
    rank = max(array.ndim for array in arrays) if row.name != "cross" else 1  # 2 or 3: another rank
    for axes in [axes for axes in UNKNOWN if max(axes) < rank]:
        try:
            expected = shapes_of(theirs(*(without(a, axes, keras.KerasTensor) for a in arrays)))
        except Exception:  # Keras cannot tell: then we need not
            continue
        found = shapes_of(ours(*(without(a, axes, KerasTensor) for a in arrays)))
        assert len(found) == len(eager)
        for shape, true in zip(found, eager, strict=True):
            assert len(shape) == len(true)
            assert all(d in (None, n) for d, n in zip(shape, true, strict=True)), (axes, shape)
        if [len(shape) for shape in expected] == [len(shape) for shape in eager]:
            for shape, known, true in zip(found, expected, eager, strict=True):
                places = [i for i, n in enumerate(true) if known[i] == n]
                assert [shape[i] for i in places] == [true[i] for i in places], (axes, shape)


# Where types differ on purpose.
OTHER_TYPES = {
    "fold",  # it adds: bools are refused
    "batch_normalization",  # bfloat16 stays bfloat16
    "get_item",  # Keras leaves NumPy's arrays to NumPy
}
FIRST_ROWS = {row.name: row for row in reversed(TABLE) if arrays_of(row)}.values()


def cast(array, dtype):
    if array.dtype.kind != "f":
        return array
    return np.asarray(jnp.asarray(np.abs(array) if dtype == "uint8" else array).astype(dtype))


@pytest.mark.slow
@pytest.mark.parametrize("row", [r for r in FIRST_ROWS if r.name not in OTHER_TYPES], ids=str)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "float16", "bfloat16"])
def test_types(row: Row, dtype):
    ours, arrays = with_arrays(getattr(ops, row.name), row)
    theirs, _ = with_arrays(getattr(keras.ops, row.name), row)
    arrays = [cast(array, dtype) for array in arrays]
    try:
        expected = theirs(*arrays)
    except Exception:
        pytest.skip("Keras refuses this type")
    loose = 5e-2 if dtype == "bfloat16" else 5e-3
    assert_same(ours(*arrays), expected, rtol=loose, atol=loose)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("gram", lambda m, x: m.matmul(m.transpose(x), x)),
        ("mask", lambda m, x: m.expand_dims(x[:, 0] > 0, 1) * x),
        ("halves", lambda m, x: m.concatenate(m.split(x, 2, axis=1), axis=0)),
        ("diagonal", lambda m, x: m.diag(m.matmul(x, m.transpose(x)))),
        ("largest", lambda m, x: m.top_k(x, 3)[0]),
        ("spectrum", lambda m, x: m.stft(x, 4, 2, 4)[0]),
        ("square", lambda m, x: m.cholesky(m.matmul(x, m.transpose(x)) + 9 * m.eye(3))),
    ],
)
def test_a_model_of_unknown_sizes(name, call):
    """What symbols alone cannot tell is found by trying sizes; the model computes the same."""
    del name
    x = layers.Input(batch_shape=(None, None))
    model = models.Model(x, call(ops, x))
    data = np.random.default_rng(0).normal(size=(3, 8)).astype("float32")
    assert_same(model(data), call(keras.ops, data), rtol=1e-4, atol=1e-4)
    theirs = call(keras.ops, keras.Input(batch_shape=(None, None)))
    assert len(model.output.shape) == len(theirs.shape)
    for mine, other, true in zip(model.output.shape, theirs.shape, model(data).shape, strict=True):
        assert mine in (other, true)


def test_unknown_sizes_that_never_fit():
    x, y = KerasTensor((None, 3)), KerasTensor((4, 5))
    with pytest.raises(TypeError, match="contracting dimensions"):
        ops.matmul(x, y)
    with pytest.raises(ValueError, match="expected square matrices"):
        ops.det(KerasTensor((None, 4, 3)))


def test_more_known_than_in_the_arguments():
    """A size that an array at hand fixes is known."""
    mask = np.ones((2, 5), "float32")
    assert (KerasTensor((None, 5)) + mask[:1]).shape == (None, 5)
    assert ops.matmul(KerasTensor((3, None)), mask).shape == (3, 5)


@pytest.mark.parametrize(
    ("images", "kwargs"),
    [
        ((2, 16, 14, 3), {}),
        ((16, 14, 3), {"filter_size": 5, "filter_sigma": 1.0}),
        ((2, 3, 16, 14), {"data_format": "channels_first", "k1": 0.1, "max_val": 2.0}),
    ],
)
def test_ssim_equals_keras(images, kwargs):
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(size=images).astype("float32") for _ in range(2))
    found = ops.image.ssim(a, b, **kwargs)
    assert_same(found, keras.ops.image.ssim(a, b, **kwargs), 1e-4, 1e-5)
    gradients = [
        jax.grad(lambda x, m=m: jnp.sum(m.image.ssim(x, b, **kwargs)))(a) for m in (ops, keras.ops)
    ]
    assert_same(*gradients, 1e-3, 1e-5)
    tensors = [KerasTensor((None, *images[1:])) for _ in range(2)]
    symbolic = ops.image.ssim(*tensors, **kwargs).shape
    assert symbolic == ((None,) if len(images) == 4 else ())


def test_ssim_of_bytes_is_a_whole_number():
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype("uint8")
    ours, theirs = (m.image.ssim(image, image, max_val=255.0) for m in (ops, keras.ops))
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: ops.rearrange(x, "b h w c -> b h w"), "must name the same axes"),
        (lambda x: ops.rearrange(x, "b (h p) w c -> b h p w c"), "all but one of"),
        (lambda x: ops.rearrange(x, "b (h p) w c -> b h p w c", p=3), "axis of size 4 is not"),
        (lambda x: ops.rearrange(x, "b w c -> b c w"), "has 3 axes, the array 4"),
        (lambda x: ops.depth_to_space(x, 3), "must be a multiple of 9"),
        (lambda x: ops.space_to_depth(x, 3), "must be a multiple of 3"),
        (lambda x: ops.space_to_depth(x, 1), "block_size must be at least 2"),
        (lambda x: ops.space_to_depth(x[0], 2), "must have 4 axes"),
        (lambda x: ops.fold(x[0, :, :, :5], 4, 2), "must be a multiple of the window's size 4"),
        (lambda x: ops.ctc_decode(x, [1, 2]), r"must be \(batch, steps, classes\)"),
        (lambda x: ops.ctc_decode(x[0], [1, 2], "best"), "'greedy' or 'beam_search', got 'best'"),
        (lambda x: ops.ctc_decode(x[0], [1], "beam_search", 2, 3), "must not exceed beam_width"),
        (lambda x: ops.ctc_loss([[1]], x[0], [1], [2]), r"both lengths \(batch,\)"),
        (lambda x: ops.image.ssim(x, x[0]), "the shapes must be equal"),
    ],
)
def test_errors_of_rearranging_and_ctc(call, said):
    with pytest.raises(ValueError, match=said):
        call(np.zeros((2, 4, 6, 8), "float32"))


def test_fold_undoes_windows_that_do_not_overlap():
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 6)).astype("float32")
    np.testing.assert_array_equal(ops.fold(ops.unfold(x, 2, stride=2), (8, 6), 2, stride=2), x)
    # A rest that no window covers is zero, and the size is the one asked for.
    assert ops.fold(ops.unfold(x[:, :, :7], 2, stride=2), (7, 6), 2, stride=2).shape == (2, 3, 7, 6)


def test_beam_search_sums_over_alignments():
    """Probabilities of all label sequences, by hand: every path of classes, collapsed."""
    p = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]])
    sums = {}
    for i in range(3):
        for j in range(3):
            spelled = tuple(c for c in ((i,) if i == j else (i, j)) if c)
            sums[spelled] = sums.get(spelled, 0) + p[0, i] * p[1, j]
    best = sorted(sums, key=sums.get, reverse=True)[:4]
    labels, scores = ops.ctc_decode(np.log(p)[None], [2], "beam_search", 20, 4)
    found = [tuple(c for c in row if c >= 0) for row in np.asarray(labels)[:, 0].tolist()]
    assert found == best
    np.testing.assert_allclose(np.exp(scores[0]), [sums[s] for s in best], rtol=1e-5)
