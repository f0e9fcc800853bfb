"""A long guide to architectures, use case seq2seq: encoder, decoder, two models."""

import numpy as np
from keras.layers import LSTM, Dense, Input
from keras.models import Model
from keras.utils import plot_model

np.random.seed(6)
num_samples, length, latent_dim = 3200, 4, 64
letters = "abcdef"

# from letters to the same letters backwards, in capitals
input_texts, target_texts = [], []
for _ in range(num_samples):
    word = "".join(np.random.choice(list(letters), length))
    input_texts.append(word)
    target_texts.append("\t" + word[::-1].upper() + "\n")
input_characters = sorted(set("".join(input_texts)))
target_characters = sorted(set("".join(target_texts)))
num_encoder_tokens, num_decoder_tokens = len(input_characters), len(target_characters)
print("tokens:", num_encoder_tokens, num_decoder_tokens)
input_index = {char: i for i, char in enumerate(input_characters)}
target_index = {char: i for i, char in enumerate(target_characters)}

encoder_input_data = np.zeros((num_samples, length, num_encoder_tokens), dtype="float32")
decoder_input_data = np.zeros((num_samples, length + 2, num_decoder_tokens), dtype="float32")
decoder_target_data = np.zeros((num_samples, length + 2, num_decoder_tokens), dtype="float32")
for i, (source, target) in enumerate(zip(input_texts, target_texts, strict=True)):
    for t, char in enumerate(source):
        encoder_input_data[i, t, input_index[char]] = 1.0
    for t, char in enumerate(target):
        decoder_input_data[i, t, target_index[char]] = 1.0
        if t > 0:  # the target is one step ahead and begins without the start sign
            decoder_target_data[i, t - 1, target_index[char]] = 1.0

encoder_inputs = Input(shape=(None, num_encoder_tokens))
encoder = LSTM(latent_dim, return_state=True)
encoder_outputs, state_h, state_c = encoder(encoder_inputs)
encoder_states = [state_h, state_c]

decoder_inputs = Input(shape=(None, num_decoder_tokens))
decoder_lstm = LSTM(latent_dim, return_sequences=True, return_state=True)
decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=encoder_states)
decoder_dense = Dense(num_decoder_tokens, activation="softmax")
decoder_outputs = decoder_dense(decoder_outputs)

model = Model([encoder_inputs, decoder_inputs], decoder_outputs)
model.summary()
plot_model(model, to_file="seq2seq.png", show_shapes=True)
model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
model.fit(
    [encoder_input_data, decoder_input_data],
    decoder_target_data,
    batch_size=64,
    epochs=30,
    validation_split=0.2,
    verbose=2,
)

# For reading, the two halves become models of their own, with the trained layers
encoder_model = Model(encoder_inputs, encoder_states)
decoder_state_input_h = Input(shape=(latent_dim,))
decoder_state_input_c = Input(shape=(latent_dim,))
decoder_states_inputs = [decoder_state_input_h, decoder_state_input_c]
decoder_outputs, state_h, state_c = decoder_lstm(
    decoder_inputs, initial_state=decoder_states_inputs
)
decoder_states = [state_h, state_c]
decoder_outputs = decoder_dense(decoder_outputs)
decoder_model = Model([decoder_inputs, *decoder_states_inputs], [decoder_outputs, *decoder_states])


def decode_sequence(input_seq):
    """Feed each letter back in until the stop sign comes."""
    states_value = encoder_model.predict(input_seq, verbose=0)
    target_seq = np.zeros((1, 1, num_decoder_tokens))
    target_seq[0, 0, target_index["\t"]] = 1.0
    decoded = ""
    while len(decoded) <= length:
        output_tokens, h, c = decoder_model.predict([target_seq, *states_value], verbose=0)
        token = np.argmax(output_tokens[0, -1, :])
        if target_characters[token] == "\n":
            break
        decoded += target_characters[token]
        target_seq = np.zeros((1, 1, num_decoder_tokens))
        target_seq[0, 0, token] = 1.0
        states_value = [h, c]
    return decoded


right = 0
for seq_index in range(20):
    decoded = decode_sequence(encoder_input_data[seq_index : seq_index + 1])
    right += sum(a == b for a, b in zip(decoded, target_texts[seq_index][1:], strict=False))
    if seq_index < 3:
        print("-", input_texts[seq_index], "->", decoded)
print("letters right:", right / (20 * length))
