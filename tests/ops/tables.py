"""One row per call of an op: name, arguments, keyword arguments, whether to compare gradients."""

from typing import Any, NamedTuple

import numpy as np

from tests.ops.tables_convolution import CONVOLUTION
from tests.ops.tables_pooling import POOLING
from tests.ops.tables_rearranging import REARRANGING

RNG = np.random.default_rng(7)


def words(text):
    return text.split()


class Row(NamedTuple):
    name: str
    args: tuple
    kwargs: dict[str, Any] = {}
    grad: bool = True
    rtol: float = 1e-5
    atol: float = 1e-5

    def __str__(self):
        kinds = "-".join(str(getattr(a, "dtype", type(a).__name__)) for a in self.args)
        extra = ",".join(f"{k}={v}" for k, v in self.kwargs.items() if not hasattr(v, "shape"))
        return f"{self.name}-{kinds}-{extra}"[:80]


def floats(*shape, low=-2.0, high=2.0):
    return RNG.uniform(low, high, shape).astype("float32")


def ints(*shape, low=0, high=6):
    return RNG.integers(low, high, shape).astype("int32")


F, G, P, U = floats(3, 4), floats(3, 4), floats(3, 4, low=0.2), floats(3, 4, low=-0.9, high=0.9)
H = F.astype("float16")
I, J = ints(3, 4, low=-4, high=5), ints(3, 4, low=1, high=5)  # noqa: E741
B = I > 0
C = np.array([[1 + 2j, -1j], [3, -2 + 1j]], "complex64")
N = np.array([[1.0, np.nan, -np.inf, 2.0], [np.inf, 0.0, np.nan, -1.0]], "float32")
NAN = np.array([[1.0, np.nan, 3.0, 2.0], [4.0, 0.5, np.nan, -1.0]], "float32")
SQUARE = floats(3, 3) + 3 * np.eye(3, dtype="float32")
POSITIVE = (SQUARE @ SQUARE.T).astype("float32")
ROW = floats(6)

ANY_UNARY = words(
    """absolute abs arcsinh arctan cbrt ceil conj conjugate copy cos cosh deg2rad exp exp2
        expm1 flip fliplr flipud floor imag isfinite isinf isnan isneginf isposinf isreal
        logical_not negative rad2deg ravel real sign signbit sin sinc sinh size sort square
        tan tanh transpose trunc zeros_like ones_like tril triu sum mean max min prod all
        any amax amin ptp std var median argmax argmin argsort cumsum cumprod count_nonzero
        average fabs angle round i0 squeeze diagonal trace nansum nanmean nanmax nanmin
        nanprod nanstd nanvar nanmedian nanargmax nanargmin nancumsum nancumprod nan_to_num
        rot90 diff logsumexp norm"""
)
NN_UNARY = words(
    """relu relu6 sigmoid sparse_sigmoid softplus softsign soft_shrink sparse_plus silu
        swish squareplus log_sigmoid leaky_relu hard_sigmoid hard_silu hard_swish elu selu
        gelu celu glu tanh_shrink hard_tanh hard_shrink softmax log_softmax sparsemax
        normalize rms_normalization layer_normalization erf erfc"""
)
POSITIVE_UNARY = words("sqrt log log10 log1p log2 reciprocal rsqrt")
ANY_BINARY = words(
    """add subtract multiply maximum minimum fmax fmin equal not_equal greater
        greater_equal less less_equal logical_and logical_or logical_xor isclose allclose
        append vdot isin outer kron inner hypot logaddexp logaddexp2 arctan2"""
)
SAFE_BINARY = words("divide true_divide floor_divide mod fmod divide_no_nan")
BITS = words("""bitwise_and bitwise_or bitwise_xor bitwise_left_shift left_shift right_shift""")
REDUCTIONS = words("""sum mean max min prod all any amax amin ptp std var median logsumexp""")

