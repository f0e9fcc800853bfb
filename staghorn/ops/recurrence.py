"""Recurrent networks over whole sequences, as pure functions of arrays.

`scan_steps` runs any step function. `lstm`, `gru` and `simple_rnn` are the fast forms of the usual
cells. What makes them fast, measured on two CPU cores:

* the inputs of all steps are multiplied by the kernel at once, before the loop;
* a step writes its gates into one array (an `optimization_barrier` keeps XLA from computing each
  gate again for each of its uses): the loop of an LSTM takes 0.9 ms instead of 2.2 ms;
* their derivative is given by hand as a second, linear loop over numbers saved by the first.
  The weights take no part in that loop: what they contribute is one matrix product over all steps,
  before it, so that the transposed program (the gradient) computes their gradient as one product
  after it, where differentiating the first loop adds up one product per step.

The rules are `custom_jvp`, not `custom_vjp`: forward mode and derivatives of any order work.
Everything here is time-major: (time, batch, …).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# name → (function, its derivative as a function of its own result)
_SLOPES: dict[str, tuple[Callable, Callable]] = {
    "tanh": (jnp.tanh, lambda y: 1 - y * y),
    "sigmoid": (jax.nn.sigmoid, lambda y: y * (1 - y)),
    "relu": (jax.nn.relu, lambda y: (y > 0).astype(y.dtype)),
    "linear": (lambda x: x, jnp.ones_like),
}


class _Form(NamedTuple):
    """What a loop is compiled for: names of φ and σ; one long program; outputs of all steps."""

    activation: str
    recurrent_activation: str
    unroll: bool
    sequences: bool

    @property
    def phi(self) -> tuple[Callable, Callable]:
        return _SLOPES[self.activation]

    @property
    def sigma(self) -> tuple[Callable, Callable]:
        return _SLOPES[self.recurrent_activation]

    def scan(self, body: Callable, first: Any, inputs: Any) -> tuple[Any, Any]:
        return lax.scan(body, first, inputs, unroll=True if self.unroll else 1)


def has_fast_form(*activations: str | None) -> bool:
    """Say whether `lstm`, `gru` and `simple_rnn` know these activations.

    Example:
        >>> from staghorn.ops import recurrence
        >>> recurrence.has_fast_form("tanh", "sigmoid"), recurrence.has_fast_form("selu")
        (True, False)
    """
    return all(name in _SLOPES for name in activations)


def time_major(x: Any) -> jax.Array:
    """Swap the first two axes: (batch, time, …) → (time, batch, …).

    Example:
        >>> from staghorn.ops import recurrence
        >>> recurrence.time_major(staghorn.ops.ones((2, 5, 3))).shape
        (5, 2, 3)
    """
    return jnp.swapaxes(x, 0, 1)


def project(x: jax.Array, kernel: jax.Array, bias: jax.Array | None) -> jax.Array:
    """Multiply the inputs of all steps by a kernel: (time, batch, d) → (time, batch, n).

    Example:
        >>> from staghorn.ops import recurrence
        >>> x, kernel = staghorn.ops.ones((5, 2, 3)), staghorn.ops.ones((3, 4))
        >>> recurrence.project(x, kernel, None).shape
        (5, 2, 4)
    """
    rows = jnp.reshape(x, (-1, x.shape[-1]))  # (time · batch, d)
    y = jnp.matmul(rows, kernel)
    if bias is not None:
        y = y + jnp.reshape(bias, (1, -1))
    return jnp.reshape(y, (*x.shape[:2], kernel.shape[-1]))


def broadcast_mask(mask: jax.Array, like: jax.Array) -> jax.Array:
    """Give a mask of the leading axes the rank of an array: (batch,) → (batch, 1, …).

    Example:
        >>> from staghorn.ops import recurrence
        >>> recurrence.broadcast_mask(np.ones(2, bool), np.ones((2, 3, 4))).shape
        (2, 1, 1)
    """
    return jnp.reshape(mask, mask.shape + (1,) * (like.ndim - mask.ndim))


def _choose(mask: jax.Array | None, new: jax.Array, old: jax.Array) -> jax.Array:
    """Keep the old state where the mask says that the step is padding."""
    return new if mask is None else jnp.where(broadcast_mask(mask, new), new, old)


def scan_steps(
    step: Callable[[Any, Any, Any], tuple[Any, Any, Any]],
    inputs: Any,
    states: Any,
    carried: Any = None,
    mask: jax.Array | None = None,
    unroll: bool = False,
    last: bool = False,
) -> tuple[Any, Any, Any]:
    """Run a step function over time.

    inputs (time, batch, …) → outputs (time, batch, …), last states, last carried values

    Where the mask is False the states stay as they are, and the output is the first of them.

    Args:
        step: (input, states, carried) → (output, new states, new carried).
        inputs: the inputs of all steps.
        states: a nest of arrays (batch, …); the new ones have the same form.
        carried: further values that each step hands to the next, whatever the mask. Default: None.
        mask: bool (time, batch). Default: None.
        unroll: compile one long program instead of a loop. Default: False.
        last: a masked output is the first state of the last cell of a stack. Default: False.

    Example:
        >>> from staghorn.ops import recurrence
        >>> def add(x, states, count):
        ...     return x + states[0], [x + states[0]], count + 1
        >>> inputs, zero = staghorn.ops.ones((3, 1, 1)), staghorn.ops.zeros((1, 1))
        >>> outputs, _, count = recurrence.scan_steps(add, inputs, [zero], 0)
        >>> np.asarray(outputs).ravel().tolist(), int(count)
        ([1.0, 2.0, 3.0], 3)
    """

    def body(carry: tuple, xs: tuple) -> tuple[Any, Any]:
        states, carried = carry
        x, keep = xs
        output, new, carried = step(x, states, carried)
        if keep is not None:
            new = jax.tree.map(partial(_choose, keep), new, states)
            output = _choose(keep, output, _shown(states[-1] if last else states, output))
        return (new, carried), output

    (states, carried), outputs = lax.scan(
        body, (states, carried), (inputs, mask), unroll=True if unroll else 1
    )
    return outputs, states, carried


def _shown(states: Any, output: jax.Array) -> jax.Array:
    """Return what a masked step shows: the first state, which for most cells is the output."""
    state = jax.tree.leaves(states)[0]
    # A cell whose output is not its first state has none to show: zeros.
    return state if state.shape == output.shape else jnp.zeros_like(output)


def _before(first: jax.Array, following: jax.Array) -> jax.Array:
    """Return the states before each step, given the first one and those after each step."""
    return jnp.concatenate([first[None], following[:-1]])


def _matmul_all(states: jax.Array, weights: jax.Array) -> jax.Array:
    """(time, batch, units) @ (units, n) → (time, batch, n), as one product."""
    return project(states, weights, None)


def _turned(weights: jax.Array) -> jax.Array:
    """Return the weights transposed, laid out anew once: (units, n) → (n, units).

    A gradient's loop multiplies by them. Left to XLA it multiplies by the weights read across:
    (32, 256) with (64, 256), in float32 on a CPU, 12 us, by a transposed copy 8.
    """
    return lax.optimization_barrier(jnp.swapaxes(weights, 0, 1))


def _through(states: jax.Array, turned: jax.Array) -> jax.Array:
    """Multiply by the transpose of `turned`: (batch, units), (n, units) → (batch, n)."""
    return lax.dot_general(states, turned, (((1,), (1,)), ((), ())))


# --- LSTM -----------------------------------------------------------------------------------------


def lstm(
    x: jax.Array,
    h: jax.Array,
    c: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    unroll: bool = False,
    sequences: bool = True,
) -> tuple[jax.Array | None, jax.Array, jax.Array]:
    """Long short-term memory over a sequence.

    x (time, batch, d), h and c (batch, units) → outputs (time, batch, units), last h, last c

        i, f, g, o = split(x @ kernel + h @ recurrent_kernel + bias)
        c' = σ(f) c + σ(i) φ(g);  h' = σ(o) φ(c')        φ: activation, σ: recurrent_activation

    Args:
        x, h, c: inputs and first states.
        kernel, recurrent_kernel, bias: (d, 4 units), (units, 4 units), (4 units,) or None.
        mask: bool (time, batch); False leaves the states as they are. Default: None.
        activation, recurrent_activation: names that `has_fast_form` knows.
        unroll: compile one long program instead of a loop. Default: False.
        sequences: whether to return the outputs of all steps; None otherwise. Default: True.

    Example:
        >>> from staghorn.ops import recurrence
        >>> ones, zeros = staghorn.ops.ones, staghorn.ops.zeros((2, 3))
        >>> weights = ones((4, 12)), ones((3, 12))
        >>> outputs, h, c = recurrence.lstm(ones((5, 2, 4)), zeros, zeros, *weights)
        >>> outputs.shape, h.shape
        ((5, 2, 3), (2, 3))
    """
    projected = project(x, kernel, bias)
    form = _Form(activation, recurrent_activation, unroll, sequences)
    return _lstm(projected, recurrent_kernel, h, c, mask, form)


def _lstm_gates(pre: jax.Array, form: _Form) -> jax.Array:
    """Return σ(i), σ(f), φ(g), σ(o) as one array: (batch, 4 units) → (batch, 4 units)."""
    if (form.activation, form.recurrent_activation) == ("tanh", "sigmoid"):
        # σ(x) = tanh(x / 2) / 2 + 1 / 2: one pass over all gates, 1.2 to 1.6 times as fast.
        factors = np.repeat([0.5, 0.5, 1.0, 0.5], pre.shape[-1] // 4)[None]  # (1, 4 units)
        scale, shift = jnp.asarray(factors, pre.dtype), jnp.asarray(1 - factors, pre.dtype)
        return jnp.tanh(pre * scale) * scale + shift
    phi, sigma = form.phi[0], form.sigma[0]
    i, f, g, o = jnp.split(pre, 4, axis=-1)
    return jnp.concatenate([sigma(i), sigma(f), phi(g), sigma(o)], axis=-1)


def _lstm_slopes(gates: jax.Array, form: _Form) -> jax.Array:
    """Return the derivative of each gate by its pre-activation: (batch, 4 units) twice."""
    if (form.activation, form.recurrent_activation) == ("tanh", "sigmoid"):
        # y (1 - y) for σ, y (0 - y) + 1 for φ
        ones = jnp.asarray(np.repeat([1.0, 1.0, 0.0, 1.0], gates.shape[-1] // 4)[None], gates.dtype)
        return gates * (ones - gates) + (1 - ones)
    phi_slope, sigma_slope = form.phi[1], form.sigma[1]
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    return jnp.concatenate([sigma_slope(i), sigma_slope(f), phi_slope(g), sigma_slope(o)], axis=-1)


def _lstm_steps(
    x: Any, weights: Any, h: Any, c: Any, mask: Any, form: _Form, save: bool
) -> tuple[Any, Any]:
    """Run the loop; with `save` its outputs are h, f, and what `_lstm_jvp` multiplies by.

    Made within the loop from what is at hand: over all steps at once they are a dozen passes
    through memory: 2 to 3 % of an LSTM's epoch, 6 to 9 % of a bidirectional one's.
    """
    phi, phi_slope = form.phi

    def body(states: tuple, xs: tuple) -> tuple[Any, Any]:
        h, c = states
        x, keep = xs
        gates = lax.optimization_barrier(_lstm_gates(x + jnp.matmul(h, weights), form))
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        new_c = f * c + i * g
        if not save:
            h, c = _choose(keep, o * phi(new_c), h), _choose(keep, new_c, c)
            return (h, c), h if form.sequences else None
        cell = lax.optimization_barrier(phi(new_c))
        # of c' (three times) and h' by each pre-activation; of h' by c'
        by_gate = jnp.concatenate([g, c, i, cell], axis=-1) * _lstm_slopes(gates, form)
        h, c = _choose(keep, o * cell, h), _choose(keep, new_c, c)
        return (h, c), (h, f, by_gate, o * phi_slope(cell))

    return form.scan(body, (h, c), (x, mask))


@partial(jax.custom_jvp, nondiff_argnums=(5,))
def _lstm(x: Any, weights: Any, h: Any, c: Any, mask: Any, form: _Form) -> tuple[Any, Any, Any]:
    (h, c), outputs = _lstm_steps(x, weights, h, c, mask, form, save=False)
    return outputs, h, c


@_lstm.defjvp
def _lstm_jvp(form: _Form, primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
    x, weights, h, c, mask = primals
    dx, dweights, dh, dc, _ = tangents
    last, (hs, *saved) = _lstm_steps(x, weights, h, c, mask, form, save=True)
    pre = dx + _matmul_all(_before(h, hs), dweights)
    turned = _turned(weights)

    def body(tangents: tuple, xs: tuple) -> tuple[Any, Any]:
        dh, dc = tangents
        pre, f, by_gate, by_cell, keep = xs
        moved = by_gate * (pre + _through(dh, turned))
        di, df, dg, do = jnp.split(lax.optimization_barrier(moved), 4, axis=-1)
        new_dc = f * dc + di + df + dg
        dh, dc = _choose(keep, do + by_cell * new_dc, dh), _choose(keep, new_dc, dc)
        return (dh, dc), dh if form.sequences else None

    (dh, dc), dhs = form.scan(body, (dh, dc), (pre, *saved, mask))
    return (hs if form.sequences else None, *last), (dhs, dh, dc)


# --- GRU ------------------------------------------------------------------------------------------


def gru(
    x: jax.Array,
    h: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    unroll: bool = False,
    sequences: bool = True,
) -> tuple[jax.Array | None, jax.Array]:
    """Gated recurrent units over a sequence, the reset gate applied after the matrix product.

    x (time, batch, d), h (batch, units) → outputs (time, batch, units), last h

        z, r, n = split(x @ kernel + bias[0]);  z', r', n' = split(h @ recurrent_kernel + bias[1])
        h' = σ(z + z') h + (1 - σ(z + z')) φ(n + σ(r + r') n')

    Args:
        x, h: inputs and first state.
        kernel, recurrent_kernel, bias: (d, 3 units), (units, 3 units), (2, 3 units) or None.
        mask: bool (time, batch); False leaves the state as it is. Default: None.
        activation, recurrent_activation: φ and σ, names that `has_fast_form` knows.
        unroll: compile one long program instead of a loop. Default: False.
        sequences: whether to return the outputs of all steps; None otherwise. Default: True.

    Example:
        >>> from staghorn.ops import recurrence
        >>> ones, zeros = staghorn.ops.ones, staghorn.ops.zeros((2, 3))
        >>> weights = ones((4, 9)), ones((3, 9))
        >>> outputs, h = recurrence.gru(ones((5, 2, 4)), zeros, *weights)
        >>> outputs.shape, h.shape
        ((5, 2, 3), (2, 3))
    """
    of_input, of_state = (None, jnp.zeros(kernel.shape[-1], x.dtype)) if bias is None else bias
    projected = project(x, kernel, of_input)
    form = _Form(activation, recurrent_activation, unroll, sequences)
    return _gru(projected, recurrent_kernel, of_state, h, mask, form)


def _gru_steps(
    x: Any, weights: Any, bias: Any, h: Any, mask: Any, form: _Form, save: bool
) -> tuple[Any, Any]:
    phi, sigma = form.phi[0], form.sigma[0]
    units = h.shape[-1]

    def body(h: jax.Array, xs: tuple) -> tuple[Any, Any]:
        x, keep = xs
        inner = jnp.matmul(h, weights) + jnp.reshape(bias, (1, -1))
        gates = sigma(x[:, : 2 * units] + inner[:, : 2 * units])
        z, r = jnp.split(lax.optimization_barrier(gates), 2, axis=-1)
        inner_n = inner[:, 2 * units :]
        n = lax.optimization_barrier(phi(x[:, 2 * units :] + r * inner_n))
        h = _choose(keep, z * h + (1 - z) * n, h)
        return h, (h, z, r, n, inner_n) if save else (h if form.sequences else None)

    return form.scan(body, h, (x, mask))


@partial(jax.custom_jvp, nondiff_argnums=(5,))
def _gru(x: Any, weights: Any, bias: Any, h: Any, mask: Any, form: _Form) -> tuple[Any, Any]:
    h, outputs = _gru_steps(x, weights, bias, h, mask, form, save=False)
    return outputs, h


@_gru.defjvp
def _gru_jvp(form: _Form, primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
    x, weights, bias, h, mask = primals
    dx, dweights, dbias, dh, _ = tangents
    phi_slope, sigma_slope = form.phi[1], form.sigma[1]
    last, (hs, z, r, n, inner_n) = _gru_steps(x, weights, bias, h, mask, form, save=True)
    before = _before(h, hs)
    by_z = (before - n) * sigma_slope(z)
    by_n = (1 - z) * phi_slope(n)
    by_r = by_n * inner_n * sigma_slope(r)
    by_inner = jnp.concatenate([by_z, by_r, by_n * r], axis=-1)
    by_x = jnp.concatenate([by_z, by_r, by_n], axis=-1)
    inner = project(before, dweights, dbias)
    moved = _sum_of_three(by_x * dx + by_inner * inner)
    turned = _turned(weights)

    def body(dh: jax.Array, xs: tuple) -> tuple[Any, Any]:
        moved, by_inner, z, keep = xs
        through = _sum_of_three(lax.optimization_barrier(by_inner * _through(dh, turned)))
        dh = _choose(keep, z * dh + moved + through, dh)
        return dh, dh if form.sequences else None

    dh, dhs = form.scan(body, dh, (moved, by_inner, z, mask))
    return (hs if form.sequences else None, last), (dhs, dh)


def _sum_of_three(x: jax.Array) -> jax.Array:
    """(…, 3 units) → (…, units)."""
    a, b, c = jnp.split(x, 3, axis=-1)
    return a + b + c


# --- simple ---------------------------------------------------------------------------------------


def simple_rnn(
    x: jax.Array,
    h: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
    activation: str = "tanh",
    unroll: bool = False,
    sequences: bool = True,
) -> tuple[jax.Array | None, jax.Array]:
    """Fully connected recurrence over a sequence.

    x (time, batch, d), h (batch, units) → outputs (time, batch, units), last h

        h' = φ(x @ kernel + bias + h @ recurrent_kernel)

    Args:
        x, h: inputs and first state.
        kernel, recurrent_kernel, bias: (d, units), (units, units), (units,) or None.
        mask: bool (time, batch); False leaves the state as it is. Default: None.
        activation: φ, a name that `has_fast_form` knows.
        unroll: compile one long program instead of a loop. Default: False.
        sequences: whether to return the outputs of all steps; None otherwise. Default: True.

    Example:
        >>> from staghorn.ops import recurrence
        >>> ones, zeros = staghorn.ops.ones, staghorn.ops.zeros((2, 3))
        >>> weights = ones((4, 3)), ones((3, 3))
        >>> outputs, h = recurrence.simple_rnn(ones((5, 2, 4)), zeros, *weights)
        >>> outputs.shape, h.shape
        ((5, 2, 3), (2, 3))
    """
    form = _Form(activation, "linear", unroll, sequences)
    return _simple(project(x, kernel, bias), recurrent_kernel, h, mask, form)


def _simple_steps(
    x: Any, weights: Any, h: Any, mask: Any, form: _Form, save: bool
) -> tuple[Any, Any]:
    phi = form.phi[0]

    def body(h: jax.Array, xs: tuple) -> tuple[Any, Any]:
        x, keep = xs
        h = _choose(keep, phi(x + jnp.matmul(h, weights)), h)
        return h, h if save or form.sequences else None

    return form.scan(body, h, (x, mask))


@partial(jax.custom_jvp, nondiff_argnums=(4,))
def _simple(x: Any, weights: Any, h: Any, mask: Any, form: _Form) -> tuple[Any, Any]:
    h, outputs = _simple_steps(x, weights, h, mask, form, save=False)
    return outputs, h


@_simple.defjvp
def _simple_jvp(form: _Form, primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
    x, weights, h, mask = primals
    dx, dweights, dh, _ = tangents
    last, hs = _simple_steps(x, weights, h, mask, form, save=True)
    # Masked steps show the state before them; their slope is never used.
    slope = form.phi[1](hs)
    moved = slope * (dx + _matmul_all(_before(h, hs), dweights))
    turned = _turned(weights)

    def body(dh: jax.Array, xs: tuple) -> tuple[Any, Any]:
        moved, slope, keep = xs
        dh = _choose(keep, moved + slope * _through(dh, turned), dh)
        return dh, dh if form.sequences else None

    dh, dhs = form.scan(body, dh, (moved, slope, mask))
    return (hs if form.sequences else None, last), (dhs, dh)
