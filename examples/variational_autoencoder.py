"""A variational autoencoder: a layer that draws at random and adds a loss of its own."""

import numpy as np
from sklearn.datasets import load_digits

import staghorn
from staghorn import layers
from support import epochs, output_file


class Sampling(layers.Layer):
    """(mean, log variance) -> a draw from that normal distribution; adds its KL divergence.

    KL(N(m, v) || N(0, 1)) = (m² + v - log v - 1) / 2, summed over the places of the code.
    """

    def __init__(self, weight=1.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        self.seed = seed
        self.seed_generator = staghorn.random.SeedGenerator(seed)

    def call(self, mean, log_variance):
        ops = staghorn.ops
        divergence = (mean**2 + ops.exp(log_variance) - log_variance - 1.0) / 2
        self.add_loss(self.weight * ops.mean(ops.sum(divergence, axis=-1)))
        noise = staghorn.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(log_variance / 2) * noise

    def compute_output_shape(self, mean_shape, log_variance_shape):
        return mean_shape


def decoder_model(pixels=64, hidden=64, places=2):
    return staghorn.Sequential(
        [
            staghorn.Input((places,)),
            layers.Dense(hidden, activation="relu"),
            layers.Dense(pixels, activation="sigmoid"),
        ],
        name="decoder",
    )


def variational_autoencoder_model(pixels=64, hidden=64, places=2, seed=0):
    inputs = staghorn.Input((pixels,))
    x = layers.Dense(hidden, activation="relu")(inputs)
    mean = layers.Dense(places, name="mean")(x)
    log_variance = layers.Dense(places, name="log_variance")(x)
    # The mean error of a pixel is small beside the sum over the code, so the sum counts less.
    code = Sampling(weight=1 / pixels, seed=seed, name="code")(mean, log_variance)
    return staghorn.Model(inputs, decoder_model(pixels, hidden, places)(code))


def main(number_of_epochs):
    images = (load_digits().data / 16).astype("float32")
    staghorn.utils.set_random_seed(0)
    model = variational_autoencoder_model()
    model.compile(staghorn.optimizers.Adam(3e-3), "binary_crossentropy")
    history = model.fit(images, images, epochs=number_of_epochs, batch_size=64, verbose=0)
    drawn_again = model.predict(images, verbose=0)
    error = np.square(drawn_again - images).mean()
    usual = images.var(axis=0).mean()
    print(f"loss {history.history['loss'][0]:.3f} -> {history.history['loss'][-1]:.3f}")
    print(f"squared error from two numbers per image {error:.4f} (mean image: {usual:.4f})")

    import matplotlib.pyplot as plt

    steps = np.linspace(-2, 2, 8, dtype="float32")
    codes = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(64, 2)
    drawn = model.get_layer("decoder").predict(codes, verbose=0)
    sheet = drawn.reshape(8, 8, 8, 8).transpose(0, 2, 1, 3).reshape(64, 64)  # rows of 8 images
    picture = output_file("digits_by_code.png")
    plt.imsave(picture, sheet, cmap="gray_r")
    print(f"what lies between the digits: {picture}")


if __name__ == "__main__":
    main(epochs(__doc__, default=60))