NUMPY = [
    *(Row(name, (F,)) for name in ANY_UNARY),
    *(Row(name, (I,)) for name in ANY_UNARY),
    *(
        Row(name, (H,), grad=False, rtol=2e-3, atol=2e-3)
        for name in ANY_UNARY
        if name not in {"cumprod", "nancumprod"}
    ),
    *(Row(name, (B,)) for name in words("sum mean max exp sin ceil all any argmax std var")),
    *(Row(name, (P,)) for name in POSITIVE_UNARY),
    *(Row(name, (J,)) for name in POSITIVE_UNARY if name not in ("rsqrt", "reciprocal")),
    *(Row(name, (U,)) for name in ["arccos", "arcsin", "arctanh", "erfinv"]),
    Row("arccosh", (P + 1,)),
    *(
        Row(name, (C,), grad=False)
        for name in words(
            """absolute angle conj real imag isreal square exp negative sum view_as_real"""
        )
    ),
    *(
        Row(name, (N,), grad=False)
        for name in words("isnan isinf isfinite isneginf isposinf nan_to_num")
    ),
    *(
        Row(name, (NAN,), {"axis": 1})
        for name in words(
            """nansum nanmean nanmax nanmin nanprod nanstd nanvar nanmedian nanargmax nanargmin"""
        )
    ),
    *(Row(name, (NAN, 0.3), {"axis": 1}, grad=False) for name in ("nanquantile",)),
    Row("nanpercentile", (NAN, 30.0), {"axis": 1}, grad=False),
    *(Row(name, (F, G)) for name in ANY_BINARY),
    *(Row(name, (I, J)) for name in ANY_BINARY),
    *(Row(name, (F, J)) for name in ANY_BINARY),
    *(Row(name, (F, 2)) for name in words("add subtract multiply maximum equal")),
    *(
        Row(name, (H, 2.0), grad=False)
        for name in ["add", "subtract", "multiply", "maximum", "less"]
    ),
    *(Row(name, (F, P)) for name in SAFE_BINARY),
    *(Row(name, (I, J)) for name in SAFE_BINARY),
    *(Row(name, (J, I % 4)) for name in BITS),
    *(Row(name, (I, J)) for name in ["gcd", "lcm"]),
    *(Row(name, (I,)) for name in ["bitwise_invert", "bitwise_not"]),
    Row("power", (P, F)),
    Row("power", (I, 2)),
    Row("divide_no_nan", (F, np.where(I > 0, F, 0).astype("float32"))),
    Row("heaviside", (I.astype("float32"), F)),
    Row("nextafter", (F, G), grad=False),
    Row("ldexp", (F, J), grad=False),
    *(
        Row(name, (F,), {"axis": axis, "keepdims": keep})
        for name in REDUCTIONS
        for axis, keep in ((0, False), (-1, True), ((0, 1), False))
    ),
    *(Row(name, (F,), {"axis": 1, "keepdims": True}) for name in ("argmax", "argmin")),
    Row("max", (F,), {"axis": 1, "initial": 0.5}),
    Row("min", (F,), {"axis": 1, "initial": 0.5}),
    Row("average", (F,), {"axis": 1, "weights": P}),
    Row("average", (I,), {"axis": 1, "weights": P}),
    Row("cumsum", (F,), {"axis": 1}),
    Row("cumprod", (F,), {"axis": 1}),
    Row("cumsum", (I,), {"axis": 1, "dtype": "float32"}),
    Row("prod", (I,), {"axis": 1, "dtype": "float32"}),
    Row("quantile", (F, np.float32([0.2, 0.7])), {"axis": 1}, grad=False),
    Row("percentile", (F, 20.0), {"axis": 1, "method": "nearest", "keepdims": True}, grad=False),
    Row("clip", (F, -0.5, 0.5)),
    Row("clip", (I, -1, 1)),
    Row("clip", (B, 0, 1)),
    Row("round", (F,), {"decimals": 1}, grad=False),
    Row("round", (I * 17,), {"decimals": -1}),
    Row("where", (B, F, G)),
    Row("where", (B, I, G)),
    Row("where", (B,)),
    # products
    Row("matmul", (floats(2, 3, 4), floats(4, 5))),
    Row("matmul", (ints(3, 4).astype("int8"), ints(4, 2).astype("int8"))),
    Row("dot", (F, floats(4, 2))),
    Row("tensordot", (floats(2, 3, 4), floats(3, 4, 5)), {"axes": 2}),
    Row("tensordot", (floats(2, 3), floats(3, 5)), {"axes": [[1], [0]]}),
    Row("cross", (floats(4, 3), floats(4, 3))),
    Row("corrcoef", (F,), rtol=1e-4, atol=1e-4),
    Row("correlate", (ROW, floats(3)), {"mode": "full"}),
    Row("trapezoid", (F,), {"dx": 0.5}),
    Row("vander", (ROW, 3)),
    Row("slogdet", (SQUARE,)),
    # shape and order
    Row("reshape", (F, (2, -1))),
    Row("reshape", (F, -1)),
    Row("expand_dims", (F, (0, 2))),
    Row("squeeze", (floats(3, 1, 4),), {"axis": 1}),
    Row("transpose", (floats(2, 3, 4), (2, 0, 1))),
    Row("moveaxis", (floats(2, 3, 4), 0, -1)),
    Row("swapaxes", (floats(2, 3, 4), 0, 2)),
    Row("broadcast_to", (F, (2, 3, 4))),
    Row("flip", (F,), {"axis": 1}),
    Row("roll", (F, 2), {"axis": 1}),
    Row("repeat", (F, 2), {"axis": 1}),
    Row("repeat", (F, 2)),
    Row("tile", (F, (2, 1))),
    Row("pad", (F, ((1, 0), (0, 2)))),
    Row("pad", (F, 1), {"mode": "reflect"}),
    Row("pad", (F, ((1, 0), (0, 2))), {"constant_values": 3}),
    Row("split", (F, 2), {"axis": 1}),
    Row("split", (F, [1, 3]), {"axis": 1}),
    Row("array_split", (F, 3), {"axis": 1}),
    *(Row(name, (floats(2, 4, 2), 2)) for name in ["hsplit", "vsplit", "dsplit"]),
    *(Row(name, ([F, G],)) for name in ["concatenate", "stack", "hstack", "vstack", "dstack"]),
    Row("concatenate", ([F, I],), {"axis": 1}),
    Row("stack", ([F, G],), {"axis": -1}),
    Row("meshgrid", (ROW, floats(3)), {"indexing": "ij"}),
    Row("diag", (F,), {"k": 1}),
    Row("diag", (ROW,)),
    Row("diagflat", (F,)),
    Row("diagonal", (floats(2, 3, 4),), {"offset": 1, "axis1": 1, "axis2": 2}),
    Row("trace", (floats(2, 3, 4),), {"offset": 1}),
    Row("tril", (F,), {"k": -1}),
    Row("take", (F, np.int32([2, 0, 2])), {"axis": 0}),
    Row("take", (F, np.int32([[1, 5]]))),
    Row("take_along_axis", (F, np.int32([[1], [0], [3]])), {"axis": 1}),
    Row("get_item", (F, (slice(None, None, 2), 1))),
    Row("unravel_index", (np.int32([5, 7]), (3, 4))),
    # searching
    Row("argsort", (np.float32([2, 1, 2, 1]),)),
    Row("searchsorted", (np.sort(ROW), F), {"side": "right"}),
    Row("digitize", (F, np.float32([-1, 0, 1]))),
    Row("bincount", (np.int32([0, 2, 2, 5]),), {"minlength": 8}),
    Row("bincount", (np.int32([0, 2, 2, 5]),), {"weights": floats(4)}, grad=False),
    Row("bincount", (np.int32([[0, 2], [1, 2]]),), {"minlength": 4}),
    Row("histogram", (ROW,), {"bins": 4}, grad=False),
    Row("histogram", (ROW,), {"bins": 4, "range": (-1.0, 1.0)}, grad=False),
    Row("unique", (np.int32([3, 1, 3]),), {"return_counts": True, "return_inverse": True}),
    Row("nonzero", (I,)),
    Row("select", ([B, I < 0], [F, G], 9.0)),
    # creation
    Row("arange", (5,)),
    Row("arange", (1.0, 4.0, 0.5)),
    Row("arange", (2, 8), {"dtype": "float32"}),
    Row("linspace", (0.0, 1.0, 5)),
    Row("linspace", (0, 4, 5), {"dtype": "int32"}),
    Row("linspace", (0.0, 1.0, 5), {"retstep": True, "endpoint": False}),
    Row("logspace", (0.0, 2.0, 4)),
    Row("geomspace", (1.0, 8.0, 4)),
    Row("zeros", ((2, 3),)),
    Row("ones", ((2,), "int32")),
    Row("full", ((2,), 3)),
    Row("full", ((2,), 3), {"dtype": "int32"}),
    Row("full_like", (F, 2)),
    Row("eye", (3, 4, 1)),
    Row("identity", (3,)),
    Row("tri", (3, 4, 1)),
    Row("empty_like", (I,)),
    Row("array", ([1, 2],)),
    Row("array", ([1.0, 2.0], "int32")),
    *(Row(name, (5,)) for name in ["bartlett", "blackman", "hamming", "hanning"]),
    Row("kaiser", (5, 2.0)),
    Row("view", (F, "int32")),
    Row("rot90", (F, 3)),
]

