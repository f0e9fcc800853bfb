"""The Keras 1 guide: headlines with an auxiliary output, in the oldest spelling."""

import numpy as np
from keras.layers import LSTM, Dense, Embedding, Input, merge
from keras.models import Model
from keras.regularizers import l2
from keras.utils.visualize_util import plot

np.random.seed(0)
max_words, max_length = 500, 20

# a headline goes viral when word 7 is in it and the sender has many followers
headlines = np.random.randint(1, max_words, size=(2048, max_length))
spread = np.random.random(2048) < 0.5
headlines[spread, np.random.randint(max_length, size=spread.sum())] = 7
extra = np.random.normal(size=(2048, 5))
viral = ((headlines == 7).any(axis=1) & (extra[:, 0] > 0)).astype("int32")

main_input = Input(shape=(max_length,), dtype="int32", name="headline")
x = Embedding(output_dim=32, input_dim=max_words, input_length=max_length, init="uniform")(
    main_input
)
lstm_out = LSTM(output_dim=32, inner_activation="sigmoid", dropout_W=0.1)(x)
auxiliary_loss = Dense(1, activation="sigmoid", name="aux_output")(lstm_out)

auxiliary_input = Input(shape=(5,), name="extra")
x = merge([lstm_out, auxiliary_input], mode="concat")
x = Dense(32, activation="relu", init="he_normal", W_regularizer=l2(0.0001))(x)
x = Dense(output_dim=32, activation="relu", init="he_normal")(x)
main_loss = Dense(1, activation="sigmoid", name="main_output")(x)

model = Model(input=[main_input, auxiliary_input], output=[main_loss, auxiliary_loss])
model.summary()
plot(model, to_file="headlines.png", show_shapes=True)

model.compile(
    optimizer="rmsprop",
    loss={"main_output": "binary_crossentropy", "aux_output": "binary_crossentropy"},
    loss_weights={"main_output": 1.0, "aux_output": 0.2},
    metrics=["accuracy"],
)
history = model.fit(
    {"headline": headlines, "extra": extra},
    {"main_output": viral, "aux_output": viral},
    nb_epoch=30,
    batch_size=32,
)
print("recorded:", sorted(history.history))
scores = model.evaluate(
    {"headline": headlines, "extra": extra},
    {"main_output": viral, "aux_output": viral},
    verbose=0,
)
for name, value in zip(model.metrics_names, scores, strict=True):
    print(name, "=", value)
main, aux = model.predict([headlines[:4], extra[:4]])
print("predicted:", main.shape, aux.shape)
print("main accuracy:", np.mean((model.predict([headlines, extra])[0][:, 0] > 0.5) == viral))
