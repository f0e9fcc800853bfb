"""How to quantize: the mode and the quantizers of weights and activations."""

from typing import Any

from staghorn.dtype_policies import check_mode
from staghorn.engine.serialization import Configurable
from staghorn.quantizers.abs_max import AbsMaxQuantizer


class QuantizationConfig(Configurable):
    """Base of the objects that say how to quantize.

    Args:
        weight_quantizer: for weights, with its axes. Default: None, the layer's own choice.
        activation_quantizer: for inputs. Default: None, which leaves them as they are.

    Example:
        >>> staghorn.quantizers.QuantizationConfig().activation_quantizer is None
        True
    """

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = None) -> None:
        self.weight_quantizer = weight_quantizer
        self.activation_quantizer = activation_quantizer

    @property
    def mode(self) -> str:
        """The kind of numbers, such as "int8"."""
        raise NotImplementedError(
            f"{type(self).__name__} has no mode. Use Int8QuantizationConfig, or write a subclass "
            "with a property `mode`."
        )


class Int8QuantizationConfig(QuantizationConfig):
    """Weights, and inputs at each call, as whole numbers of 8 bits.

    Args:
        weight_quantizer: for weights, with its axes. Default: None: largest absolute values, a
            scale for each output.
        activation_quantizer: for inputs. Default: "default", largest absolute values of each row;
            None leaves inputs as they are.

    Raises:
        ValueError: for a `weight_quantizer` of another type than int8.

    Example:
        >>> layer = staghorn.layers.Dense(2)
        >>> layer.build((None, 3))
        >>> layer.quantize(config=staghorn.quantizers.Int8QuantizationConfig(None, None))
        >>> layer.kernel.dtype
        'int8'
    """

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = "default") -> None:
        default = isinstance(activation_quantizer, str) and activation_quantizer == "default"
        super().__init__(weight_quantizer, AbsMaxQuantizer() if default else activation_quantizer)
        found = getattr(weight_quantizer, "output_dtype", "int8")
        if found != "int8":
            raise ValueError(
                f"Int8QuantizationConfig: weight_quantizer must have output_dtype='int8', "
                f"got {found!r}."
            )

    @property
    def mode(self) -> str:
        return "int8"


class _Unsupported(QuantizationConfig):
    """A config that Keras has for a mode that is not here: making one says so."""

    _mode = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        check_mode(self._mode, type(self).__name__)


class Int4QuantizationConfig(_Unsupported):
    """Raises NotImplementedError: weights of 4 bits are not supported.

    Example:
        >>> staghorn.quantizers.Int4QuantizationConfig()
        Traceback (most recent call last):
        ...
        NotImplementedError: Int4QuantizationConfig: quantization to 'int4' is not supported. ...
    """

    _mode = "int4"


class Float8QuantizationConfig(_Unsupported):
    """Raises NotImplementedError: training in floats of 8 bits is not supported."""

    _mode = "float8"


class GPTQConfig(_Unsupported):
    """Raises NotImplementedError: GPTQ is not supported.

    Reference: Frantar et al., 2022, https://arxiv.org/abs/2210.17323
    """

    _mode = "gptq"


class AWQConfig(_Unsupported):
    """Raises NotImplementedError: AWQ is not supported.

    Reference: Lin et al., 2023, https://arxiv.org/abs/2306.00978
    """

    _mode = "awq"


def resolve(mode: Any, config: Any, where: str) -> QuantizationConfig:
    """Return the config that `quantize(mode, config=config)` means.

    Args:
        mode: "int8", or None where `config` says it.
        config: a config, or None for the usual one.
        where: how errors name the caller.

    Raises:
        ValueError: if neither is given, they contradict each other, the mode is unknown, or the
            config is of another kind.
        NotImplementedError: for the modes that Keras has and Staghorn does not.

    Example:
        >>> from staghorn.quantizers.configs import resolve
        >>> resolve("int8", None, "here").mode
        'int8'
    """
    if isinstance(config, str):
        mode, config = config, None
    if mode is not None:
        check_mode(mode, where)
    if config is None:
        if mode is None:
            raise ValueError(f'{where}: give a mode, quantize("int8"), or a config.')
        return Int8QuantizationConfig()
    if not isinstance(config, QuantizationConfig):
        raise ValueError(
            f"{where}: config must be an Int8QuantizationConfig, got {config!r} "
            f"({type(config).__name__})."
        )
    if mode is not None and config.mode != mode:
        raise ValueError(f"{where}: the mode is {mode!r} and the config's {config.mode!r}.")
    check_mode(config.mode, where)
    return config
