"""A long guide to architectures, use case segmentation: a small U-Net."""

import matplotlib.pyplot as plt
import numpy as np
from keras import backend as K
from keras.layers import Conv2D, Conv2DTranspose, Dropout, Input, MaxPooling2D, concatenate
from keras.models import Model
from keras.optimizers import Adam
from keras.utils import plot_model

np.random.seed(4)
size = 32
rows, columns = np.mgrid[:size, :size]


def cell_images(count):
    """Draw noisy pictures of one bright cell each; the mask says where it is."""
    centres = np.random.randint(8, 24, (count, 2, 1, 1))
    radius = np.random.randint(4, 8, (count, 1, 1))
    inside = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2 < radius**2
    picture = 0.6 * inside + np.random.normal(scale=0.3, size=inside.shape)
    return picture[..., np.newaxis].astype("float32"), inside[..., np.newaxis].astype("float32")


X, Y = cell_images(192)
X_test, Y_test = cell_images(32)


def dice_coef(y_true, y_pred, smooth=1):
    """Twice the overlap over the sum of both areas."""
    y_true_f = K.flatten(y_true)
    y_pred_f = K.flatten(y_pred)
    intersection = K.sum(y_true_f * y_pred_f)
    return (2.0 * intersection + smooth) / (K.sum(y_true_f) + K.sum(y_pred_f) + smooth)


def conv_block(x, filters):
    """A convolution that keeps the size, as on every level of the U."""
    return Conv2D(filters, 3, activation="relu", padding="same", kernel_initializer="he_normal")(x)


inputs = Input((size, size, 1))
down1 = conv_block(inputs, 8)
pool1 = MaxPooling2D(pool_size=(2, 2))(down1)
down2 = conv_block(pool1, 16)
pool2 = MaxPooling2D(pool_size=(2, 2))(down2)
bottom = Dropout(0.2)(conv_block(pool2, 32))
up2 = Conv2DTranspose(16, (2, 2), strides=(2, 2), padding="same")(bottom)
up2 = conv_block(concatenate([up2, down2], axis=3), 16)
up1 = Conv2DTranspose(8, (2, 2), strides=(2, 2), padding="same")(up2)
up1 = conv_block(concatenate([up1, down1], axis=3), 8)
mask = Conv2D(1, (1, 1), activation="sigmoid")(up1)

model = Model(inputs=[inputs], outputs=[mask])
model.compile(optimizer=Adam(1e-3), loss="binary_crossentropy", metrics=[dice_coef])
model.summary()
plot_model(model, to_file="unet.png", show_shapes=True)

model.fit(X, Y, batch_size=16, epochs=10, validation_data=(X_test, Y_test))
loss, dice = model.evaluate(X_test, Y_test)
print("Dice:", dice)

preds_test = model.predict(X_test, verbose=1)
preds_t = (preds_test > 0.5).astype(np.uint8)
print("masks:", preds_t.shape, "covered:", preds_t.mean(), "true:", Y_test.mean())
fig, axes = plt.subplots(3, 3, figsize=(6, 6))
for number in range(3):
    shown = {"image": X_test, "mask": Y_test, "predicted": preds_t}
    for axis, (title, pictures) in zip(axes[number], shown.items(), strict=True):
        axis.imshow(np.squeeze(pictures[number]), cmap="gray")
        axis.set_title(title)
        axis.axis("off")
plt.savefig("masks.png")
plt.show()
