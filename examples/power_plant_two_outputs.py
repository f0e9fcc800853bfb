"""Power and vacuum of a power plant from temperature, pressure and humidity: two outputs.

Data: Combined Cycle Power Plant (UCI Machine Learning Repository, CC BY 4.0).
"""

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler

import staghorn
from staghorn.layers import Dense
from staghorn.visualization.curves import plot_history
from support import data_file, epochs, output_file

EPOCHS = epochs(__doc__, default=1000)

# AT: temperature, AP: pressure, RH: humidity, V: exhaust vacuum, PE: electrical output.
table = pd.read_excel(data_file("Folds5x2_pp.xlsx"))
train, test = train_test_split(table, test_size=0.2, random_state=0)
scaler = MinMaxScaler()
x_train = scaler.fit_transform(train[["AT", "AP", "RH"]])
x_test = scaler.transform(test[["AT", "AP", "RH"]])
y_train = (train["PE"].to_numpy(), train["V"].to_numpy())
y_test = (test["PE"].to_numpy(), test["V"].to_numpy())

staghorn.utils.set_random_seed(0)
inputs = staghorn.Input(shape=(3,))
x = Dense(64, activation="relu")(inputs)
x = Dense(64, activation="relu")(x)
power = Dense(1, name="PE")(x)
branch = Dense(32, activation="relu")(x)
vacuum = Dense(1, name="V")(branch)
model = staghorn.Model(inputs=inputs, outputs=[power, vacuum])
model.summary()

model.compile(
    optimizer="adam",
    loss={"PE": "mse", "V": "mse"},
    metrics={
        "PE": staghorn.metrics.RootMeanSquaredError(),
        "V": staghorn.metrics.RootMeanSquaredError(),
    },
)
history = model.fit(
    x_train,
    y_train,
    epochs=EPOCHS,
    batch_size=128,
    validation_data=(x_test, y_test),
    verbose=0,
)

for name, actual, predicted in zip(
    model.output_names, y_test, model.predict(x_test, verbose=0), strict=True
):
    error = history.history[f"val_{name}_root_mean_squared_error"][-1]
    print(f"{name}: R2 {r2_score(actual, np.ravel(predicted)):.4f}, RMSE {error:.3f}")

picture = output_file("power_plant_curves.png")
plot_history(history, to_file=picture)
print("learning curves:", picture)
