"""An article on several outputs: a power plant's table, one model, two answers."""

import matplotlib.pyplot as plt
import pandas as pd
import tensorflow as tf
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from tensorflow.keras.layers import Dense, Input
from tensorflow.keras.models import Model

tf.random.set_seed(7)

df = pd.read_excel("Folds5x2_pp.xlsx")
print(df.head())
print("rows and columns:", df.shape)

train, test = train_test_split(df, test_size=0.2, random_state=7)
train, val = train_test_split(train, test_size=0.2, random_state=7)


def format_output(data):
    """Take the two columns that the model is to answer with out of the table."""
    y1 = data.pop("PE")
    y2 = data.pop("V")
    return y1.to_numpy(), y2.to_numpy()


train_stats = train.describe()
for column in ("PE", "V"):
    train_stats.pop(column)
train_stats = train_stats.transpose()

train_Y = format_output(train)
val_Y = format_output(val)
test_Y = format_output(test)


def norm(x):
    """Bring each input to mean 0 and deviation 1, by the statistics of the training part."""
    return (x - train_stats["mean"]) / train_stats["std"]


norm_train_X = norm(train)
norm_val_X = norm(val)
norm_test_X = norm(test)


def build_model():
    """Two hidden layers for both answers, one more for the exhaust vacuum alone."""
    input_layer = Input(shape=(len(train.columns),))
    first_dense = Dense(units=64, activation="relu")(input_layer)
    second_dense = Dense(units=64, activation="relu")(first_dense)
    y1_output = Dense(units=1, name="energy")(second_dense)
    third_dense = Dense(units=32, activation="relu")(second_dense)
    y2_output = Dense(units=1, name="vacuum")(third_dense)
    return Model(inputs=input_layer, outputs=[y1_output, y2_output])


model = build_model()
model.summary()
tf.keras.utils.plot_model(model, "power_plant.png", show_shapes=True)

model.compile(
    optimizer=tf.keras.optimizers.Adam(learning_rate=0.003),
    loss={"energy": "mse", "vacuum": "mse"},
    metrics={
        "energy": tf.keras.metrics.RootMeanSquaredError(),
        "vacuum": tf.keras.metrics.RootMeanSquaredError(),
    },
)
history = model.fit(
    norm_train_X, train_Y, epochs=100, batch_size=32, validation_data=(norm_val_X, val_Y)
)
print("recorded:", sorted(history.history))

loss, y1_loss, y2_loss, y1_rmse, y2_rmse = model.evaluate(x=norm_test_X, y=test_Y)
print(f"loss={loss:.2f} energy mse={y1_loss:.2f} vacuum mse={y2_loss:.2f}")
print(f"energy rmse={y1_rmse:.2f}, vacuum rmse={y2_rmse:.2f}")

Y_pred = model.predict(norm_test_X)
print("predictions:", [part.shape for part in Y_pred])
print("energy R2:", r2_score(test_Y[0], Y_pred[0]))
print("vacuum R2:", r2_score(test_Y[1], Y_pred[1]))


def plot_metrics(name, title):
    """Draw what was recorded under a name, and under `val_` and the name."""
    plt.figure()
    plt.title(title)
    plt.plot(history.history[name], color="blue", label=name)
    plt.plot(history.history["val_" + name], color="green", label="val_" + name)
    plt.legend()
    plt.savefig(name + ".png")


def plot_diff(y_true, y_pred, title, file):
    """Draw true against predicted values, and the line on which both are equal."""
    plt.figure(figsize=(5, 5))
    plt.scatter(y_true, y_pred, s=6)
    plt.title(title)
    plt.xlabel("True values")
    plt.ylabel("Predictions")
    plt.axis("equal")
    low, high = plt.xlim()
    plt.plot([low, high], [low, high], color="black")
    plt.savefig(file)


plot_metrics("energy_root_mean_squared_error", "Energy output")
plot_metrics("vacuum_root_mean_squared_error", "Exhaust vacuum")
plot_diff(test_Y[0], Y_pred[0], "Energy output (MW)", "energy_scatter.png")
plot_diff(test_Y[1], Y_pred[1], "Exhaust vacuum (cm Hg)", "vacuum_scatter.png")
plt.show()
