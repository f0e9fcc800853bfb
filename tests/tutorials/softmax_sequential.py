"""An early Sequential tutorial: 128 features, ten classes, SGD, `np_utils`."""

import numpy as np
from keras.layers import Activation, Dense, Dropout
from keras.models import Sequential
from keras.optimizers import SGD
from keras.utils import np_utils
from keras.utils.vis_utils import plot_model

np.random.seed(1337)
nb_classes = 10

# each class has its own centre among the 128 features
centres = np.random.normal(size=(nb_classes, 128))
y = np.random.randint(nb_classes, size=2000)
X = centres[y] + np.random.normal(scale=2.0, size=(2000, 128))
X_train, y_train, X_test, y_test = X[:1600], y[:1600], X[1600:], y[1600:]

Y_train = np_utils.to_categorical(y_train, nb_classes)
Y_test = np_utils.to_categorical(y_test, nb_classes)
print("Y_train shape:", Y_train.shape)

model = Sequential()
model.add(Dense(64, input_dim=128, activation="relu"))
model.add(Dropout(0.5))
model.add(Dense(64))
model.add(Activation("relu"))
model.add(Dropout(0.5))
model.add(Dense(nb_classes))
model.add(Activation("softmax"))
model.summary()
plot_model(model, to_file="model.png")
plot_model(model, to_file="model_shapes.png", show_shapes=True)

sgd = SGD(lr=0.01, decay=1e-6, momentum=0.9, nesterov=True)
model.compile(loss="categorical_crossentropy", optimizer=sgd, metrics=["accuracy"])
model.fit(X_train, Y_train, epochs=20, batch_size=128, verbose=1, validation_data=(X_test, Y_test))

score = model.evaluate(X_test, Y_test, batch_size=128)
print("Test score:", score[0])
print("Test accuracy:", score[1])

classes = model.predict_classes(X_test, batch_size=128)
proba = model.predict_proba(X_test, batch_size=128)
print("classes:", classes.shape, classes.dtype.kind, "proba:", proba.shape)
print("classes are the largest proba:", bool((proba.argmax(axis=-1) == classes).all()))
print("accuracy by hand:", np.mean(classes == y_test))
