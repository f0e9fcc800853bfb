"""Two branches, one answer: a picture of a digit and a question about it, yes or no."""

import numpy as np
from sklearn.datasets import load_digits

import staghorn
from staghorn import layers
from support import epochs

VOCABULARY = ["", "is", "it", "above", "below", "even", "odd", *"0123456789"]
WORDS = len(VOCABULARY)
WORD = {word: number for number, word in enumerate(VOCABULARY)}


def image_and_text_model(size=8, filters=16, words=WORDS, length=4, width=16):
    """The image is convolved, the question is read by a GRU; a dense layer sees both."""
    image = staghorn.Input((size, size, 1), name="image")
    x = layers.Conv2D(filters, 3, activation="relu")(image)
    x = layers.MaxPooling2D(2)(x)
    seen = layers.Dense(2 * width, activation="relu")(layers.Flatten()(x))

    question = staghorn.Input((length,), dtype="int32", name="question")
    # Questions have three or four words: mask_zero leaves the empty place out.
    read = layers.GRU(width)(layers.Embedding(words, width, mask_zero=True)(question))

    x = layers.Concatenate()([seen, read])
    x = layers.Dense(4 * width, activation="relu")(x)
    x = layers.Dense(4 * width, activation="relu")(x)
    yes = layers.Dense(1, activation="sigmoid", name="yes")(x)
    return staghorn.Model({"image": image, "question": question}, yes)


def ask(digits, rng):
    """A question for each digit, as word numbers, and whether the answer is yes."""
    questions, answers = [], []
    for digit in digits:
        kind = rng.choice(["above", "below", "even", "odd"])
        other = rng.integers(0, 10)
        words = ["is", "it", kind] + ([str(other)] if kind in ("above", "below") else [""])
        questions.append([WORD[word] for word in words])
        answers.append(
            {
                "above": digit > other,
                "below": digit < other,
                "even": digit % 2 == 0,
                "odd": digit % 2 == 1,
            }[kind]
        )
    return np.array(questions, "int32"), np.array(answers, "float32")


def main(number_of_epochs):
    data = load_digits()
    images = (data.images / 16).astype("float32")[..., None]
    rng = np.random.default_rng(0)
    staghorn.utils.set_random_seed(0)

    model = image_and_text_model()
    model.compile(staghorn.optimizers.Adam(3e-3), "binary_crossentropy", metrics=["accuracy"])
    rows = np.tile(np.arange(1400), 4)  # each picture with four questions
    questions, answers = ask(data.target[rows], rng)
    x = {"image": images[rows], "question": questions}
    model.fit(x, answers, epochs=number_of_epochs, batch_size=32, verbose=0)

    questions, answers = ask(data.target[1400:], rng)
    _, accuracy = model.evaluate(
        {"image": images[1400:], "question": questions}, answers, verbose=0
    )
    usual = max(answers.mean(), 1 - answers.mean())
    print(f"answers to new pictures right: {accuracy:.3f} (always the same answer: {usual:.3f})")


if __name__ == "__main__":
    main(epochs(__doc__, default=15))
