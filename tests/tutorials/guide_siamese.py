"""A long guide to architectures, use case siamese: pairs, K functions, Lambda."""

import random

import numpy as np
from keras import backend as K
from keras.datasets import mnist
from keras.layers import Dense, Dropout, Flatten, Input, Lambda
from keras.models import Model
from keras.optimizers import RMSprop
from keras.utils import plot_model

num_classes = 10
random.seed(0)
np.random.seed(0)


def euclidean_distance(vects):
    """The distance between the two halves' results."""
    x, y = vects
    sum_square = K.sum(K.square(x - y), axis=1, keepdims=True)
    return K.sqrt(K.maximum(sum_square, K.epsilon()))


def eucl_dist_output_shape(shapes):
    """One number for each pair."""
    shape1, _ = shapes
    return (shape1[0], 1)


def contrastive_loss(y_true, y_pred):
    """Equal digits are drawn together, others pushed apart up to a margin."""
    margin = 1
    square_pred = K.square(y_pred)
    margin_square = K.square(K.maximum(margin - y_pred, 0))
    return K.mean(y_true * square_pred + (1 - y_true) * margin_square)


def accuracy(y_true, y_pred):
    """Pairs on the right side of half the margin."""
    return K.mean(K.equal(y_true, K.cast(y_pred < 0.5, y_true.dtype)))


def create_pairs(x, digit_indices, count):
    """By turns a pair of one digit and a pair of two."""
    pairs, labels = [], []
    for d in range(num_classes):
        for i in range(count):
            z1, z2 = digit_indices[d][i], digit_indices[d][i + 1]
            other = digit_indices[(d + random.randrange(1, num_classes)) % num_classes][i]
            pairs += [[x[z1], x[z2]], [x[z1], x[other]]]
            labels += [1, 0]
    return np.array(pairs), np.array(labels).astype("float32")


(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train = x_train.astype("float32") / 255
x_test = x_test.astype("float32") / 255
tr_pairs, tr_y = create_pairs(x_train, [np.where(y_train == i)[0] for i in range(10)], 800)
te_pairs, te_y = create_pairs(x_test, [np.where(y_test == i)[0] for i in range(10)], 100)
print("pairs:", tr_pairs.shape, tr_y.shape)

inp = Input(shape=x_train.shape[1:])
x = Flatten()(inp)
x = Dense(64, activation="relu")(x)
x = Dropout(0.1)(x)
x = Dense(64, activation="relu")(x)
base_network = Model(inp, x)

input_a = Input(shape=x_train.shape[1:])
input_b = Input(shape=x_train.shape[1:])
# the same network twice: its weights are shared
distance = Lambda(euclidean_distance, output_shape=eucl_dist_output_shape)(
    [base_network(input_a), base_network(input_b)]
)
model = Model([input_a, input_b], distance)
model.summary()
plot_model(model, to_file="siamese.png", show_shapes=True, expand_nested=True)

model.compile(loss=contrastive_loss, optimizer=RMSprop(), metrics=[accuracy])
model.fit(
    [tr_pairs[:, 0], tr_pairs[:, 1]],
    tr_y,
    batch_size=128,
    epochs=10,
    validation_data=([te_pairs[:, 0], te_pairs[:, 1]], te_y),
)
y_pred = model.predict([te_pairs[:, 0], te_pairs[:, 1]])
print("Accuracy on test pairs:", np.mean((y_pred.ravel() < 0.5) == te_y))
print("evaluate agrees:", model.evaluate([te_pairs[:, 0], te_pairs[:, 1]], te_y, verbose=0)[1])
