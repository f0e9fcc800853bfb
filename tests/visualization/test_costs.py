"""`summary(show_costs=True)`: multiply-adds against formulas, bytes, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.visualization.calls import costs_of
from staghorn.visualization.costs import multiply_adds
from staghorn.visualization.summary import summarize

IMAGE = (9, 8, 4)  # a 3 x 3 kernel fits into 7 x 6 places
# Shape of one sample, layer, multiply-adds.
FORMULAS = {
    "dense": ((7,), layers.Dense(5), 7 * 5),
    "dense on a sequence": ((3, 7), layers.Dense(5), 3 * 7 * 5),
    "conv": (IMAGE, layers.Conv2D(5, 3), 7 * 6 * 9 * 4 * 5),
    "padded": (IMAGE, layers.Conv2D(5, 3, padding="same"), 9 * 8 * 9 * 4 * 5),
    "strides": (IMAGE, layers.Conv2D(5, 3, strides=2), 4 * 3 * 9 * 4 * 5),
    "dilated": (IMAGE, layers.Conv2D(5, 3, dilation_rate=2), 5 * 4 * 9 * 4 * 5),
    "groups": (IMAGE, layers.Conv2D(6, 3, groups=2), 7 * 6 * 9 * 2 * 6),
    "many groups": ((9, 8, 12), layers.Conv2D(24, 3, groups=6, strides=2), 4 * 3 * 9 * 2 * 24),
    "1 x 1": (IMAGE, layers.Conv2D(6, 1, strides=2), 5 * 4 * 4 * 6),
    "channels first": (
        (4, 9, 8), layers.Conv2D(6, 3, data_format="channels_first"), 7 * 6 * 9 * 4 * 6,
    ),
    "causal": ((9, 4), layers.Conv1D(6, 3, padding="causal"), 9 * 3 * 4 * 6),
    "volume": ((5, 5, 5, 2), layers.Conv3D(3, 2), 4**3 * 8 * 2 * 3),
    "depthwise": (IMAGE, layers.DepthwiseConv2D(3, depth_multiplier=2), 7 * 6 * 9 * 4 * 2),
    "separable": (IMAGE, layers.SeparableConv2D(6, 3), 7 * 6 * (9 * 4 + 4 * 6)),
    "transposed": (IMAGE, layers.Conv2DTranspose(3, 3, strides=2), 9 * 8 * 9 * 4 * 3),
    "transposed, same": (
        IMAGE, layers.Conv2DTranspose(3, 3, strides=2, padding="same"), 9 * 8 * 9 * 4 * 3,
    ),
    "LSTM": ((10, 3), layers.LSTM(4), 10 * 4 * (3 + 4) * 4),
    "LSTM, any length": ((None, 3), layers.LSTM(4), 4 * (3 + 4) * 4),
    "LSTM, plain scan": ((10, 3), layers.LSTM(4, activation="relu"), 10 * 4 * (3 + 4) * 4),
    "GRU": ((10, 3), layers.GRU(4), 10 * 3 * (3 + 4) * 4),
    "both ways": ((10, 3), layers.Bidirectional(layers.GRU(4)), 2 * 10 * 3 * (3 + 4) * 4),
    "each time": ((10, 3), layers.TimeDistributed(layers.Dense(4)), 10 * 3 * 4),
    "embedding": ((10,), layers.Embedding(100, 8), 0),
    "normalization": ((10,), layers.BatchNormalization(), 0),
    "pooling": (IMAGE, layers.MaxPooling2D(), 0),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMULAS)
def test_multiply_adds(case):
    shape, layer, wanted = FORMULAS[case]
    (row,) = summarize(staghorn.Sequential([staghorn.Input(shape), layer]), show_costs=True).rows
    size = np.prod([d or 1 for d in layer.output.shape[1:]])
    assert row.costs == (wanted, 4 * size)


def test_gradients_of_merged_groups_count_as_groups():
    x, kernel = jnp.ones((2, 9, 8, 12)), jnp.ones((3, 3, 2, 24))  # 6 groups, 7 x 6 places

    def total(x, kernel):
        return staghorn.ops.conv(x, kernel).sum()

    forward = 2 * 7 * 6 * 9 * 2 * 24
    assert multiply_adds(jax.make_jaxpr(total)(x, kernel)) == forward
    kernels = jax.make_jaxpr(jax.grad(total, 1))(x, kernel)
    assert multiply_adds(kernels) == 2 * forward


def test_attention():
    query, value = staghorn.Input((6, 8)), staghorn.Input((5, 7))
    out = layers.MultiHeadAttention(2, 4)(query, value)  # 2 heads of 4
    projections = 6 * 8 * 8 + 2 * 5 * 7 * 8 + 6 * 8 * 8
    total, _ = costs_of(staghorn.Model([query, value], out))
    assert total.multiply_adds == projections + 2 * (2 * 6 * 5 * 4)


def test_ops_shared_models_and_totals():
    stack = staghorn.Sequential([staghorn.Input((4,)), layers.Dense(3), layers.Dense(2)])
    x = staghorn.Input((4,))
    y = stack(x) + stack(x * 2)
    summary = summarize(staghorn.Model(x, y @ staghorn.ops.ones((2, 5))), True, show_costs=True)
    costs = {row.type: row.costs for row in summary.rows if row.type != "Dense"}
    assert costs == {
        "InputLayer": (0, 0),
        "Multiply": (0, 16),
        "Sequential": (2 * (12 + 6), 2 * 4 * (3 + 2)),
        "Add": (0, 8),
        "Matmul": (10, 20),
    }
    assert [row.costs for row in summary.rows if row.depth] == [(24, 24), (12, 16)]
    assert summary.costs == (46, 84)


def test_one_sample_of_a_fixed_batch_in_the_type_of_the_computation():
    stack = [layers.LSTM(4, stateful=True), layers.Dense(3, dtype="mixed_bfloat16")]
    model = staghorn.Sequential([staghorn.Input(batch_shape=(8, 5, 3)), *stack])
    total, _ = costs_of(model)
    assert (total.multiply_adds, total.activations) == (5 * 4 * (3 + 4) * 4 + 12, 16 + 6)


def test_a_subclassed_model():
    class Net(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4)
            self.attention = layers.MultiHeadAttention(1, 2)

        def call(self, x):
            x = self.dense(self.dense(x))
            return self.attention(x, x) @ staghorn.ops.transpose(x, (0, 2, 1))

    model = Net()
    model(np.ones((2, 3, 4), "float32"))
    summary = summarize(model, show_costs=True)
    dense, attention = [row.costs for row in summary.rows]
    assert dense == (2 * 3 * 16, 2 * 3 * 4 * 4)
    assert attention == (4 * 3 * 4 * 2 + 2 * 3 * 3 * 2, 3 * 4 * 4)  # what is inside is not shown
    assert summary.costs == (dense[0] + attention[0] + 3 * 3 * 4, dense[1] + attention[1])


def test_loops_and_branches():
    w = jnp.ones((3, 3))

    def loop(x):
        return jax.lax.fori_loop(0, 7, lambda i, y: y @ w, x)

    def unknown(x):
        return jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: y @ w, x)

    def branch(x):
        return jax.lax.cond(x.sum() > 0, lambda y: y @ w @ w, lambda y: y @ w, x)

    counts = [multiply_adds(jax.make_jaxpr(f)(jnp.ones((2, 3)))) for f in (loop, unknown, branch)]
    assert counts == [7 * 18, 18, 36]


def test_the_table_has_two_more_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    texts = []
    model = staghorn.Sequential([staghorn.Input((1000,)), layers.Dense(3000)])
    model.summary(print_fn=texts.append, show_costs=True, show_trainable=True)
    assert "┃ Trainable  ┃" in "".join(texts).replace("  Trainable   ", " Trainable  ")
    assert "Multiply-adds ┃" in texts[0]
    assert "Activations ┃" in texts[0]
    assert "3,000,000 │" in texts[0]
    assert " Multiply-adds: 3,000,000 per sample\n Activations: 11.72 KB per sample" in texts[0]


def looks_at_values():
    class Looks(staghorn.Model):
        def call(self, x):
            return x if float(x[0, 0]) > 0 else -x

    model = Looks()
    model(np.ones((2, 4), "float32"))
    return model


def too_small():
    return staghorn.Sequential([staghorn.Input((None, None, 3)), layers.Conv2D(4, 3)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: staghorn.Sequential([layers.Dense(2)]), r"is not built.*model\.build"),
        (looks_at_values, "Looks.call does not run without data. Python code looks at the values"),
        (too_small, r"(?s)the kernel \(3, 3\) is larger.*give Input a fixed shape"),
    ],
)
def test_what_cannot_be_counted(make, message):
    with pytest.raises(ValueError, match=message):
        make().summary(show_costs=True)
