"""The programs as plain PyTorch loops: the same models, data, batches, order and validation.

Rows are taken by a permutation drawn each epoch (a `DataLoader` is slower), sums of losses stay
tensors until the epoch ends. Initial weights are Keras's kinds.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import data


def keras_like(model):
    """Give a model the initial values that Keras's layers have."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.uniform_(module.weight, -0.05, 0.05)
        elif isinstance(module, nn.LSTM | nn.GRU):
            for name, weight in module.named_parameters():
                kind = nn.init.zeros_ if "bias" in name else nn.init.xavier_uniform_
                (nn.init.orthogonal_ if "weight_hh" in name else kind)(weight)
            if isinstance(module, nn.LSTM):
                for name, bias in module.named_parameters():
                    if "bias_ih" in name:  # gates i, f, g, o: the forget gate starts open
                        bias.data[module.hidden_size : 2 * module.hidden_size] = 1.0
    return model


def dense(*widths):
    """Linear layers with ReLU between them."""
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def trainer(seed, make, arrays, batch_size, loss, count_right=False):
    """Return (fit, model): `loss(model(x), y)` by Adam, loss and accuracy of each epoch."""
    torch.manual_seed(seed)
    model = keras_like(make())
    x, y = (torch.from_numpy(a) for a in arrays)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
    history = []

    def fit(epochs, after_epoch=lambda: None):
        for _ in range(epochs):
            model.train()
            total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
            for rows in torch.randperm(len(x)).split(batch_size):
                xs, ys = x[rows], y[rows]
                optimizer.zero_grad()
                out = model(xs)
                error = loss(out, ys)
                error.backward()
                optimizer.step()
                total += error.detach() * len(rows)
                if count_right:
                    right += (out.argmax(1) == ys).sum()
            history.append((float(total) / len(x), float(right) / len(x), after_epoch()))

    return fit, model


def in_batches(model, x, size=32):
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(part) for part in torch.from_numpy(x).split(size)])


def power_plant(seed):
    class TwoHeads(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk = nn.Sequential(dense(3, 64, 64), nn.ReLU())
            self.power, self.vacuum = nn.Linear(64, 1), dense(64, 32, 1)

        def forward(self, x):
            trunk = self.trunk(x)
            return torch.cat([self.power(trunk), self.vacuum(trunk)], 1)

    def loss(out, y):
        return F.mse_loss(out[:, 0], y[:, 0]) + F.mse_loss(out[:, 1], y[:, 1])

    x, y, x_test, y_test = data.power_plant()
    fit, model = trainer(seed, TwoHeads, (x, y), 128, loss)
    wanted = torch.from_numpy(y_test)

    def validate():
        return float(((in_batches(model, x_test, 128) - wanted) ** 2).mean(0).sum())

    def quality():
        out = in_batches(model, x_test).numpy()
        return {f"R2 {k}": data.r2(y_test[:, i], out[:, i]) for i, k in enumerate(("PE", "V"))}

    return lambda epochs: fit(epochs, validate), quality


def _classifier(seed, make, batch_size, rows=20000):
    x, y, x_test, y_test = data.mnist(rows)
    y = y.astype("int64")
    fit, model = trainer(seed, make, (x, y), batch_size, F.cross_entropy, count_right=True)

    def quality():
        out = in_batches(model, x_test).argmax(1).numpy()
        return {"accuracy": float((out == y_test).mean())}

    return fit, quality


def mnist_mlp(seed):
    return _classifier(seed, lambda: nn.Sequential(nn.Flatten(), dense(784, 256, 128, 10)), 32)


def mnist_wide(seed):
    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Sequential(dense(784, 2**14, 784), nn.ReLU())
            self.classify = nn.Linear(2 * 784, 10)

        def forward(self, image):
            x = self.hidden(image.flatten(1)).view(-1, 28, 28)
            return self.classify(torch.cat([image, x], 2).flatten(1))

    return _classifier(seed, Wide, 128, 2560)


def mnist_subclassed(seed):
    def make():
        norm = nn.BatchNorm1d(256, eps=1e-3, momentum=0.01)
        first = (nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), norm, nn.Dropout(0.3))
        return nn.Sequential(*first, dense(256, 128, 10))

    return _classifier(seed, make, 64)


def mnist_cnn(seed):
    def make():
        return nn.Sequential(
            nn.Unflatten(1, (1, 28)),
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(1600, 10),
        )

    return _classifier(seed, make, 128)


def _trained_on(seed, make, x, y, batch_size, loss):
    fit, model = trainer(seed, make, (x, y), batch_size, loss)

    def quality():
        both = (torch.from_numpy(a).split(batch_size) for a in (x, y))
        parts = zip(*both, strict=True)
        model.eval()
        with torch.inference_mode():
            total = sum(float(loss(model(a), b)) * len(a) for a, b in parts)
        return {"loss": total / len(x)}

    return fit, quality


