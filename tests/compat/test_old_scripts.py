"""Whole habits of old scripts, each run as it was written, by `staghorn run`."""

import subprocess
import sys
import textwrap

import pytest

from tests.compat.test_install import run

PREAMBLE = """
    import tensorflow as tf
    from keras.backend.tensorflow_backend import set_session
    from keras import backend as K
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True
    session = tf.Session(config=config)
    set_session(session)
    tf.set_random_seed(3)
    tf.logging.set_verbosity(tf.logging.ERROR)
    print(type(tf.train.AdamOptimizer(0.01)).__name__)
"""

VAE = """
    import numpy as np
    import tensorflow as tf
    tf.random.set_seed(3)
    import keras.backend as K
    from keras.layers import Dense, Input, Lambda
    from keras.models import Model
    x = Input((6,))
    hidden = Dense(2)(x)
    noisy = Lambda(lambda t: t + K.random_normal(shape=K.shape(t)), output_shape=(2,))(hidden)
    output = Dense(6)(noisy)
    vae = Model(x, output)
    vae.add_loss(K.mean(K.square(output - x)))
    vae.compile("sgd")
    data = np.random.RandomState(0).rand(64, 6).astype("float32")
    losses = vae.fit(data, epochs=40, verbose=0).history["loss"]
    print(losses[-1] < losses[0], losses[0] > 0.1, vae.predict(data, verbose=0).shape)
"""

LAYERS = """
    import numpy as np
    import keras.backend as K
    from keras.engine.topology import Layer
    from keras.models import Sequential

    class Keras1(Layer):
        def build(self, input_shape):
            self.W = K.variable(np.ones((input_shape[1], 2)))
            self.trainable_weights = [self.W]
        def call(self, x, mask=None):
            return K.dot(x, self.W)
        def get_output_shape_for(self, input_shape):
            return (input_shape[0], 2)

    class Keras2(Layer):
        def build(self, input_shape):
            self.w = self.add_weight(name="w", shape=(input_shape[1], 2), initializer="ones")
            super(Keras2, self).build(input_shape)
        def call(self, x):
            self.add_loss(K.sum(self.w) * 0, inputs=x)
            return K.dot(x, self.w)
        def compute_output_shape(self, input_shape):
            return (input_shape[0], 2)

    class TensorFlow(Layer):
        def build(self, input_shape):
            self.w = self.add_weight("w", shape=[int(input_shape[-1]), 2])
        def call(self, x):
            return K.dot(x, self.w)

    for layer in (Keras1(), Keras2(), TensorFlow()):
        model = Sequential([layer])
        model.compile("sgd", "mse")
        before = None
        model.fit(np.ones((8, 3)), np.zeros((8, 2)), epochs=1, verbose=0)
        model.fit(np.ones((8, 3)), np.zeros((8, 2)), epochs=1, verbose=0)
        print(len(model.trainable_weights), abs(model.get_weights()[0]).mean() != 1)
"""

FLOW = """
    import numpy as np
    from keras.layers import Dense, Flatten
    from keras.models import Sequential
    from keras.preprocessing.image import ImageDataGenerator
    model = Sequential([Flatten(input_shape=(8, 8, 1)), Dense(1)])
    model.compile("sgd", "mse")
    flow = ImageDataGenerator().flow(np.ones((20, 8, 8, 1)), np.ones(20), batch_size=8)
    seen = []
    from keras.callbacks import LambdaCallback
    count = LambdaCallback(on_batch_end=lambda batch, l: seen.append(batch))
    model.fit(flow, epochs=2, verbose=0, callbacks=[count])
    model.fit_generator(flow, steps_per_epoch=5, epochs=2, verbose=0, callbacks=[count])
    print(seen, model.predict(flow, verbose=0).shape)
"""

CURVES = """
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    from keras.layers import *
    from keras.models import Sequential
    model = Sequential([Dense(1, input_dim=2)])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 2)), np.ones(8), epochs=2, verbose=0).plot()
    plt.savefig("curves.png")
    print(len(plt.gcf().axes))
"""

METRICS = """
    import tensorflow as tf

    class Count(tf.keras.metrics.Metric):
        def __init__(self):
            super().__init__(name="count")
            self.n = self.add_weight("n", initializer="zeros")
        def update_state(self, y_true, y_pred, sample_weight=None):
            self.n.assign_add(tf.cast(tf.shape(y_true)[0], tf.float32))
        def result(self):
            return self.n

    count = Count()
    count.update_state(tf.zeros((3, 1)), tf.zeros((3, 1)))
    print(float(count.result()))
    count.reset_states()
    print(float(count.result()))
"""

GAN = """
    import numpy as np
    from keras.layers import Dense, Input
    from keras.models import Model, Sequential
    judge = Sequential([Dense(1, activation="sigmoid", input_dim=3)])
    judge.compile("sgd", "binary_crossentropy")
    judge.trainable = False
    maker = Sequential([Dense(3, input_dim=2)])
    noise = Input((2,))
    both = Model(noise, judge(maker(noise)))
    both.compile("sgd", "binary_crossentropy")

    def moved(model, step):
        before = model.get_weights()
        step()
        return any((a != b).any() for a, b in zip(before, model.get_weights()))

    for _ in range(2):
        alone = lambda: judge.train_on_batch(np.ones((4, 3)), np.ones((4, 1)))
        through = lambda: both.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
        print(moved(judge, alone), moved(judge, through), moved(maker, through))
"""

SCRIPTS = {
    "gan": (GAN, ["True False True"] * 2),
    "preamble": (PREAMBLE, ["Adam"]),
    "vae": (VAE, ["True True (64, 6)"]),
    "layers": (LAYERS, ["1 True"] * 3),
    "flow": (FLOW, ["[0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4] (20, 1)"]),
    "curves": (CURVES, ["1"]),
    "metrics": (METRICS, ["3.0", "0.0"]),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_runs_as_it_was_written(tmp_path, name):
    text, expected = SCRIPTS[name]
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    done: subprocess.CompletedProcess = run(
        [sys.executable, "-m", "staghorn", "run", str(script)], cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected
    others = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert others == []
