"""Sequence to sequence with attention: reads digits, writes them down sorted.

In training the decoder is told the right digit before the one it must write (teacher forcing); in
use it is told its own last answer, so a second model, of the same layers, takes one step at a time.
"""

import numpy as np

import staghorn
from staghorn import layers
from support import epochs

DIGITS, START = 10, 10  # 0 to 9 are digits, 10 says that the answer begins
LENGTH = 8


def sorting_model(length=LENGTH, width=32, units=64):
    question = staghorn.Input((length,), dtype="int32", name="question")
    told = staghorn.Input((None,), dtype="int32", name="told")

    x = layers.Embedding(DIGITS, width, name="read")(question)
    encoded, h, c = layers.LSTM(units, return_sequences=True, return_state=True, name="encoder")(x)

    x = layers.Embedding(DIGITS + 1, width, name="recall")(told)
    decoder = layers.LSTM(units, return_sequences=True, return_state=True, name="decoder")
    decoded, _, _ = decoder(x, initial_state=[h, c])
    seen = layers.AdditiveAttention(name="look")([decoded, encoded])  # (batch, steps, units)
    x = layers.Concatenate(name="both")([decoded, seen])
    answer = layers.Dense(DIGITS, activation="softmax", name="write")(x)
    return staghorn.Model({"question": question, "told": told}, answer)


def one_step_models(model):
    """The trained layers again: one model reads the question, one writes a single digit."""
    encoder = staghorn.Model(model.input["question"], model.get_layer("encoder").output)

    layer = model.get_layer
    units = layer("decoder").units
    encoded = staghorn.Input((None, units))
    h, c = staghorn.Input((units,)), staghorn.Input((units,))
    last = staghorn.Input((1,), dtype="int32")
    decoded, new_h, new_c = layer("decoder")(layer("recall")(last), initial_state=[h, c])
    seen = layer("look")([decoded, encoded])
    answer = layer("write")(layer("both")([decoded, seen]))
    return encoder, staghorn.Model([last, encoded, h, c], [answer, new_h, new_c])


def write(encoder, decoder, question):
    """(count, length) -> (count, length): the likeliest digit each time, told back to it."""
    encoded, h, c = encoder.predict(question, verbose=0)
    last = np.full((len(question), 1), START, "int32")
    answer = []
    for _ in range(question.shape[1]):
        chances, h, c = decoder.predict([last, encoded, h, c], verbose=0)
        last = chances.argmax(axis=-1).astype("int32")  # (count, 1)
        answer.append(last)
    return np.concatenate(answer, axis=1)


def sorting_task(count, rng, length=LENGTH):
    question = rng.integers(0, DIGITS, (count, length)).astype("int32")
    answer = np.sort(question, axis=1)
    start = np.full((count, 1), START, "int32")
    told = np.concatenate([start, answer[:, :-1]], axis=1)  # the answer, one step late
    return {"question": question, "told": told}, answer


def main(number_of_epochs):
    rng = np.random.default_rng(0)
    staghorn.utils.set_random_seed(0)
    model = sorting_model()
    model.compile(
        staghorn.optimizers.Adam(5e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(*sorting_task(8000, rng), epochs=number_of_epochs, batch_size=64, verbose=0)

    x, answer = sorting_task(500, rng)
    _, accuracy = model.evaluate(x, answer, verbose=0)
    written = write(*one_step_models(model), x["question"])
    whole = (written == answer).all(axis=1).mean()
    print(f"told the digit before: {accuracy:.3f} of the digits right")
    print(f"on its own: {(written == answer).mean():.3f} of the digits, {whole:.3f} of the rows")
    print(f"{x['question'][0]} -> {written[0]}")


if __name__ == "__main__":
    main(epochs(__doc__, default=4))