LABELS = np.int32([0, 3, 1])
SHARES = (P / P.sum(1, keepdims=True)).astype("float32")
ONE_HOT = np.eye(4, dtype="float32")[LABELS]
IMAGES, SEQUENCE = floats(2, 5, 3), floats(2, 40)
NN = [
    *(Row(name, (F * 3,)) for name in NN_UNARY),
    *(Row(name, (H,), grad=False, rtol=2e-3, atol=2e-3) for name in NN_UNARY),
    Row("leaky_relu", (F,), {"negative_slope": 0.1}),
    Row("elu", (F,), {"alpha": 0.5}),
    Row("celu", (F,), {"alpha": 0.5}),
    Row("gelu", (F,), {"approximate": False}),
    Row("glu", (floats(4, 3),), {"axis": 0}),
    Row("squareplus", (F,), {"b": 2}),
    Row("hard_shrink", (F,), {"threshold": 1.0}),
    Row("soft_shrink", (F,), {"threshold": 1.0}),
    Row("threshold", (F, 0.3, -1.0)),
    Row("softmax", (F,), {"axis": 0}),
    Row("softmax", (IMAGES,), {"axis": (1, 2)}),
    Row("log_softmax", (IMAGES,), {"axis": (0, 2)}),
    Row("sparsemax", (IMAGES,), {"axis": 1}),
    Row("one_hot", (np.int32([[0, 3], [-1, 9]]), 4)),
    Row("one_hot", (LABELS, 4), {"axis": 0, "dtype": "int32"}),
    Row("multi_hot", (np.int32([[0, 3], [1, 1]]), 4)),
    Row("multi_hot", (LABELS, 4), {"dtype": "bool"}),
    *(
        Row("binary_crossentropy", (t, x), {"from_logits": logits})
        for t, x, logits in ((ONE_HOT, SHARES, False), (ONE_HOT, F * 20, True), (SHARES, F, True))
    ),
    Row("binary_crossentropy", (ONE_HOT, ONE_HOT), grad=False),
    Row("binary_crossentropy", (ONE_HOT.astype("int32"), SHARES)),
    *(
        Row("categorical_crossentropy", (ONE_HOT, x), {"from_logits": logits})
        for x, logits in ((SHARES, False), (P, False), (F * 20, True))
    ),
    Row("categorical_crossentropy", (ONE_HOT.T.copy(), F.T.copy(), True, 0)),
    Row("categorical_crossentropy", (ONE_HOT, ONE_HOT), grad=False),
    *(
        Row("sparse_categorical_crossentropy", (t, x), {"from_logits": logits})
        for t in (
            LABELS,
            LABELS[:, None],
            np.int32([-1, 4, 2]),
            LABELS.astype("float32").astype(int),
        )
        for x, logits in ((P, False), (F * 20, True))
    ),
    Row("sparse_categorical_crossentropy", (ints(2, 5, high=3), IMAGES), {"from_logits": True}),
    Row("moments", (IMAGES, [0, 1])),
    Row("moments", (IMAGES, (0,)), {"keepdims": True}),
    Row("moments", (H * 1000, 0), grad=False, rtol=2e-3, atol=2e-3),
    Row("batch_normalization", (IMAGES, floats(3), floats(3, low=0.5), -1)),
    Row(
        "batch_normalization",
        (IMAGES, floats(5), floats(5, low=0.5), 1, floats(5), floats(5), 1e-2),
    ),
    Row("layer_normalization", (IMAGES, floats(3), floats(3))),
    Row("layer_normalization", (IMAGES, floats(5, 3), floats(5, 3)), {"axis": (1, 2)}),
    Row("layer_normalization", (IMAGES, floats(5), floats(5)), {"axis": 1, "epsilon": 1e-3}),
    Row("rms_normalization", (IMAGES, floats(3)), {"epsilon": 1e-3}),
    Row("normalize", (IMAGES,), {"axis": 1}),
    Row("normalize", (IMAGES,), {"order": 3}),
    Row("normalize", (np.zeros((2, 3), "float32"),), grad=False),
    Row("polar", (P, F), grad=False),
    Row("psnr", (F, G, 2.0)),
]
MATH = [
    *(
        Row(f"segment_{kind}", (F, np.int32([0, 2, 0])), {"num_segments": 4}, grad=kind != "prod")
        for kind in ("sum", "max", "min", "prod")
    ),
    Row("top_k", (F, 2)),
    Row("in_top_k", (LABELS, F, 2)),
    Row("in_top_k", (np.int32([1, 0]), NAN, 2)),
    Row("logdet", (SQUARE,)),
    Row("cdist", (floats(2, 3, 4), floats(2, 5, 4))),
    Row("extract_sequences", (SEQUENCE, 6, 4)),
    *(Row(name, ((F, G),), grad=False) for name in ("fft", "fft2", "ifft2")),
    Row("rfft", (SEQUENCE,), grad=False, atol=1e-4),
    Row("rfft", (SEQUENCE, 32), grad=False, atol=1e-4),
    Row("irfft", ((F, G),), grad=False),
    Row("irfft", ((F, G), 9), grad=False),
    *(
        Row("stft", (SEQUENCE, 8, 4, 10), {"window": w, "center": c}, grad=False, atol=1e-4)
        for w in ("hann", "hamming", None, floats(8))
        for c in (True, False)
    ),
    *(
        Row(
            "istft",
            ((floats(2, 6, 6), floats(2, 6, 6)), 8, 4, 10),
            {"window": w, "center": c},
            grad=False,
            rtol=1e-4,
            atol=1e-4,
        )
        for w in ("hann", None)
        for c in (True, False)
    ),
    Row("istft", ((floats(6, 6), floats(6, 6)), 8, 4, 10), {"length": 20}, grad=False, atol=1e-4),
    Row("view_as_complex", (floats(3, 2),), grad=False),
]
LINALG = [
    Row("cholesky", (POSITIVE,)),
    Row("cholesky", (POSITIVE,), {"upper": True}),
    Row("cholesky_inverse", (SQUARE,), {"upper": True}, rtol=1e-4),
    Row("cholesky_inverse", (SQUARE,), rtol=1e-4),
    Row("det", (SQUARE,)),
    Row("eigh", (POSITIVE,), grad=False),
    Row("eig", (SQUARE,), grad=False),
    Row("inv", (np.stack([SQUARE, POSITIVE]),)),
    Row("lu_factor", (np.stack([SQUARE, POSITIVE]),), grad=False),
    *(
        Row("norm", (F,), {"ord": o, "axis": a})
        for o, a in ((None, None), (1, 0), (2, 1), ("fro", (0, 1)), (np.inf, 1))
    ),
    Row("norm", (I,), {"axis": 1, "keepdims": True}),
    Row("qr", (floats(4, 3),), grad=False),
    Row("qr", (floats(4, 3),), {"mode": "complete"}, grad=False),
    Row("solve", (SQUARE, floats(3, 2))),
    Row("solve", (SQUARE, floats(3))),
    Row("solve_triangular", (SQUARE, floats(3, 2)), {"lower": True}),
    Row("svd", (floats(4, 3),), grad=False),
    Row("svd", (floats(4, 3),), {"compute_uv": False}, grad=False),
    Row("lstsq", (floats(5, 3), floats(5)), rtol=1e-4, atol=1e-4),
    Row("matrix_rank", (np.ones((3, 3), "float32"),)),
    Row("pinv", (floats(4, 3),), rtol=1e-4, atol=1e-4),
]
CORE = [
    Row("cast", (F, "int32")),
    Row("cast", (I, "bool")),
    Row("saturate_cast", (F * 300, "uint8")),
    Row("saturate_cast", (F * 1e30, "int32"), grad=False),
    Row("saturate_cast", (I, "uint8")),
    Row("convert_to_tensor", (F,)),
    Row("convert_to_tensor", ([1, 2], "float32")),
    Row("stop_gradient", (F,)),
    Row("slice", (F, (1, 0), (2, 2))),
    Row("slice", (F, np.int32([1, 1]), (-1, 2))),
    Row("slice_update", (F, (1, 0), floats(2, 2))),
    Row("scatter", (np.int32([[0, 1], [2, 3], [0, 1]]), floats(3), (3, 4))),
    *(
        Row(
            "scatter_update",
            (F, np.int32([[0, 1], [2, 3]]), floats(2)),
            {"reduction": r},
            grad=r != "mul",
        )
        for r in (None, "add", "max", "min", "mul")
    ),
    Row("unstack", (F,), {"axis": 1}),
]
HEADS = tuple(floats(2, 5, 4, 3) for _ in range(3))  # (batch, time, heads, depth)
ATTENTION = [
    Row("dot_product_attention", HEADS),
    Row("dot_product_attention", HEADS, {"is_causal": True, "scale": 0.3}),
    Row("dot_product_attention", HEADS, {"mask": RNG.uniform(size=(2, 1, 5, 5)) > 0.3}),
    Row("dot_product_attention", HEADS, {"bias": floats(2, 4, 5, 5)}),
]

TABLE = [
    *NUMPY,
    *ATTENTION,
    *NN,
    *MATH,
    *LINALG,
    *CORE,
    *(Row(*row) for row in CONVOLUTION + POOLING + REARRANGING),
]
