"""A WGAN-GP: its critic's loss holds a derivative by the inputs, which is differentiated again."""

import jax
import numpy as np

import staghorn
from staghorn import layers, ops
from support import epochs

NOISE, RINGS = 8, 8
CRITIC_STEPS = 3
PENALTY = 0.3


class WGAN(staghorn.Model):
    """Two optimizers: `compile` gets the critic's, the generator's is an attribute."""

    def __init__(self):
        super().__init__()
        self.critic, self.generator = network(2, 1), network(NOISE, 2)
        self.noise = staghorn.random.SeedGenerator(0)
        self.g_optimizer = staghorn.optimizers.Adam(1e-3, beta_1=0.5, beta_2=0.9)

    def draw(self, count):
        noise = staghorn.random.normal((count, NOISE), seed=self.noise)
        return self.generator(noise)

    def critic_loss(self, real, fake, between):
        slopes = jax.grad(lambda points: ops.sum(self.critic(points)))(between)
        penalty = ops.mean((ops.norm(slopes, axis=-1) - 1) ** 2)
        return ops.mean(self.critic(fake)) - ops.mean(self.critic(real)) + PENALTY * penalty

    def generator_loss(self, count):
        return -ops.mean(self.critic(self.draw(count)))

    def train_step(self, data):
        for _ in range(CRITIC_STEPS):
            fake = self.draw(len(data))
            share = staghorn.random.uniform((len(data), 1), seed=self.noise)
            between = share * data + (1 - share) * fake
            weights = self.critic.trainable_variables
            c_loss, grads = staghorn.value_and_grad(self.critic_loss, weights)(data, fake, between)
            self.optimizer.apply(grads, weights)

        weights = self.generator.trainable_variables
        g_loss, grads = staghorn.value_and_grad(self.generator_loss, weights)(len(data))
        self.g_optimizer.apply(grads, weights)
        return {"critic": c_loss, "generator": g_loss}


def network(width, outputs):
    hidden = [layers.Dense(64, activation="leaky_relu") for _ in range(2)]
    return staghorn.Sequential([staghorn.Input((width,)), *hidden, layers.Dense(outputs)])


def points(count):
    """Eight small clouds on a circle."""
    rng = np.random.default_rng(0)
    angle = rng.integers(0, RINGS, count) * (2 * np.pi / RINGS)
    centre = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return (centre + rng.normal(0, 0.05, (count, 2))).astype("float32")


def main(number_of_epochs):
    staghorn.utils.set_random_seed(0)
    real = points(4096)
    gan = WGAN()
    gan.compile(staghorn.optimizers.Adam(1e-3, beta_1=0.5, beta_2=0.9))
    history = gan.fit(real, batch_size=128, epochs=number_of_epochs, verbose=0).history
    noise = np.random.default_rng(1).normal(size=(2000, NOISE)).astype("float32")
    drawn = gan.generator.predict(noise, verbose=0)
    angle = np.arctan2(drawn[:, 1], drawn[:, 0])
    near = np.unique(np.round(angle / (2 * np.pi / RINGS)).astype(int) % RINGS)
    radius = np.linalg.norm(drawn, axis=-1)
    print(f"critic {history['critic'][-1]:.3f}, generator {history['generator'][-1]:.3f}")
    print(f"drawn: {len(near)} of {RINGS} clouds, radius {radius.mean():.2f} ± {radius.std():.2f}")


if __name__ == "__main__":
    main(epochs(__doc__, default=60))
