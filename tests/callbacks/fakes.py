"""A stand-in for a model: weights that count the epochs, and a learning rate."""

from types import SimpleNamespace

import numpy as np


class FakeModel:
    """Weights are one array whose value is the number of training epochs so far."""

    def __init__(self, rate=0.1):
        self.weights = np.zeros(2, np.float32)
        self.stop_training = False
        self.optimizer = SimpleNamespace(learning_rate=np.float32(rate))
        self.saved = []

    def train(self):
        self.weights += 1  # in place, as a donated buffer that is used again

    def get_weights(self):
        return [self.weights.copy()]

    def set_weights(self, weights):
        self.weights = weights[0].copy()

    def save(self, path, overwrite=True):
        with open(path, "w") as file:
            file.write(f"model {self.weights[0]:g}")
        self.saved.append(path)

    def save_weights(self, path, overwrite=True):
        self.save(path, overwrite)


def drive(callbacks, epochs, model=None, start=0):
    """Feed the logs of each epoch to the callbacks in the order of `fit`; the model comes back."""
    model = model or FakeModel()
    for callback in callbacks:
        callback.set_model(model)
    for callback in callbacks:
        callback.on_train_begin({})
    for epoch, logs in enumerate(epochs, start):
        for callback in callbacks:
            callback.on_epoch_begin(epoch, {})
        model.train()
        shared = dict(logs)
        for callback in callbacks:
            callback.on_epoch_end(epoch, shared)
        if model.stop_training:
            break
    for callback in callbacks:
        callback.on_train_end({})
    return model
