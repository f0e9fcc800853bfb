"""Old scripts as they are: `import keras` and `import tensorflow` lead to Staghorn, when asked.

`install.py` switches it on, `modules.py` answers imports, `keras_names.py` says what lives where,
`tensorflow/` stands in for TensorFlow, `backend.py` holds the functions of old `keras.backend`,
`old_layers.py` the layers of Keras 1 and 2 that are gone, `run.py` runs a script under all of it.
"""
