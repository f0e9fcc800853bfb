"""The rows of the spectrogram layers."""

from tests.layers.case import Case

FIRST = {"data_format": "channels_first"}
SHORT = {"frame_length": 12, "frame_step": 5, "fft_length": 16}
MEL = {"fft_length": 16, "sequence_stride": 6, "sampling_rate": 800, "num_mel_bins": 5}


def stft(kwargs, shape=(2, 40, 1), **more):
    # Keras refuses bfloat16, so that there is nothing to compare it with.
    return Case("STFTSpectrogram", {**SHORT, **kwargs}, shape, mixed=False, **more)


CASES = [
    stft({"mode": "log"}, unknown=(None, None, 1)),
    stft({"mode": "magnitude", "padding": "same"}, (2, 41, 2)),
    stft({"mode": "psd", "expand_dims": True}, (2, 40, 2)),
    stft({"mode": "psd", **FIRST}, (2, 2, 40), slow=True),
    stft({"mode": "real", "scaling": None, "frame_step": None, "fft_length": None}),
    stft({"mode": "imag", "window": "hamming"}, (2, 40, 2), slow=True),
    stft(
        {"mode": "stft", "expand_dims": True, "scaling": "spectrum", **FIRST},
        (2, 3, 40),
        unknown=(None, 3, None),
    ),
    stft({"mode": "angle", "periodic": True}),
    Case("MelSpectrogram", MEL, (2, 50), unknown=(None, None)),
    Case("MelSpectrogram", {**MEL, "power_to_db": False, "window": "hamming"}, (2, 50)),
    Case(
        "MelSpectrogram",
        {**MEL, "sequence_length": 10, "mag_exp": 1.0, "top_db": 30.0, "ref_power": 0.1},
        (2, 50),
        slow=True,
    ),
    Case(
        "MelSpectrogram",
        {**MEL, "min_freq": 50.0, "max_freq": 300.0, "min_power": 0.1, "window": None},
        (2, 50),
        slow=True,
    ),
]
