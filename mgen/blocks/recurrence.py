"""Layers that read a sequence step by step and carry a state: one more step costs the same however many went before.

    x [batch, steps, width], state -> layer -> ... -> y [batch, steps, width], state after the last step

Reference: Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997; Cho et al., "Learning
  phrase representations using RNN encoder-decoder", EMNLP 2014 (GRU); De et al., "Griffin: mixing gated linear
  recurrences with local attention", 2024, arXiv:2402.19427 (the linear one: a state space whose decay is gated).
"""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

Array = jax.Array
#: What a layer carries from one step to the next: a tree of float32 [batch, width].
State = Any
Cell = Literal["lstm", "gru", "linear"]

_SHARPNESS = 8.0  # of the gate of a decay
_DECAYS = (0.9, 0.999)  # of a linear layer's states where the gate is fully open, before training


class GatedLinear(nn.Module):
    """A linear recurrence of each channel by itself, with input and decay gated: [batch, steps, width] to the same.

    Nothing of the gates depends on the state: all steps of a training clip are found at once, by a scan of depth
    log(steps).
    """

    width: int

    @nn.compact
    def __call__(self, x: Array, state: Array) -> tuple[Array, Array]:
        """The outputs, and the state after the last step, [batch, width]."""

        def spread(rng: Array, shape: tuple[int, ...]) -> Array:
            decay = jax.random.uniform(rng, shape, minval=_DECAYS[0], maxval=_DECAYS[1])
            return jnp.log(jnp.expm1(-jnp.log(decay) / _SHARPNESS))  # what `softplus` below undoes

        own = self.param("decay", spread, (self.width,))
        gate = nn.sigmoid(nn.Dense(self.width, name="gate")(x))
        log_decay = -_SHARPNESS * gate * nn.softplus(own)
        admitted = nn.sigmoid(nn.Dense(self.width, name="admit")(x)) * nn.Dense(self.width, name="value")(x)
        # What is let in is the rest of what is kept: states stay as large as their inputs. The margin is for the root.
        gained = jnp.sqrt(-jnp.expm1(2 * log_decay) + 1e-6) * admitted

        def joined(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
            return first[0] + second[0], jnp.exp(second[0]) * first[1] + second[1]

        total, states = jax.lax.associative_scan(joined, (log_decay, gained), axis=1)
        states = states + jnp.exp(total) * state[:, None]
        shown = nn.gelu(nn.Dense(self.width, name="shown")(x))
        return nn.Dense(self.width, name="out")(states * shown), states[:, -1]


class Stack(nn.Module):
    """Layers on top of each other, each but a first LSTM or GRU added to what it reads: [batch, steps, width]."""

    cell: Cell
    width: int
    depth: int

    @nn.compact
    def __call__(self, x: Array, states: tuple[State, ...]) -> tuple[Array, tuple[State, ...]]:
        """The outputs, and the state of each layer after the last step."""
        after = []
        for number in range(self.depth):
            name = f"layer_{number}"
            if self.cell == "linear":
                y, state = GatedLinear(self.width, name=name)(x, states[number])
            else:
                cell = nn.OptimizedLSTMCell if self.cell == "lstm" else nn.GRUCell
                layer = nn.RNN(cell(self.width, name=name), return_carry=True)
                state, y = layer(x, initial_carry=states[number])
            after.append(state)
            x = x + y if number or self.cell == "linear" else y
        return x, tuple(after)


def silent(cell: Cell, width: int, depth: int, batch: int) -> tuple[State, ...]:
    """States of a `Stack` that has read nothing."""
    zero = jnp.zeros((batch, width))
    return tuple((zero, zero) if cell == "lstm" else zero for _ in range(depth))
