"""Element-by-element operations of `keras.ops.numpy`: one line where jnp already does what Keras
does, a short function where it does not.

Integers and bools become `floatx()` where Keras's type rule says so (`floating=True`).
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.dtypes import standardize_dtype
from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array, as_float

__all__ = [
    "abs", "absolute", "add", "allclose", "angle", "arccos", "arccosh", "arcsin", "arcsinh",
    "arctan", "arctan2", "arctanh", "bitwise_and", "bitwise_invert", "bitwise_left_shift",
    "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "cbrt", "ceil", "clip",
    "conj", "conjugate", "cos", "cosh", "deg2rad", "divide", "divide_no_nan", "equal", "exp",
    "exp2", "expm1", "fabs", "floor", "floor_divide", "fmax", "fmin", "fmod", "gcd", "greater",
    "greater_equal", "heaviside", "hypot", "i0", "imag", "isclose", "isfinite", "isinf", "isnan",
    "isneginf", "isposinf", "isreal", "lcm", "ldexp", "left_shift", "less", "less_equal", "log",
    "log1p", "log2", "log10", "logaddexp", "logaddexp2", "logical_and", "logical_not", "logical_or",
    "logical_xor", "maximum", "minimum", "mod", "multiply", "nan_to_num", "negative", "nextafter",
    "not_equal", "power", "rad2deg", "real", "reciprocal", "right_shift", "round", "sign",
    "signbit", "sin", "sinc", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "true_divide",
    "trunc", "where",
]  # fmt: skip

_ROW = """{summary}

{shapes}

Args:
{arguments}

Example:
    >>> print(staghorn.ops.{name}({example}))
    {result}
