"""One row of the tables that drive the tests of the layer families: class, arguments, inputs."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Case:
    """One layer and the inputs it is tried on."""

    layer: str
    kwargs: dict[str, Any]
    shapes: tuple  # one shape, or several for a list of inputs
    dtype: str = "float32"
    high: int = 7  # ints are drawn below it
    call: dict[str, Any] = field(default_factory=dict)
    masked: bool = False  # also tried on an input that carries a mask
    unknown: tuple | None = None  # the shape with unknown sizes; by default only the batch is
    mixed: bool = True  # also tried under the mixed policies
    label: str = ""
    slow: bool = False  # only in `make test-full`

    def __str__(self):
        given = ", ".join(f"{k}={v}" for k, v in {**self.kwargs, **self.call}.items())
        return f"{self.layer}({given}){self.label or self.shapes}"

    @property
    def many(self):
        return isinstance(self.shapes[0], tuple)

    def arrays(self, seed=0):
        rng = np.random.default_rng(seed)
        arrays = []
        for shape in self.shapes if self.many else (self.shapes,):
            if self.dtype.startswith("float"):
                array = rng.normal(size=shape).astype(self.dtype)
            else:
                array = rng.integers(0, self.high, size=shape).astype(self.dtype)
            arrays.append(array)
        return arrays

    def inputs(self, seed=0):
        arrays = self.arrays(seed)
        return arrays if self.many else arrays[0]

    def symbolic_shapes(self):
        if self.unknown is not None:
            return self.unknown
        shapes = [(None, *s[1:]) for s in (self.shapes if self.many else (self.shapes,))]
        return tuple(shapes) if self.many else shapes[0]


T = {"training": True}
SEQ = (2, 3, 4)
IMAGE = (2, 4, 5, 6)
TWO = ((2, 3, 4), (2, 3, 4))
THREE = ((2, 4), (2, 4), (2, 4))
