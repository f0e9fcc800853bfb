"""Layers of Keras that are left out on purpose: making one says why, and what to do instead."""

from typing import Any

from staghorn.layers.layer import Layer

_TFSM = """\
TFSMLayer is left out on purpose: it runs a program of TensorFlow's SavedModel format, and Staghorn
computes with JAX alone. Save the model as a .keras or .h5 file where it was made, and write
    model = staghorn.saving.load_model("model.keras")
or, in a process that has TensorFlow, call it there:    tf.saved_model.load({filepath!r})"""

_TORCH = """\
TorchModuleWrapper is left out on purpose: it runs a PyTorch module, whose programs and gradients
JAX cannot see. Write the module as a layer, then copy its weights:
    layer.set_weights([p.detach().numpy() for p in module.parameters()])
Kernels of torch.nn.Linear and Conv have other axes: p.T for Linear, p.permute(2, 3, 1, 0) for
Conv2d. Modules written for JAX work as they are: staghorn.layers.FlaxLayer, JaxLayer."""


class TFSMLayer(Layer):
    """Left out on purpose: a TensorFlow SavedModel as a layer.

    inputs → what a function of the file makes of them

    Args:
        filepath, call_endpoint, call_training_endpoint, trainable, name, dtype: as in Keras.

    Raises:
        NotImplementedError: always; it says what to do instead.

    Example:
        >>> staghorn.layers.TFSMLayer("exported_model")
        Traceback (most recent call last):
        NotImplementedError: TFSMLayer is left out on purpose: ...
    """

    def __init__(
        self,
        filepath: Any,
        call_endpoint: str = "serve",
        call_training_endpoint: str | None = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        del call_endpoint, call_training_endpoint, trainable, name, dtype
        raise NotImplementedError(_TFSM.format(filepath=str(filepath)))


class TorchModuleWrapper(Layer):
    """Left out on purpose: a PyTorch module as a layer.

    inputs → what the module makes of them

    Args:
        module, name, output_shape, **kwargs: as in Keras.

    Raises:
        NotImplementedError: always; it says what to do instead.

    Example:
        >>> staghorn.layers.TorchModuleWrapper(None)
        Traceback (most recent call last):
        NotImplementedError: TorchModuleWrapper is left out on purpose: ...
    """

    def __init__(
        self, module: Any, name: str | None = None, output_shape: Any = None, **kwargs: Any
    ) -> None:
        del module, name, output_shape, kwargs
        raise NotImplementedError(_TORCH)
