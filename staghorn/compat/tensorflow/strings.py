"""`tf.strings` on NumPy arrays of text, for what scripts hand to TextVectorization.

Texts are Python's strings in arrays of objects, not bytes; they stay on the host.
"""

from __future__ import annotations

import re
import string

import numpy as np

from staghorn import ops
from staghorn.compat.spelled import publish

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def _each(function, value):
    texts = np.frompyfunc(lambda t: t.decode() if isinstance(t, bytes) else t, 1, 1)(
        np.asarray(value, object)
    )
    return np.frompyfunc(function, 1, 1)(texts)


def lower(input, encoding=""):
    """Make A to Z small; all letters with encoding="utf-8"."""
    return _each(str.lower if encoding else lambda t: t.translate(_LOWER), input)


def upper(input, encoding=""):
    """Make a to z large; all letters with encoding="utf-8"."""
    return _each(str.upper if encoding else lambda t: t.translate(_UPPER), input)


def strip(input):
    """Take white space off both ends."""
    return _each(str.strip, input)


def regex_replace(input, pattern, rewrite, replace_global=True):
    """Replace what matches; `\\1` in `rewrite` is the first group."""
    search, count = re.compile(pattern), 0 if replace_global else 1
    rewrite = rewrite.replace("\\0", "\\g<0>")
    return _each(lambda t: search.sub(rewrite, t, count=count), input)


def regex_full_match(input, pattern):
    """Say which texts match as a whole."""
    return _each(lambda t: bool(re.fullmatch(pattern, t)), input).astype(bool)


def length(input, unit="BYTE"):
    """Count bytes of UTF-8, or characters with unit="UTF8_CHAR"."""
    count = len if unit == "UTF8_CHAR" else lambda t: len(t.encode())
    return np.asarray(_each(count, input), np.int32)


def split(input, sep=None, maxsplit=-1):
    """Divide each text at white space or `sep`: an array of lists, or of one text its parts."""
    parts = _each(lambda t: t.split(sep or None, maxsplit), input)
    return parts if isinstance(parts, np.ndarray) else np.array(parts, object)


def unicode_split(input, input_encoding="UTF-8"):
    """Divide each text into its characters: an array of lists, or of one text its characters."""
    parts = _each(list, input)
    return parts if isinstance(parts, np.ndarray) else np.array(parts, object)


def join(inputs, separator=""):
    """Join texts place by place."""
    return np.frompyfunc(lambda *texts: separator.join(texts), len(inputs), 1)(
        *(_each(str, part) for part in inputs)
    )


def reduce_join(inputs, axis=None, separator=""):
    """Join the texts along an axis, by default all of them."""
    texts = _each(str, inputs)
    if axis is None:
        return separator.join(texts.ravel().tolist())
    return np.apply_along_axis(lambda row: np.array(separator.join(row), object), axis, texts)


def to_number(input, out_type="float32"):
    """Read numbers."""
    return ops.convert_to_tensor(np.asarray(_each(float, input), np.float64), out_type)


__all__ = publish(globals(), {})
