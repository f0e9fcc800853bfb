"""A long beginners' guide, use case picture folders: two classes, one folder each."""

import os

import numpy as np
from keras import backend as K
from keras.layers import Activation, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from keras.models import Sequential
from keras.preprocessing import image
from keras.preprocessing.image import ImageDataGenerator, img_to_array, load_img
from PIL import Image, ImageDraw

# 300 drawings instead of 300 photographs: lying and standing bars on a dark ground
chance = np.random.RandomState(0)
for part, count in (("train", 120), ("validation", 30)):
    for kind in ("lying", "standing"):
        os.makedirs(f"data/{part}/{kind}")
        for number in range(count):
            picture = Image.new("RGB", (48, 48), tuple(chance.randint(0, 100, 3)))
            left, top = chance.randint(4, 20, 2)
            wide, high = (24, 6) if kind == "lying" else (6, 24)
            color = tuple(chance.randint(140, 255, 3))
            ImageDraw.Draw(picture).rectangle([left, top, left + wide, top + high], fill=color)
            picture.save(f"data/{part}/{kind}/{number:03}.jpg")

img_width, img_height = 32, 32
batch_size = 16
if K.image_data_format() == "channels_first":
    input_shape = (3, img_width, img_height)
else:
    input_shape = (img_width, img_height, 3)

model = Sequential()
model.add(Conv2D(16, (3, 3), input_shape=input_shape))
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Conv2D(16, (3, 3)))
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Flatten())
model.add(Dense(32))
model.add(Activation("relu"))
model.add(Dropout(0.3))
model.add(Dense(1))
model.add(Activation("sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])

train_datagen = ImageDataGenerator(
    rescale=1.0 / 255, shear_range=0.1, zoom_range=0.2, horizontal_flip=True
)
test_datagen = ImageDataGenerator(rescale=1.0 / 255)
train_generator = train_datagen.flow_from_directory(
    "data/train", target_size=(img_width, img_height), batch_size=batch_size, class_mode="binary"
)
validation_generator = test_datagen.flow_from_directory(
    "data/validation",
    target_size=(img_width, img_height),
    batch_size=batch_size,
    class_mode="binary",
    shuffle=False,
)
print(train_generator.class_indices)

model.fit_generator(
    train_generator,
    steps_per_epoch=240 // batch_size,
    epochs=12,
    validation_data=validation_generator,
    validation_steps=60 // batch_size,
)
score = model.evaluate_generator(validation_generator, steps=len(validation_generator))
print("Validation accuracy:", score[1])

img = load_img("data/validation/standing/000.jpg", target_size=(img_width, img_height))
x = img_to_array(img) / 255.0
x = np.expand_dims(x, axis=0)
print("one picture:", x.shape, "stands with", model.predict(x)[0, 0])
image.array_to_img(x[0]).save("standing.png")

# five new versions of one picture, written to disk
os.makedirs("preview")
for number, _ in enumerate(
    train_datagen.flow(x * 255, batch_size=1, save_to_dir="preview", save_prefix="standing")
):
    if number == 4:
        break
print("previews:", len(os.listdir("preview")))
