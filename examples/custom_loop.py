"""Training without `fit`, written twice: as ordinary code, and as pure functions.

First with `staghorn.jit`; then with `stateless_call`, `stateless_apply` and
`stateless_update_state`, where the loop itself holds all values. The numbers are the same.
"""

import jax
import numpy as np
from sklearn.datasets import load_digits

import staghorn
from staghorn import layers
from support import epochs

BATCH = 64
loss_fn = staghorn.losses.SparseCategoricalCrossentropy(from_logits=True)


def parts():
    staghorn.utils.set_random_seed(0)
    model = staghorn.Sequential(
        [
            staghorn.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )
    optimizer = staghorn.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    return model, optimizer, staghorn.metrics.SparseCategoricalAccuracy()


def with_jit(batches, number_of_epochs):
    """Variables are assigned to as usual; nothing is handed in or out."""
    model, optimizer, accuracy = parts()

    @staghorn.jit
    def step(x, y):
        def loss():
            guess = model(x, training=True)
            return loss_fn(y, guess), guess

        weights = model.trainable_variables
        (value, guess), gradients = staghorn.value_and_grad(loss, weights, has_aux=True)()
        optimizer.apply(gradients, weights)
        accuracy.update_state(y, guess)
        return value

    for _ in range(number_of_epochs):
        accuracy.reset_state()
        for x, y in batches:
            step(x, y)
    return model, float(accuracy.result())


def with_pure_functions(batches, number_of_epochs):
    """Values go in and come out; the model gets them when all is done."""
    model, optimizer, accuracy = parts()

    def loss(weights, rest, x, y):
        guess, rest = model.stateless_call(weights, rest, x, training=True)
        return loss_fn(y, guess), (guess, rest)

    @jax.jit
    def step(state, x, y):
        weights, rest, slots, counts = state
        (_, (guess, rest)), gradients = jax.value_and_grad(loss, has_aux=True)(weights, rest, x, y)
        weights, slots = optimizer.stateless_apply(slots, gradients, weights)
        return weights, rest, slots, accuracy.stateless_update_state(counts, y, guess)

    groups = model.trainable_variables, model.non_trainable_variables, optimizer.variables
    state = *([v.value for v in group] for group in groups), accuracy.stateless_reset_state()
    for _ in range(number_of_epochs):
        state = *state[:3], accuracy.stateless_reset_state()
        for x, y in batches:
            state = step(state, x, y)
    for group, values in zip(groups, state[:3], strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)
    return model, float(accuracy.stateless_result(state[3]))


def main(number_of_epochs):
    data = load_digits()
    images, labels = (data.data / 16).astype("float32"), data.target.astype("int32")
    batches = [(images[i : i + BATCH], labels[i : i + BATCH]) for i in range(0, 1200, BATCH)]
    answers = []
    for train in (with_jit, with_pure_functions):
        model, seen = train(batches, number_of_epochs)
        answers.append(model.predict(images[1200:], verbose=0))
        right = (answers[-1].argmax(-1) == labels[1200:]).mean()
        print(f"{train.__name__}: accuracy {seen:.3f}, on new images {right:.3f}")
    print(f"largest difference of their answers: {np.abs(answers[0] - answers[1]).max():.1e}")


if __name__ == "__main__":
    main(epochs(__doc__, default=10))
