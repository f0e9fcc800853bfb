"""The Keras 2 guide: the same headlines model, with lists, then with dicts."""

import keras
import numpy as np
from keras.layers import LSTM, Dense, Embedding, Input
from keras.models import Model
from keras.utils.vis_utils import plot_model

np.random.seed(0)

headline_data = np.random.randint(1, 500, size=(2048, 20))
additional_data = np.random.normal(size=(2048, 5))
labels = (additional_data.sum(axis=1, keepdims=True) > 0).astype("float32")

main_input = Input(shape=(20,), dtype="int32", name="main_input")
x = Embedding(output_dim=32, input_dim=500, input_length=20)(main_input)
lstm_out = LSTM(16)(x)
auxiliary_output = Dense(1, activation="sigmoid", name="aux_output")(lstm_out)
auxiliary_input = Input(shape=(5,), name="aux_input")
x = keras.layers.concatenate([lstm_out, auxiliary_input])
x = Dense(32, activation="relu")(x)
x = Dense(32, activation="relu")(x)
main_output = Dense(1, activation="sigmoid", name="main_output")(x)

model = Model(inputs=[main_input, auxiliary_input], outputs=[main_output, auxiliary_output])
model.summary()
plot_model(model, to_file="headlines2.png", show_shapes=True)

# one loss for both outputs, lists of arrays
model.compile(optimizer="rmsprop", loss="binary_crossentropy", loss_weights=[1.0, 0.2])
model.fit([headline_data, additional_data], [labels, labels], epochs=4, batch_size=32)

# everything by name
model.compile(
    optimizer="rmsprop",
    loss={"main_output": "binary_crossentropy", "aux_output": "binary_crossentropy"},
    loss_weights={"main_output": 1.0, "aux_output": 0.2},
    metrics={"main_output": "accuracy"},
)
history = model.fit(
    {"main_input": headline_data, "aux_input": additional_data},
    {"main_output": labels, "aux_output": labels},
    epochs=4,
    batch_size=32,
    validation_split=0.25,
)
print("recorded:", sorted(history.history))
print("main accuracy:", history.history["val_main_output_accuracy"][-1])

predicted = model.predict({"main_input": headline_data[:3], "aux_input": additional_data[:3]})
print("outputs:", len(predicted), predicted[0].shape)
