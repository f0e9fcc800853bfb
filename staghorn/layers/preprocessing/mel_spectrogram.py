"""MelSpectrogram: the strength of frequencies as the ear tells them apart."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from staghorn.engine.arguments import Is, Positive
from staghorn.layers.layer import Layer
from staghorn.ops.math import stft


def _mels(hertz: Any) -> Any:
    return 1127.0 * np.log(1.0 + np.float32(hertz) / np.float32(700.0))


class MelSpectrogram(Layer):
    """Spectrogram of signals on the mel scale, in decibels.

    (batch, time) or (time,) → (batch, num_mel_bins, 1 + time // sequence_stride)
    10 log10(max(|STFT|^mag_exp @ triangles, min_power) / ref_power), cut at its maximum - top_db

    Args:
        fft_length: points of the Fourier transform. Default: 2048.
        sequence_stride: samples from one window to the next. Default: 512.
        sequence_length: samples of a window. Default: None, `fft_length`.
        window: "hann", "hamming", the values of a window, or None. Default: "hann".
        sampling_rate: samples per second. Default: 16000.
        num_mel_bins: number of bands. Default: 128.
        min_freq: lowest frequency in hertz. Default: 20.0.
        max_freq: highest frequency in hertz. Default: None, half of `sampling_rate`.
        power_to_db: whether to return decibels. Default: True.
        top_db: how far below the maximum of all signals decibels may go. Default: 80.0.
        mag_exp: power of the magnitudes, 1 for amplitude and 2 for energy. Default: 2.0.
        min_power: the least power, so that logarithms stay finite. Default: 1e-10.
        ref_power: the power of 0 decibels. Default: 1.0.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: if a window is longer than the transform.

    Example:
        >>> layer = staghorn.layers.MelSpectrogram(num_mel_bins=64, sampling_rate=8000)
        >>> layer(np.ones((2, 16000), "float32")).shape
        (2, 64, 32)

    Notes: the symbolic shape is that of the result; Keras's is one longer where
    time + 1 is a multiple of `sequence_stride`.

    Reference: https://en.wikipedia.org/wiki/Mel_scale
    """

    arguments = {
        "fft_length": Positive(int),
        "sequence_stride": Positive(int),
        "sequence_length": Positive(int),
        "sampling_rate": Positive(float),
        "num_mel_bins": Positive(int),
        "power_to_db": Is(bool),
    }

    def __init__(
        self, fft_length: int = 2048, sequence_stride: int = 512,
        sequence_length: int | None = None, window: Any = "hann", sampling_rate: float = 16000,
        num_mel_bins: int = 128, min_freq: float = 20.0, max_freq: float | None = None,
        power_to_db: bool = True, top_db: float = 80.0, mag_exp: float = 2.0,
        min_power: float = 1e-10, ref_power: float = 1.0, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.fft_length = fft_length
        self.sequence_stride = sequence_stride
        self.sequence_length = sequence_length or fft_length
        if self.fft_length < self.sequence_length:
            raise ValueError(
                "MelSpectrogram: sequence_length must not be longer than fft_length, "
                f"got {sequence_length} and {fft_length}."
            )
        self.window = window
        self.sampling_rate = sampling_rate
        self.num_mel_bins = num_mel_bins
        self.min_freq = min_freq
        self.max_freq = max_freq or int(sampling_rate / 2)
        self.power_to_db = power_to_db
        self.top_db = top_db
        self.mag_exp = mag_exp
        self.min_power = min_power
        self.ref_power = ref_power

    def call(self, inputs: Any) -> Any:
        working = "float64" if self.compute_dtype == "float64" else "float32"
        real, imag = stft(
            inputs.astype(working),
            self.sequence_length,
            self.sequence_stride,
            self.fft_length,
            self.window,
        )
        power = jnp.square(real) + jnp.square(imag)
        # The square root, whose slope at 0 is not finite, only where it is asked for.
        strength = power if self.mag_exp == 2 else jnp.power(jnp.sqrt(power), self.mag_exp)
        triangles = self.linear_to_mel_weight_matrix(
            self.num_mel_bins,
            self.fft_length // 2 + 1,
            self.sampling_rate,
            self.min_freq,
            self.max_freq,
        )
        bands = jnp.tensordot(strength, triangles.astype(working), axes=1)
        if self.power_to_db:
            reference = 10.0 * np.log10(max(abs(self.ref_power), self.min_power))
            bands = 10.0 * jnp.log10(jnp.maximum(bands, self.min_power)) - reference
            bands = jnp.maximum(bands, jnp.max(bands) - self.top_db)
        return jnp.swapaxes(bands, -1, -2).astype(self.compute_dtype)

    def linear_to_mel_weight_matrix(
        self, num_mel_bins: int = 20, num_spectrogram_bins: int = 129,
        sampling_rate: float = 8000, lower_edge_hertz: float = 125.0,
        upper_edge_hertz: float = 3800.0, dtype: str = "float32",
    ) -> np.ndarray:  # fmt: skip
        """Return triangles of height 1 on the mel scale, each from its neighbour to the next.

        → (num_spectrogram_bins, num_mel_bins); the first row, frequency 0, is zero.

        Args:
            num_mel_bins: number of triangles. Default: 20.
            num_spectrogram_bins: number of frequencies, fft_length // 2 + 1. Default: 129.
            sampling_rate: samples per second. Default: 8000.
            lower_edge_hertz: where the first triangle begins. Default: 125.0.
            upper_edge_hertz: where the last one ends. Default: 3800.0.
            dtype: type of the result. Default: "float32".
        """
        frequencies = np.linspace(0, sampling_rate / 2, num_spectrogram_bins, dtype="float32")
        edges = _mels(lower_edge_hertz), _mels(upper_edge_hertz)
        places = np.linspace(*edges, num_mel_bins + 2, dtype="float32").reshape(1, -1)
        low, centre, high = places[:, :-2], places[:, 1:-1], places[:, 2:]
        mels = _mels(frequencies).reshape(-1, 1)
        rising, falling = (mels - low) / (centre - low), (high - mels) / (high - centre)
        triangles = np.maximum(np.minimum(rising, falling), 0)
        triangles[0] = 0
        return triangles.astype(dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        *lead, time = input_shape
        odd = self.fft_length % 2
        windows = None if time is None else 1 + (time - odd) // self.sequence_stride
        return (*lead, self.num_mel_bins, windows)
