"""STFTSpectrogram: short-time Fourier transforms as a convolution, whose kernels can be trained."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from staghorn import config, initializers
from staghorn.engine.arguments import Is, Options, Positive
from staghorn.engine.dtypes import is_float
from staghorn.layers.grid import chosen_format
from staghorn.layers.input_spec import InputSpec
from staghorn.layers.layer import Layer
from staghorn.ops.convolution import conv
from staghorn.ops.pooling import DATA_FORMATS

_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


class STFTSpectrogram(Layer):
    """Spectrogram of signals: how strong each frequency is in each window.

    (batch, time, channels) → (batch, windows, channels * (fft_length // 2 + 1))
    windows = (time - frame_length) // frame_step + 1, or ceil(time / frame_step) for "same"
    real_kernel, imag_kernel: (frame_length, 1, fft_length // 2 + 1), see `initializers.STFT`

    Args:
        mode: "real", "imag", "stft" (both, one behind the other), "angle", "magnitude", "log" of
            the magnitude, or "psd", the power spectral density. Default: "log".
        frame_length: samples of a window. Default: 256.
        frame_step: samples from one window to the next. Default: None, half a window.
        fft_length: points of the transform, at least `frame_length`.
            Default: None, the next power of two.
        window: name of a window in `scipy.signal.windows`, its values, or None. Default: "hann".
        periodic: whether the window is periodic. Default: False.
        scaling: "density", "spectrum" or None, see `initializers.STFT`. Default: "density".
        padding: "valid", or "same" for zeros around the signal. Default: "valid".
        expand_dims: give frequencies an axis of their own, (batch, windows, frequencies,
            channels), as image layers want it. Default: False.
        data_format: "channels_last", or "channels_first" for (batch, channels, time).
            Default: `config.image_data_format()`.
        **kwargs: `trainable`, `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: if `frame_step` is longer, or `fft_length` shorter than a window.
        TypeError: for signals of whole numbers.

    Example:
        >>> layer = staghorn.layers.STFTSpectrogram(frame_length=256, trainable=False)
        >>> layer(np.ones((2, 4000, 1), "float32")).shape
        (2, 30, 129)

    Notes: any `fft_length` is as fast as a power of two, since a convolution computes it; Keras
    warns of others. bfloat16 signals are accepted too.
    """

    arguments = {
        "mode": Options(*_MODES),
        "frame_length": Positive(int),
        "frame_step": Positive(int, optional=True),
        "fft_length": Positive(int, optional=True),
        "periodic": Is(bool),
        "scaling": Options("density", "spectrum", optional=True),
        "padding": Options("valid", "same"),
        "expand_dims": Is(bool),
        "data_format": DATA_FORMATS,
    }

    def __init__(
        self, mode: str = "log", frame_length: int = 256, frame_step: int | None = None,
        fft_length: int | None = None, window: Any = "hann", periodic: bool = False,
        scaling: str | None = "density", padding: str = "valid", expand_dims: bool = False,
        data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        for name, value, wrong in (
            ("frame_step", frame_step, "longer"),
            ("fft_length", fft_length, "shorter"),
        ):
            if value and (value > frame_length if wrong == "longer" else value < frame_length):
                raise ValueError(
                    f"STFTSpectrogram: {name} must not be {wrong} than frame_length, "
                    f"got {value} and {frame_length}."
                )
        named = window is None or isinstance(window, str)
        if not named and np.shape(window) != (frame_length,):
            raise ValueError(
                f"STFTSpectrogram: window must be a name, {frame_length} numbers (frame_length) or "
                f"None, got {window!r} ({type(window).__name__})."
            )
        super().__init__(**kwargs)
        self.mode = mode
        self.frame_length = frame_length
        self.frame_step = frame_step
        self.fft_length = fft_length
        self.window = window
        self.periodic = periodic
        self.scaling = scaling
        self.padding = padding
        self.expand_dims = expand_dims
        self.data_format = chosen_format(data_format)
        self.input_spec = InputSpec(ndim=3)
        initializers.STFT("real", window, None, periodic)  # a wrong window is an error here and now

    @property
    def _step(self) -> int:
        return self.frame_step or self.frame_length // 2

    @property
    def _bands(self) -> int:
        points = self.fft_length or 1 << (self.frame_length - 1).bit_length()
        return points // 2 + 1

    @property
    def _parts(self) -> list[str]:
        return [part for part in ("real", "imag") if self.mode not in {"real", "imag"} - {part}]

    def build(self, input_shape: Any) -> None:
        for part in self._parts:
            kernel = self.add_weight(
                (self.frame_length, 1, self._bands),
                initializers.STFT(part, self.window, self.scaling, self.periodic),
                name=f"{part}_kernel",
            )
            setattr(self, f"{part}_kernel", kernel)

    def call(self, inputs: Any) -> Any:
        if not is_float(inputs.dtype):
            raise TypeError(
                f"STFTSpectrogram '{self.name}': signals must be floats, got {inputs.dtype}. "
                "Write signals.astype('float32') / 32768 for 16-bit samples."
            )
        x = inputs if self.data_format == "channels_first" else jnp.swapaxes(inputs, 1, 2)
        batch, channels, time = x.shape
        kernels = [getattr(self, f"{part}_kernel").value for part in self._parts]
        kernel = jnp.concatenate([k.astype(x.dtype) for k in kernels], axis=-1)
        x = jnp.reshape(x, (batch * channels, time, 1))
        x = conv(x, kernel, self._step, self.padding, "channels_last")
        x = self._seen(jnp.reshape(x, (batch, channels, *x.shape[1:])))  # (b, c, windows, bands)
        if self.expand_dims:
            return x if self.data_format == "channels_first" else jnp.transpose(x, (0, 2, 3, 1))
        if self.data_format == "channels_first":
            x = jnp.swapaxes(x, 2, 3)
            return jnp.reshape(x, (batch, channels * x.shape[2], x.shape[3]))
        x = jnp.swapaxes(x, 1, 2)
        return jnp.reshape(x, (batch, x.shape[1], channels * x.shape[3]))

    def _seen(self, x: Any) -> Any:
        """Turn the real and imaginary parts into what `mode` asks for."""
        if self.mode in ("real", "imag", "stft"):
            return x
        real, imag = jnp.split(x, 2, axis=-1)
        if self.mode == "angle":
            return jnp.arctan2(imag, real)
        power = jnp.square(real) + jnp.square(imag)
        if self.mode == "psd":  # all bands but the first and last stand for two frequencies
            return power.at[..., 1:-1].multiply(2)
        magnitude = jnp.sqrt(jnp.maximum(power, config.epsilon()))
        if self.mode == "magnitude":
            return magnitude
        return jnp.log(jnp.maximum(magnitude, config.epsilon()))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        batch, *rest = input_shape
        channels, time = rest if self.data_format == "channels_first" else rest[::-1]
        bands = self._bands * (2 if self.mode == "stft" else 1)
        windows = None
        if time is not None:
            start = self.frame_length if self.padding == "valid" else 1
            windows = (time - start) // self._step + 1
        if self.data_format == "channels_first":
            shape = (batch, channels, windows, bands)
            return shape if self.expand_dims else (batch, channels * bands, windows)
        shape = (batch, windows, bands, channels)
        return shape if self.expand_dims else (batch, windows, channels * bands)
