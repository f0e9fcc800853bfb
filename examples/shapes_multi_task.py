"""One trunk, three heads: which shape is it, where does it stand, how large is it?"""

import numpy as np

import staghorn
from staghorn import layers
from support import epochs
from support.pictures import shapes

TASKS = ("square", "centre", "radius")


def shapes_model(size=24, filters=12):
    """The trunk learns for all heads; each head is a few weights of its own."""
    inputs = staghorn.Input((size, size, 1))
    x = inputs
    for floor in range(3):
        x = layers.Conv2D(filters * (floor + 1), 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    trunk = layers.Dense(64, activation="relu", name="trunk")(layers.Flatten()(x))
    return staghorn.Model(
        inputs,
        {
            "square": layers.Dense(1, activation="sigmoid", name="square")(trunk),
            "centre": layers.Dense(2, name="centre")(trunk),
            "radius": layers.Dense(1, name="radius")(trunk),
        },
    )


def main(number_of_epochs):
    rng = np.random.default_rng(0)
    staghorn.utils.set_random_seed(0)
    model = shapes_model()
    model.compile(
        optimizer=staghorn.optimizers.Adam(2e-3),
        loss={"square": "binary_crossentropy", "centre": "mse", "radius": "mse"},
        loss_weights={"square": 1.0, "centre": 10.0, "radius": 10.0},
        metrics={"square": ["accuracy"], "centre": ["mae"], "radius": ["mae"]},
    )
    images, known = shapes(2000, 24, rng)
    targets = {task: known[task] for task in TASKS}
    model.fit(images, targets, epochs=number_of_epochs, verbose=0)

    images, known = shapes(500, 24, rng)
    targets = {task: known[task] for task in TASKS}
    scores = model.evaluate(images, targets, verbose=0, return_dict=True)
    usual = {task: np.abs(value - value.mean(axis=0)).mean() for task, value in targets.items()}
    print(f"square or disc: accuracy {scores['square_accuracy']:.3f} (by chance 0.5)")
    for task in ("centre", "radius"):
        mean_error = scores[f"{task}_mae"]
        print(f"{task}: mean error {mean_error:.3f} (always the mean: {usual[task]:.3f})")


if __name__ == "__main__":
    main(epochs(__doc__, default=15))
