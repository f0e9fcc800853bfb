"""A large network teaches a small one: `compute_loss` overridden, the teacher frozen."""

import numpy as np
from sklearn.datasets import load_digits

import staghorn
from staghorn import layers, ops
from support import epochs

TEMPERATURE = 4.0
HARD = 0.2  # share of the labels in the loss; the teacher's answers have the rest


def network(*widths):
    hidden = [layers.Dense(width, activation="relu") for width in widths]
    return staghorn.Sequential([staghorn.Input((64,)), *hidden, layers.Dense(10)])


class Distiller(staghorn.Model):
    def __init__(self, teacher, student):
        super().__init__()
        self.teacher, self.student = teacher, student
        self.teacher.trainable = False

    def call(self, x, training=False):
        return self.student(x, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        hard = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        wanted = ops.softmax(self.teacher(x, training=False) / TEMPERATURE)
        soft = ops.categorical_crossentropy(wanted, y_pred / TEMPERATURE, from_logits=True)
        # Softer answers have smaller gradients, by the square of the temperature.
        return HARD * hard + (1 - HARD) * TEMPERATURE**2 * ops.mean(soft)


def compiled(model):
    loss = staghorn.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def main(number_of_epochs):
    data = load_digits()
    images, labels = (data.data / 16).astype("float32"), data.target
    few, test = slice(0, 300), slice(1000, None)
    staghorn.utils.set_random_seed(0)
    teacher = compiled(network(128, 128))
    teacher.fit(images[:1000], labels[:1000], epochs=number_of_epochs, verbose=0)

    alone = compiled(network(8))
    taught = compiled(Distiller(teacher, network(8)))
    for name, model in (("teacher", teacher), ("alone", alone), ("taught", taught)):
        if model is not teacher:
            model.fit(images[few], labels[few], epochs=4 * number_of_epochs, verbose=0)
        result = model.evaluate(images[test], labels[test], verbose=0, return_dict=True)
        weights = getattr(model, "student", model).count_params()
        print(f"{name}: accuracy {result['accuracy']:.3f}, {weights:,} weights")
    same = np.argmax(taught.predict(images[test], verbose=0), -1) == np.argmax(
        teacher.predict(images[test], verbose=0), -1
    )
    print(f"the taught network answers as its teacher: {same.mean():.3f}")


if __name__ == "__main__":
    main(epochs(__doc__, default=60))
