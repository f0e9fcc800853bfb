"""The Keras 1 examples: `Convolution2D(nb_filter, 3, 3)`, `Merge`, generators."""

import numpy as np
from keras.constraints import maxnorm
from keras.layers import Merge
from keras.layers.advanced_activations import LeakyReLU
from keras.layers.convolutional import Convolution2D, MaxPooling2D
from keras.layers.core import Activation, Dense, Dropout, Flatten
from keras.layers.normalization import BatchNormalization
from keras.models import Sequential
from keras.optimizers import RMSprop
from keras.utils.np_utils import to_categorical

np.random.seed(3)

# bright corner: which of the four is it? the side information gives half of the answer
labels = np.random.randint(4, size=800)
X = np.random.random((800, 16, 16, 1)).astype("float32")
for row, corner in enumerate(labels):
    X[row, (corner // 2) * 8 :, (corner % 2) * 8 :][:8, :8] += 0.5
side = np.stack([labels // 2, np.random.random(800)], axis=1)
Y = to_categorical(labels, 4)

left = Sequential()
left.add(
    Convolution2D(
        8, 3, 3, border_mode="same", subsample=(2, 2), input_shape=(16, 16, 1), init="he_normal"
    )
)
left.add(LeakyReLU(alpha=0.1))
left.add(BatchNormalization())
left.add(Convolution2D(nb_filter=8, nb_row=3, nb_col=3, border_mode="valid", dim_ordering="tf"))
left.add(Activation("relu"))
left.add(MaxPooling2D(pool_size=(2, 2), border_mode="valid"))
left.add(Flatten())
left.add(Dropout(p=0.25))

right = Sequential()
right.add(Dense(output_dim=8, input_dim=2, activation="relu"))

model = Sequential()
model.add(Merge([left, right], mode="concat"))
model.add(Dense(32, activation="relu", b_regularizer="l2"))
model.add(Dense(4, activation="softmax", W_constraint=maxnorm(3)))
model.summary()

model.compile(
    loss="categorical_crossentropy", optimizer=RMSprop(lr=0.002, decay=1e-5), metrics=["accuracy"]
)


def batches(begin, end, size=32):
    """Go round the rows between begin and end for ever."""
    while True:
        for start in range(begin, end, size):
            rows = slice(start, min(start + size, end))
            yield [X[rows], side[rows]], Y[rows]


history = model.fit_generator(
    batches(0, 640),
    samples_per_epoch=640,
    nb_epoch=12,
    validation_data=batches(640, 800),
    nb_val_samples=160,
)
print("recorded:", sorted(history.history))
print("last acc:", history.history["acc"][-1])
score = model.evaluate_generator(batches(640, 800), val_samples=160)
print("Validation accuracy:", score[1])
print("predicted:", model.predict_generator(batches(640, 800), val_samples=160).shape)
