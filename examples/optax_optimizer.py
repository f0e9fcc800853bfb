"""An optimizer of optax, with a learning rate that a callback changes, saved and trained on."""

import numpy as np
import optax

import staghorn
from staghorn.layers import Dense
from support import epochs, output_file

EPOCHS = epochs(__doc__, default=30)

rng = np.random.default_rng(0)
x = rng.normal(size=(500, 8)).astype("float32")
y = np.sin(x @ rng.normal(size=(8, 1))).astype("float32")


def weights_only(tree):
    """Weight decay for matrices, not for biases: `tree` has the variables by their names."""
    return {
        layer: {name: name == "kernel" for name in variables} for layer, variables in tree.items()
    }


lion = optax.inject_hyperparams(optax.lion, static_args="mask")
optimizer = optax.chain(
    optax.clip_by_global_norm(1.0),
    lion(learning_rate=3e-3, weight_decay=0.01, mask=weights_only),
)

staghorn.utils.set_random_seed(0)
model = staghorn.Sequential(
    [staghorn.Input((8,)), Dense(32, activation="relu"), Dense(32, activation="relu"), Dense(1)]
)
model.compile(optimizer=optimizer, loss="mse")
slower = staghorn.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=2)
history = model.fit(x, y, epochs=EPOCHS, batch_size=50, callbacks=[slower], verbose=0)
print(f"loss: {history.history['loss'][-1]:.4f}")
print(f"learning rate: {float(model.optimizer.learning_rate):.1e}")

# A file holds the optimizer's state; the transformation is code, and is handed in.
path = output_file("optax_optimizer.keras")
model.save(path)
again = staghorn.models.load_model(path, custom_objects={"transformation": optimizer})
assert int(again.optimizer.iterations) == int(model.optimizer.iterations)
history = again.fit(x, y, epochs=max(1, EPOCHS // 3), batch_size=50, verbose=0)
print(f"trained on: {history.history['loss'][-1]:.4f}")