"""


def _describe(fn: Callable, name: str, summary: str, shapes: str, arguments: str, example: str):
    # A table row is a function of this module like any other: same name, text and example.
    given, _, result = example.partition(" -> ")
    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = _ROW.format(
        summary=summary, shapes=shapes, arguments=arguments, name=name, example=given, result=result
    )
    return op(fn, name=name)


def unary(
    function: Callable, summary: str, example: str, floating: bool = False, name: str = ""
) -> Callable:
    """Make an op of one array from a jnp function.

    Args:
        function: from an array to an array of the same shape.
        summary: first line of the op's docstring.
        example: "arguments -> printed result".
        floating: turn ints and bools into floatx first. Default: False.
        name: the op's name. Default: that of `function`.

    Example:
        >>> staghorn.ops.elementwise.unary(abs, "Size.", "-1 -> 1", name="size").__name__
        'size'
    """
    convert = as_float if floating else as_array

    def row(x):
        return function(convert(x))

    text = "    x: an array, KerasTensor, Variable or number."
    return _describe(row, name or function.__name__, summary, "(...) → (...)", text, example)


def binary(
    function: Callable, summary: str, example: str, floating: bool = False, name: str = ""
) -> Callable:
    """Make an op of two arrays, broadcast against each other, from a jnp function.

    Args:
        function: from two arrays to one.
        summary: first line of the op's docstring.
        example: "arguments -> printed result".
        floating: turn ints and bools into floatx first. Default: False.
        name: the op's name. Default: that of `function`.

    Example:
        >>> staghorn.ops.elementwise.binary(pow, "Power.", "2, 3 -> 8", name="power").__name__
        'power'
    """

    def row(x1, x2):
        x1, x2 = as_array(x1), as_array(x2)
        if floating and not jnp.issubdtype(jnp.result_type(x1, x2), jnp.inexact):
            x1, x2 = as_float(x1), as_float(x2)
        return function(x1, x2)

    text = "    x1, x2: arrays, KerasTensors, Variables or numbers of broadcastable shapes."
    return _describe(row, name or function.__name__, summary, "(...), (...) → (...)", text, example)


# --- arithmetic -----------------------------------------------------------------------------------

add = binary(jnp.add, "Sum x1 + x2.", "[1, 2], [3, 4] -> [4 6]")
subtract = binary(jnp.subtract, "Difference x1 - x2.", "[5, 2], [3, 4] -> [ 2 -2]")
multiply = binary(jnp.multiply, "Product x1 * x2.", "[1, 2], [3, 4] -> [3 8]")
divide = binary(jnp.divide, "Quotient x1 / x2, a float.", "[1, 2], [2, 4] -> [0.5 0.5]")
true_divide = binary(
    jnp.divide, "Quotient x1 / x2, a float.", "[1, 2], [2, 4] -> [0.5 0.5]", name="true_divide"
)
floor_divide = binary(jnp.floor_divide, "Quotient rounded down, x1 // x2.", "[7, -7], 2 -> [ 3 -4]")
mod = binary(jnp.mod, "Remainder with the sign of x2.", "[7, -7], 3 -> [1 2]", name="mod")
fmod = binary(jnp.fmod, "Remainder with the sign of x1.", "[7, -7], 3 -> [ 1 -1]")
power = binary(jnp.power, "Power x1 ** x2.", "[2, 3], 2 -> [4 9]")
maximum = binary(jnp.maximum, "The larger of x1 and x2; NaN wins.", "[1, 5], [3, 4] -> [3 5]")
minimum = binary(jnp.minimum, "The smaller of x1 and x2; NaN wins.", "[1, 5], [3, 4] -> [1 4]")
fmax = binary(jnp.fmax, "The larger of x1 and x2; NaN loses.", "[1, 5], [3, 4] -> [3 5]")
fmin = binary(jnp.fmin, "The smaller of x1 and x2; NaN loses.", "[1, 5], [3, 4] -> [1 4]")
gcd = binary(jnp.gcd, "Greatest common divisor.", "12, [8, 9] -> [4 3]")
lcm = binary(jnp.lcm, "Least common multiple.", "4, [6, 8] -> [12  8]")
hypot = binary(jnp.hypot, "Length of the side across a right angle.", "3.0, 4.0 -> 5.0")
arctan2 = binary(jnp.arctan2, "Angle of the point (x2, x1), in radians.", "0.0, 1.0 -> 0.0", True)
heaviside = binary(
    jnp.heaviside, "0 below zero, 1 above, x2 at zero.", "[-1.0, 0.0], 0.5 -> [0.  0.5]"
)
logaddexp = binary(jnp.logaddexp, "log(exp(x1) + exp(x2)).", "0.0, -1000.0 -> 0.0", True)
logaddexp2 = binary(jnp.logaddexp2, "log2(2**x1 + 2**x2).", "1.0, 1.0 -> 2.0", True)
nextafter = binary(jnp.nextafter, "The next float after x1 towards x2.", "1.0, 2.0 -> 1.0000001")

negative = unary(jnp.negative, "The number with its sign turned, -x.", "[1, -2] -> [-1  2]")
absolute = unary(jnp.absolute, "Size of x, without its sign.", "[1, -2] -> [1 2]", name="absolute")
abs = unary(jnp.absolute, "Size of x, without its sign.", "[1, -2] -> [1 2]", name="abs")
sign = unary(jnp.sign, "-1, 0 or 1.", "[-3, 0, 2] -> [-1  0  1]")
square = unary(jnp.square, "x * x.", "[1, -2] -> [1 4]")
sqrt = unary(jnp.sqrt, "Square root.", "[4.0, 9.0] -> [2. 3.]")
cbrt = unary(jnp.cbrt, "Cube root.", "[8.0, -27.0] -> [ 2. -3.]")
reciprocal = unary(jnp.reciprocal, "1 / x.", "[2.0, 4.0] -> [0.5  0.25]")
ceil = unary(
    jnp.ceil, "Smallest whole number not below x, a float.", "[1.2, -1.2] -> [ 2. -1.]", True
)
floor = unary(
    jnp.floor, "Largest whole number not above x, a float.", "[1.2, -1.2] -> [ 1. -2.]", True
)
exp = unary(jnp.exp, "e ** x.", "0.0 -> 1.0", True)
exp2 = unary(jnp.exp2, "2 ** x.", "3.0 -> 8.0", True)
expm1 = unary(jnp.expm1, "exp(x) - 1, exact near 0.", "0.0 -> 0.0", True)
log = unary(jnp.log, "Natural logarithm.", "1.0 -> 0.0")
log10 = unary(jnp.log10, "Logarithm to base 10.", "1.0 -> 0.0")
log1p = unary(jnp.log1p, "log(1 + x), exact near 0.", "0.0 -> 0.0")
log2 = unary(jnp.log2, "Logarithm to base 2.", "8.0 -> 3.0")

# --- trigonometry ---------------------------------------------------------------------------------

sin = unary(jnp.sin, "Sine of an angle in radians.", "0.0 -> 0.0", True)
cos = unary(jnp.cos, "Cosine of an angle in radians.", "0.0 -> 1.0", True)
tan = unary(jnp.tan, "Tangent of an angle in radians.", "0.0 -> 0.0", True)
arcsin = unary(jnp.arcsin, "Inverse of the sine.", "0.0 -> 0.0", True)
arccos = unary(jnp.arccos, "Inverse of the cosine.", "1.0 -> 0.0", True)
arctan = unary(jnp.arctan, "Inverse of the tangent.", "0.0 -> 0.0", True)
sinh = unary(jnp.sinh, "Hyperbolic sine.", "0.0 -> 0.0", True)
cosh = unary(jnp.cosh, "Hyperbolic cosine.", "0.0 -> 1.0", True)
tanh = unary(jnp.tanh, "Hyperbolic tangent.", "0.0 -> 0.0", True)
arcsinh = unary(jnp.arcsinh, "Inverse of the hyperbolic sine.", "0.0 -> 0.0", True)
arccosh = unary(jnp.arccosh, "Inverse of the hyperbolic cosine.", "1.0 -> 0.0", True)
arctanh = unary(jnp.arctanh, "Inverse of the hyperbolic tangent.", "0.0 -> 0.0", True)
sinc = unary(jnp.sinc, "sin(pi x) / (pi x), 1 at 0.", "0.0 -> 1.0", True)
deg2rad = unary(jnp.deg2rad, "Degrees to radians.", "0.0 -> 0.0")
rad2deg = unary(jnp.rad2deg, "Radians to degrees.", "0.0 -> 0.0")

# --- complex numbers ------------------------------------------------------------------------------

angle = unary(
    jnp.angle, "Angle of a complex number, in radians.", "[1.0, 2j] -> [0.        1.5707964]", True
)
conjugate = unary(jnp.conjugate, "Complex conjugate.", "1 + 2j -> (1-2j)", name="conjugate")
conj = unary(jnp.conjugate, "Complex conjugate.", "1 + 2j -> (1-2j)", name="conj")
real = unary(jnp.real, "Real part.", "1 + 2j -> 1.0")
imag = unary(jnp.imag, "Imaginary part.", "1 + 2j -> 2.0")
isreal = unary(jnp.isreal, "True where the imaginary part is zero.", "[1.0, 2j] -> [ True False]")

# --- comparison and logic -------------------------------------------------------------------------

equal = binary(jnp.equal, "x1 == x2.", "[1, 2], [1, 3] -> [ True False]")
not_equal = binary(jnp.not_equal, "x1 != x2.", "[1, 2], [1, 3] -> [False  True]")
greater = binary(jnp.greater, "x1 > x2.", "[1, 4], [1, 3] -> [False  True]")
greater_equal = binary(jnp.greater_equal, "x1 >= x2.", "[1, 2], [1, 3] -> [ True False]")
less = binary(jnp.less, "x1 < x2.", "[1, 2], [1, 3] -> [False  True]")
less_equal = binary(jnp.less_equal, "x1 <= x2.", "[1, 4], [1, 3] -> [ True False]")
logical_and = binary(
    jnp.logical_and, "True where both are.", "[True, False], True -> [ True False]"
)
logical_or = binary(jnp.logical_or, "True where one is.", "[True, False], True -> [ True  True]")
logical_xor = binary(
    jnp.logical_xor, "True where exactly one is.", "[True, False], True -> [False  True]"
)
logical_not = unary(jnp.logical_not, "True where x is not.", "[True, False] -> [False  True]")
isfinite = unary(
    jnp.isfinite, "True for all but NaN and infinities.", "[1.0, np.inf] -> [ True False]"
)
isinf = unary(jnp.isinf, "True for infinities.", "[1.0, np.inf] -> [False  True]")
isnan = unary(jnp.isnan, "True for NaN.", "[1.0, np.nan] -> [False  True]")
isneginf = unary(jnp.isneginf, "True for minus infinity.", "[-np.inf, np.inf] -> [ True False]")
isposinf = unary(jnp.isposinf, "True for plus infinity.", "[-np.inf, np.inf] -> [False  True]")
signbit = unary(jnp.signbit, "True where the sign bit is set.", "[-1.0, 1.0] -> [ True False]")


def _bits(function: Callable, name: str, summary: str, example: str) -> Callable:
    def row(x, y):
        return function(as_array(x), as_array(y))

    text = "    x, y: arrays of ints, of broadcastable shapes."
    return _describe(row, name, summary, "(...), (...) → (...)", text, example)


bitwise_and = _bits(jnp.bitwise_and, "bitwise_and", "Bits set in both.", "6, 3 -> 2")
bitwise_or = _bits(jnp.bitwise_or, "bitwise_or", "Bits set in either.", "6, 3 -> 7")
bitwise_xor = _bits(jnp.bitwise_xor, "bitwise_xor", "Bits set in exactly one.", "6, 3 -> 5")
bitwise_left_shift = _bits(jnp.left_shift, "bitwise_left_shift", "x * 2**y.", "3, 2 -> 12")
left_shift = _bits(jnp.left_shift, "left_shift", "x * 2**y.", "3, 2 -> 12")
bitwise_right_shift = _bits(jnp.right_shift, "bitwise_right_shift", "x // 2**y.", "12, 2 -> 3")
right_shift = _bits(jnp.right_shift, "right_shift", "x // 2**y.", "12, 2 -> 3")
bitwise_invert = unary(jnp.invert, "All bits turned.", "5 -> -6", name="bitwise_invert")
bitwise_not = unary(jnp.invert, "All bits turned.", "5 -> -6", name="bitwise_not")


# --- rules of their own ---------------------------------------------------------------------------


@op
def fabs(x: Any) -> jax.Array:
    """Size of x as a float.

    (...) → (...)        y = |x|

    Args:
        x: an array.

    Raises:
        TypeError: for complex numbers.

    Example:
        >>> print(staghorn.ops.fabs([-1, 2]))
        [1. 2.]
    """
    x = as_array(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"fabs: x must be real, got {x.dtype}; use staghorn.ops.absolute instead.")
    return jnp.fabs(x)


@op
def trunc(x: Any) -> jax.Array:
    """Drop the fraction; ints and bools stay as they are.

    (...) → (...)

    Args:
        x: an array.

    Example:
        >>> print(staghorn.ops.trunc([1.7, -1.7]))
        [ 1. -1.]
    """
    x = as_array(x)
    return jnp.trunc(x) if jnp.issubdtype(x.dtype, jnp.inexact) else x


@op
def round(x: Any, decimals: int = 0) -> jax.Array:
    """Round to the nearest number of so many decimals, halves to even.

    (...) → (...)

    Args:
        x: an array.
        decimals: places after the point; negative counts before it. Default: 0.

    Example:
        >>> print(staghorn.ops.round([0.5, 1.5, 2.6]))
        [0. 2. 3.]
    """
    x = as_array(x)
    if jnp.issubdtype(x.dtype, jnp.integer) and decimals < 0:
        # jnp has no negative decimals for ints: go through floats, as Keras does.
        factor = math.pow(10, decimals)
        return (jnp.round(x.astype(config.floatx()) * factor) / factor).astype(x.dtype)
    return jnp.round(x, decimals=decimals)


@op
def i0(x: Any) -> jax.Array:
    """Modified Bessel function of the first kind, order 0.

    (...) → (...)

    Args:
        x: an array.

    Example:
        >>> print(staghorn.ops.i0(0.0).round(3))
        1.0
    """
    return jnp.i0(as_float(x))


@op
def ldexp(x1: Any, x2: Any) -> jax.Array:
    """x1 * 2**x2, for an int x2.

    (...), (...) → (...)

    Args:
        x1: an array.
        x2: ints that broadcast with it.

    Raises:
        TypeError: if `x2` is not of an int type.

    Example:
        >>> print(staghorn.ops.ldexp([1.0, 3.0], [2, 1]))
        [4. 6.]
    """
    x1, x2 = as_array(x1), as_array(x2)
    if not jnp.issubdtype(x2.dtype, jnp.integer):
        raise TypeError(f"ldexp: x2 must be of an int type, got {standardize_dtype(x2.dtype)}.")
    return jnp.ldexp(x1, x2)


@op
def clip(x: Any, x_min: Any, x_max: Any) -> jax.Array:
    """Move values below `x_min` up to it and values above `x_max` down to it.

    (...) → (...)        y = min(max(x, x_min), x_max)

    Args:
        x: an array.
        x_min: lowest value.
        x_max: highest value.

    Example:
        >>> print(staghorn.ops.clip([-2, 0, 5], -1, 1))
        [-1  0  1]
    """
    x = as_array(x)
    return jnp.clip(x.astype("int32") if x.dtype == bool else x, x_min, x_max)


@op
def divide_no_nan(x1: Any, x2: Any) -> jax.Array:
    """x1 / x2, and 0 where x2 is 0; the gradient is 0 there too.

    (...), (...) → (...)

    Args:
        x1: an array.
        x2: an array that broadcasts with it.

    Example:
        >>> print(staghorn.ops.divide_no_nan([1.0, 2.0], [0.0, 4.0]))
        [0.  0.5]
    """
    x1, x2 = as_array(x1), as_array(x2)
    zero = x2 == 0
    return jnp.where(zero, 0, jnp.divide(x1, jnp.where(zero, 1, x2)))


@op
def nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> jax.Array:
    """Replace NaN and infinities by finite numbers.

    (...) → (...)

    Args:
        x: an array.
        nan: what NaN becomes. Default: 0.0.
        posinf: what +infinity becomes. Default: the largest finite number.
        neginf: what -infinity becomes. Default: the lowest finite number.

    Example:
        >>> print(staghorn.ops.nan_to_num([1.0, np.nan, np.inf], posinf=9.0))
        [1. 0. 9.]
    """
    return jnp.nan_to_num(as_array(x), nan=nan, posinf=posinf, neginf=neginf)


@op
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """x1 where the condition holds, x2 elsewhere; alone, the places where it holds.

    (...), (...), (...) → (...)

    Args:
        condition: bools.
        x1: what stands where they are True. Default: None.
        x2: what stands where they are False. Default: None.

    Raises:
        ValueError: if only one of `x1` and `x2` is given.

    Example:
        >>> print(staghorn.ops.where([True, False], 1, 2))
        [1 2]
    """
    if (x1 is None) != (x2 is None):
        raise ValueError("where: give both x1 and x2, or neither: where(condition, x1, x2).")
    if x1 is None:
        return jnp.where(as_array(condition))
    return jnp.where(as_array(condition), as_array(x1), as_array(x2))


@op
def isclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> jax.Array:
    """Say where |x1 - x2| <= atol + rtol * |x2|.

    (...), (...) → (...) bool

    Args:
        x1: an array.
        x2: an array that broadcasts with it.
        rtol: difference allowed for each unit of x2. Default: 1e-5.
        atol: difference allowed everywhere. Default: 1e-8.
        equal_nan: whether NaN is close to NaN. Default: False.

    Example:
        >>> print(staghorn.ops.isclose([1.0, 2.0], [1.0, 2.1]))
        [ True False]
    """
    return jnp.isclose(as_array(x1), as_array(x2), rtol, atol, equal_nan)


@op
def allclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> jax.Array:
    """Say whether |x1 - x2| <= atol + rtol * |x2| everywhere.

    (...), (...) → () bool

    Args:
        x1: an array.
        x2: an array that broadcasts with it.
        rtol: difference allowed for each unit of x2. Default: 1e-5.
        atol: difference allowed everywhere. Default: 1e-8.
        equal_nan: whether NaN is close to NaN. Default: False.

    Example:
        >>> print(staghorn.ops.allclose([1.0, 2.0], [1.0, 2.1]))
        False
    """
    return jnp.allclose(as_array(x1), as_array(x2), rtol, atol, equal_nan)
