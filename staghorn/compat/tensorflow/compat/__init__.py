"""`tf.compat`: `v1`, as far as scripts for Keras use it."""

from staghorn.compat.tensorflow.advice import explain
from staghorn.compat.tensorflow.compat import v1

__all__ = ["v1"]
__getattr__ = explain("tf.compat", __all__)
