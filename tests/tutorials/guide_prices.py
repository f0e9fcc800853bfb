"""A long beginners' guide, use case price series: LSTM on windows of 32 days."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from keras.layers import LSTM, Dense, Dropout
from keras.models import Sequential
from keras.preprocessing.sequence import TimeseriesGenerator
from sklearn.metrics import mean_squared_error
from sklearn.preprocessing import MinMaxScaler

np.random.seed(2)
days = pd.date_range("2019-01-01", periods=600, freq="D")
trend = np.linspace(100, 160, 600) + 12 * np.sin(np.arange(600) / 14)
data = pd.DataFrame({"Close": trend + np.random.normal(scale=1.5, size=600)}, index=days)
print(data.describe())

values = data[["Close"]].values
training_size = int(len(values) * 0.8)
scaler = MinMaxScaler(feature_range=(0, 1))
scaler.fit(values[:training_size])
scaled = scaler.transform(values)
look_back = 32

X_train, y_train = [], []
for i in range(look_back, training_size):
    X_train.append(scaled[i - look_back : i, 0])
    y_train.append(scaled[i, 0])
X_train, y_train = np.array(X_train), np.array(y_train)
X_train = np.reshape(X_train, (X_train.shape[0], X_train.shape[1], 1))
print("windows:", X_train.shape)

regressor = Sequential()
regressor.add(LSTM(units=50, return_sequences=True, input_shape=(X_train.shape[1], 1)))
regressor.add(Dropout(0.2))
regressor.add(LSTM(units=50))
regressor.add(Dropout(0.2))
regressor.add(Dense(units=1))
regressor.compile(optimizer="adam", loss="mean_squared_error")
regressor.summary()
regressor.fit(X_train, y_train, epochs=25, batch_size=32)

# the windows of the last 120 days, from a generator this time
test_windows = TimeseriesGenerator(
    scaled[training_size - look_back :],
    scaled[training_size - look_back :],
    length=look_back,
    batch_size=1,
)
print("test windows:", len(test_windows), test_windows[0][0].shape)
predicted_price = scaler.inverse_transform(regressor.predict(test_windows))
real_price = values[training_size:]
print("RMSE:", np.sqrt(mean_squared_error(real_price, predicted_price)))
print("RMSE of the mean:", np.std(real_price))

plt.figure(figsize=(10, 4))
plt.plot(days[training_size:], real_price, color="red", label="Real price")
plt.plot(days[training_size:], predicted_price, color="blue", label="Predicted price")
plt.title("Price prediction")
plt.xlabel("Time")
plt.ylabel("Price")
plt.xticks(rotation=20)
plt.legend()
plt.tight_layout()
plt.savefig("prices.png")
plt.show()
