"""A first look at the two APIs: one toy network, 3-4-4-1, built twice with keras."""

import numpy as np
from keras.layers import Dense, Input
from keras.models import Model, Sequential
from keras.utils import plot_model, set_random_seed

set_random_seed(1)

# 1000 points in the unit cube; the answer is 1 above a slanted plane
X = np.random.random((1000, 3))
y = (X[:, 0] + 2 * X[:, 1] - X[:, 2] > 1).astype("int")
X_train, X_test = X[:800], X[800:]
y_train, y_test = y[:800], y[800:]

# --- Sequential: a list of layers, one after the other ---
model = Sequential()
model.add(Dense(4, input_dim=3, activation="relu"))
model.add(Dense(4, activation="relu"))
model.add(Dense(1, activation="sigmoid"))
model.summary()
plot_model(model, to_file="sequential.png", show_shapes=True, show_layer_names=True)

model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(X_train, y_train, epochs=60, batch_size=10, validation_split=0.1, verbose=2)
scores = model.evaluate(X_test, y_test, verbose=0)
print("%s: %.2f%%" % (model.metrics_names[1], scores[1] * 100))  # noqa: UP031
print("Sequential accuracy:", scores[1])

# --- Functional: tensors in, tensors out ---
visible = Input(shape=(3,))
hidden1 = Dense(4, activation="relu")(visible)
hidden2 = Dense(4, activation="relu")(hidden1)
output = Dense(1, activation="sigmoid")(hidden2)
model = Model(inputs=visible, outputs=output)
print(model.summary())
plot_model(model, to_file="functional.png", show_shapes=True, show_layer_names=True)

model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
history = model.fit(X_train, y_train, epochs=60, batch_size=10, verbose=0)
loss, accuracy = model.evaluate(X_test, y_test)
print("Functional accuracy:", accuracy)

predictions = model.predict(X_test)
rounded = [round(x[0]) for x in predictions]
print("predictions", predictions.shape, "first rounded:", rounded[:5])
print("agree with evaluate:", abs(np.mean(np.array(rounded) == y_test) - accuracy) < 0.02)

for layer in model.layers:
    print(layer.name, [weight.shape for weight in layer.get_weights()])
