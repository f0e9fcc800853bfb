"""A long beginners' guide, use case iris: a table, one-hot classes, a small network."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from keras.callbacks import EarlyStopping
from keras.layers import Dense
from keras.models import Sequential
from keras.utils import set_random_seed, to_categorical
from sklearn.datasets import load_iris
from sklearn.metrics import classification_report, confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder, StandardScaler

set_random_seed(3)
iris = load_iris()
frame = pd.DataFrame(iris.data, columns=iris.feature_names)
frame["species"] = pd.Categorical.from_codes(iris.target, iris.target_names)
print(frame.groupby("species", observed=True).mean())

encoder = LabelEncoder()
encoded = encoder.fit_transform(frame.pop("species"))
Y = to_categorical(encoded)
X_train, X_test, Y_train, Y_test = train_test_split(
    frame.values, Y, test_size=0.2, random_state=1, stratify=encoded
)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)

model = Sequential(name="iris")
model.add(Dense(8, input_shape=(4,), activation="relu", kernel_initializer="he_uniform"))
model.add(Dense(8, activation="relu"))
model.add(Dense(3, activation="softmax"))
model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
model.summary()

stop = EarlyStopping(monitor="val_loss", patience=20, restore_best_weights=True)
history = model.fit(
    X_train,
    Y_train,
    validation_data=(X_test, Y_test),
    epochs=200,
    batch_size=5,
    callbacks=[stop],
    verbose=0,
)
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
left.plot(history.history["accuracy"], label="train")
left.plot(history.history["val_accuracy"], label="test")
left.set_title("accuracy")
right.plot(history.history["loss"], label="train")
right.plot(history.history["val_loss"], label="test")
right.set_title("loss")
right.legend()
fig.savefig("iris.png")

loss, accuracy = model.evaluate(X_test, Y_test, verbose=0)
print("Accuracy:", accuracy)
guessed = np.argmax(model.predict(X_test), axis=1)
print(classification_report(np.argmax(Y_test, axis=1), guessed, target_names=iris.target_names))
print(confusion_matrix(np.argmax(Y_test, axis=1), guessed))

flower = scaler.transform([[5.1, 3.5, 1.4, 0.2]])
print("This flower is:", encoder.inverse_transform([model.predict(flower)[0].argmax()])[0])
