"""A long guide to architectures, use case two inputs: a picture and a question."""

import numpy as np
from keras.layers import (
    LSTM,
    Concatenate,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    Input,
    MaxPooling2D,
)
from keras.models import Model, Sequential
from keras.preprocessing.sequence import pad_sequences
from keras.preprocessing.text import Tokenizer
from keras.utils import plot_model

np.random.seed(8)
colors = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}

# coloured bars, lying or standing, and questions about them
images, questions, answers = [], [], []
for number in range(1600):
    color = np.random.choice(list(colors))
    lying = np.random.rand() < 0.5
    canvas = np.random.rand(16, 16, 3) * 0.3
    place = np.random.randint(2, 12)
    canvas[(slice(place, place + 3), slice(1, 15))[:: 1 if lying else -1]] += colors[color]
    images.append(canvas)
    asked = np.random.choice(list(colors))
    if number % 2:
        questions.append(f"Is the bar {asked}?")
        answers.append(int(asked == color))
    else:
        questions.append("Does this bar lie on its side?")
        answers.append(int(lying))
images, answers = np.array(images, dtype="float32"), np.array(answers)

tokenizer = Tokenizer(num_words=50, oov_token="<oov>")
tokenizer.fit_on_texts(questions)
sequences = tokenizer.texts_to_sequences(questions)
padded = pad_sequences(sequences, maxlen=8, padding="post")
print("vocabulary:", len(tokenizer.word_index), "first:", questions[0], padded[0])

# the picture: a Sequential model is a layer like any other
vision_model = Sequential(name="vision")
vision_model.add(Conv2D(16, (3, 3), activation="relu", padding="same", input_shape=(16, 16, 3)))
vision_model.add(MaxPooling2D((2, 2)))
vision_model.add(Conv2D(16, (3, 3), activation="relu"))
vision_model.add(MaxPooling2D((2, 2)))
vision_model.add(Flatten())

image_input = Input(shape=(16, 16, 3), name="picture")
encoded_image = vision_model(image_input)
question_input = Input(shape=(8,), dtype="int32", name="question")
embedded_question = Embedding(input_dim=50, output_dim=16, mask_zero=True)(question_input)
encoded_question = LSTM(32)(embedded_question)
merged = Concatenate()([encoded_question, encoded_image])
output = Dense(32, activation="relu")(merged)
output = Dense(1, activation="sigmoid", name="answer")(output)

vqa_model = Model(inputs=[image_input, question_input], outputs=output)
vqa_model.summary()
plot_model(vqa_model, to_file="vqa.png", show_shapes=True, expand_nested=True)

vqa_model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
history = vqa_model.fit(
    {"picture": images, "question": padded}, answers, epochs=15, validation_split=0.2, verbose=2
)
print("Validation accuracy:", history.history["val_accuracy"][-1])

query = pad_sequences(
    tokenizer.texts_to_sequences(["Is the bar purple?"]), maxlen=8, padding="post"
)
print("asked:", query[0], "answer:", vqa_model.predict([images[:1], query]).shape)
