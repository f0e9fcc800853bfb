"""Two LSTMs, one on the other, read thirty days of a made-up price and guess the next."""

import numpy as np

import staghorn
from staghorn import layers
from support import epochs

WINDOW = 30
MOMENTUM = 0.7


def stacked_lstm_model(window=WINDOW, units=(32, 16), dropout=0.0):
    """The first LSTM hands on every day, the second only its last."""
    return staghorn.Sequential(
        [
            staghorn.Input((window, 1)),
            layers.LSTM(units[0], return_sequences=True),
            layers.Dropout(dropout),
            layers.LSTM(units[1]),
            layers.Dense(1),
        ]
    )


def price(days, rng):
    """Draw a random walk whose steps have momentum: real prices are harder."""
    step, steps = 0.0, []
    for shock in rng.normal(size=days):
        step = MOMENTUM * step + shock
        steps.append(step)
    return 100 + np.cumsum(steps)


def windows(series, window=WINDOW):
    """Each window and the day after it, as differences from the window's last day."""
    rows = np.lib.stride_tricks.sliding_window_view(series, window + 1)  # (count, window + 1)
    last = rows[:, -2:-1]
    x = (rows[:, :-1] - last)[..., None] / 10
    return x.astype("float32"), (rows[:, -1:] - last).astype("float32")


def main(number_of_epochs):
    rng = np.random.default_rng(0)
    staghorn.utils.set_random_seed(0)
    series = price(3000, rng)
    x_train, y_train = windows(series[:2400])
    x_test, y_test = windows(series[2400:])

    model = stacked_lstm_model()
    model.compile(staghorn.optimizers.Adam(3e-3), "mse")
    model.fit(x_train, y_train, epochs=number_of_epochs, batch_size=32, verbose=0)
    error = model.evaluate(x_test, y_test, verbose=0)
    usual = np.square(y_test).mean()
    print(f"squared error {error:.2f} ('as today': {usual:.2f}; the shocks themselves: 1.00)")


if __name__ == "__main__":
    main(epochs(__doc__, default=10))
