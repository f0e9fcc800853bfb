"""Two networks, two optimizers, one overridden `train_step`: a GAN that draws digits."""

import numpy as np
from sklearn.datasets import load_digits

import staghorn
from staghorn import layers
from support import epochs, output_file

NOISE = 32


class GAN(staghorn.Model):
    def __init__(self):
        super().__init__()
        self.generator = staghorn.Sequential(
            [
                staghorn.Input((NOISE,)),
                layers.Dense(128, activation="relu"),
                layers.Dense(64, activation="sigmoid"),
            ]
        )
        self.discriminator = staghorn.Sequential(
            [
                staghorn.Input((64,)),
                layers.Dense(128),
                layers.LeakyReLU(negative_slope=0.2),
                layers.Dropout(0.3),
                layers.Dense(1),
            ]
        )
        self.seed_generator = staghorn.random.SeedGenerator(0)
        self.d_loss = staghorn.metrics.Mean(name="d_loss")
        self.g_loss = staghorn.metrics.Mean(name="g_loss")

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = staghorn.losses.BinaryCrossentropy(from_logits=True)
        d_optimizer.build(self.discriminator.trainable_variables)
        g_optimizer.build(self.generator.trainable_variables)

    @property
    def metrics(self):
        return [self.d_loss, self.g_loss]

    def draw(self, count):
        noise = staghorn.random.normal((count, NOISE), seed=self.seed_generator)
        return self.generator(noise, training=True)

    def judge_loss(self, real):
        answers = self.discriminator(
            staghorn.ops.concatenate([real, self.draw(real.shape[0])]), training=True
        )
        count = (real.shape[0], 1)
        truth = staghorn.ops.concatenate([staghorn.ops.ones(count), staghorn.ops.zeros(count)])
        return self.loss_fn(truth, answers)

    def draw_loss(self, count):
        answers = self.discriminator(self.draw(count), training=True)
        return self.loss_fn(staghorn.ops.ones((count, 1)), answers)

    def train_step(self, data):
        variables = self.discriminator.trainable_variables
        d_loss, grads = staghorn.value_and_grad(self.judge_loss, variables)(data)
        self.d_optimizer.apply(grads, variables)

        variables = self.generator.trainable_variables
        g_loss, grads = staghorn.value_and_grad(self.draw_loss, variables)(data.shape[0])
        self.g_optimizer.apply(grads, variables)

        self.d_loss.update_state(d_loss)
        self.g_loss.update_state(g_loss)
        return {metric.name: metric.result() for metric in self.metrics}


def main(number_of_epochs):
    images = (load_digits().data / 16).astype("float32")
    staghorn.utils.set_random_seed(0)
    gan = GAN()
    gan.compile(
        d_optimizer=staghorn.optimizers.Adam(3e-4, beta_1=0.5),
        g_optimizer=staghorn.optimizers.Adam(3e-4, beta_1=0.5),
    )
    history = gan.fit(images, epochs=number_of_epochs, batch_size=64, verbose=0)
    print({name: round(float(values[-1]), 3) for name, values in history.history.items()})

    noise = np.random.default_rng(0).normal(size=(24, NOISE)).astype("float32")
    drawn = gan.generator.predict(noise, verbose=0)
    sheet = drawn.reshape(3, 8, 8, 8).transpose(0, 2, 1, 3).reshape(24, 64)  # rows of 8 images
    import matplotlib.pyplot as plt

    picture = output_file("gan_digits.png")
    plt.imsave(picture, sheet, cmap="gray_r")
    gap = np.abs(drawn.mean(axis=0) - images.mean(axis=0)).mean()
    print(f"mean image, drawn against real: {gap:.3f} apart; {picture}")


if __name__ == "__main__":
    main(epochs(__doc__, default=300))