def residual_cnn(seed):
    def conv(a, b, size, strides=1):
        return nn.Conv2d(a, b, size, strides, padding=size // 2, bias=False)

    def norm(width):
        return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)

    class Block(nn.Module):
        def __init__(self, a, b, strides):
            super().__init__()
            inner = (conv(a, b, 3, strides), norm(b), nn.ReLU(), conv(b, b, 3), norm(b))
            self.inner = nn.Sequential(*inner)
            self.skip = nn.Identity() if (a, strides) == (b, 1) else conv(a, b, 1, strides)

        def forward(self, x):
            return F.relu(self.inner(x) + self.skip(x))

    def make():
        first = (nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
        blocks = (Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
        last = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
        return nn.Sequential(*first, *blocks, *last)

    x, y = data.pictures()
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))  # (n, 3, 32, 32), as PyTorch has them
    return _trained_on(seed, make, x, y.astype("int64"), 64, F.cross_entropy)


def autoencoder(seed):
    def make():
        return nn.Sequential(
            nn.Unflatten(1, (1, 28)),
            *(nn.Conv2d(1, 16, 3, 2, padding=1), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, 2, padding=1), nn.ReLU()),
            *(nn.ConvTranspose2d(32, 32, 3, 2, padding=1, output_padding=1), nn.ReLU()),
            *(nn.ConvTranspose2d(32, 16, 3, 2, padding=1, output_padding=1), nn.ReLU()),
            *(nn.Conv2d(16, 1, 3, padding=1), nn.Sigmoid()),
            nn.Flatten(1, 2),
        )

    x = data.mnist(2560)[0]
    return _trained_on(seed, make, x, x, 128, F.mse_loss)


def separable_cnn(seed):
    def block(a, b, strides):
        deep = nn.Conv2d(a, a, 3, strides, padding=1, groups=a, bias=False)
        first = (deep, nn.BatchNorm2d(a, eps=1e-3, momentum=0.01), nn.ReLU())
        wide = nn.Conv2d(a, b, 1, bias=False)
        return nn.Sequential(*first, wide, nn.BatchNorm2d(b, eps=1e-3, momentum=0.01), nn.ReLU())

    def make():
        first = (nn.Conv2d(3, 32, 3, padding=1), nn.ReLU())
        blocks = (block(32, 64, 1), block(64, 128, 2), block(128, 128, 1), block(128, 256, 2))
        last = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))
        return nn.Sequential(*first, *blocks, *last)

    x, y = data.pictures(1600)
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return _trained_on(seed, make, x, y.astype("int64"), 64, F.cross_entropy)


def _recurrent(seed, make):
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.read = nn.Embedding(5000, 64), make()
            self.decide = nn.Linear(128 if self.read.bidirectional else 64, 1)

        def forward(self, words):
            state = self.read(self.embed(words))[1]
            state = state[0] if isinstance(state, tuple) else state  # (directions, batch, 64)
            return self.decide(torch.cat(list(state), 1))

    x, y = data.sequences()
    return _trained_on(seed, Reader, x, y, 32, F.binary_cross_entropy_with_logits)


def lstm(seed):
    return _recurrent(seed, lambda: nn.LSTM(64, 64, batch_first=True))


def gru(seed):
    return _recurrent(seed, lambda: nn.GRU(64, 64, batch_first=True))


def bidirectional(seed):
    return _recurrent(seed, lambda: nn.LSTM(64, 64, batch_first=True, bidirectional=True))


def transformer(seed):
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(5000, 128)
            self.heads = nn.MultiheadAttention(128, 4, batch_first=True)
            self.norm1, self.norm2 = nn.LayerNorm(128, eps=1e-3), nn.LayerNorm(128, eps=1e-3)
            self.feed, self.decide = dense(128, 256, 128), nn.Linear(128, 1)

        def forward(self, words):
            x = self.embed(words)  # (batch, 128, 128)
            x = self.norm1(x + self.heads(x, x, x, need_weights=False)[0])
            return self.decide(self.norm2(x + self.feed(x)).mean(1))

    x, y = data.sequences(1600, 128, 128)
    return _trained_on(seed, Encoder, x, y, 32, F.binary_cross_entropy_with_logits)


def call_row(seed):
    torch.manual_seed(seed)
    model, row = keras_like(dense(8, 64, 64, 1)).eval(), data.rows()[0][:1]

    def calls(count):
        for _ in range(count):
            with torch.inference_mode():
                result = model(torch.from_numpy(row)).numpy()
        return result

    return calls, lambda: {"answer": calls(1).shape == (1, 1)}


predict_row = call_row


def deep(seed):
    widths = (8, *[32] * 199, 1)
    return _trained_on(seed, lambda: dense(*widths), *data.rows(64), 64, F.mse_loss)


def first_fit(seed):
    return _trained_on(seed, lambda: dense(8, 64, 64, 1), *data.rows(), 32, F.mse_loss)
