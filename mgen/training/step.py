"""The training step is a game: each player in turn descends its own loss in its own parameters, the others held fixed.

Everything but a GAN is a game of one. State is explicit, random keys are folded from the step number and never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from mgen.contracts import Array, Batch, Corpus, Features, Loss, Processed, Variables
from mgen.parallel import AXIS


@flax.struct.dataclass
class TrainState:
    """All that training carries from one step to the next."""

    step: Array  # int32 scalar: steps done
    variables: Variables
    optimiser: dict[str, Any]  # optax state per player
    ema: dict[str, Any]  # running mean of each player's params


def create_state(variables: Variables, optimisers: Mapping[str, optax.GradientTransformation]) -> TrainState:
    """The state before the first step.

    Raises:
      ValueError: the optimisers are not exactly one per player.
    """
    if set(optimisers) != set(variables):
        raise ValueError(f"optimisers: expected one for each of {sorted(variables)}, got {sorted(optimisers)}")
    params = {player: own["params"] for player, own in variables.items()}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        variables=variables,
        optimiser={player: optimisers[player].init(params[player]) for player in variables},
        ema=jax.tree.map(jnp.copy, params),  # a copy: a donated buffer must not be donated twice
    )


def averaged(state: TrainState) -> Variables:
    """The variables with their running means in place of the last parameters: what is sampled and validated."""
    return {player: {**own, "params": state.ema[player]} for player, own in state.variables.items()}


def encoder(features: Features, corpus: Corpus) -> Callable[[Batch], Array]:
    """From a batch of the corpus to its features: what the corpus leaves to be done, and then `features.encode`."""

    def encode(batch: Batch) -> Array:
        wave = batch["wave"]
        if isinstance(corpus, Processed):
            wave = corpus.process(wave, batch["labels"])
        return features.encode(wave)

    return encode


def _with_features(encode: Callable[[Batch], Array], batch: Batch) -> Batch:
    return {**batch, "features": encode(batch)}


def make_step(
    losses: Mapping[str, Loss],
    optimisers: Mapping[str, optax.GradientTransformation],
    *,
    encode: Callable[[Batch], Array],
    ema_decay: float,
) -> Callable[[TrainState, Array, Batch], tuple[TrainState, dict[str, Array]]]:
    """One step of the game, to be compiled by `mgen.parallel.replicate`.

    An update whose gradient is not finite is refused whole, and the step's metric `refused` is 1: one bad batch costs
    nothing but itself.

    Args:
      losses: one per player, in order of play.
      optimisers: one per player.
      encode: batch to features (`encoder`), run inside the step so that only waveforms cross to the device.
      ema_decay: of the running mean of the parameters; with 0 it is the last parameters. It warms up as
        (1 + step) / (10 + step).

    Returns:
      A function (state, rng, batch) to (state, metrics); the metrics are scalars named `player/name`.
    """

    def step(state: TrainState, rng: Array, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        rng = jax.random.fold_in(jax.random.fold_in(rng, state.step), jax.lax.axis_index(AXIS))
        batch = _with_features(encode, batch)
        variables, optimiser, ema, metrics = dict(state.variables), dict(state.optimiser), dict(state.ema), {}
        refused = jnp.zeros(())
        decay = jnp.minimum(ema_decay, (1 + state.step) / (10 + state.step))
        for turn, (player, loss) in enumerate(losses.items()):

            def own_loss(params, player=player, loss=loss, turn=turn):
                own = {**variables[player], "params": params}
                output = loss({**variables, player: own}, jax.random.fold_in(rng, turn), batch, train=True)
                return output.value, output

            own = variables[player]
            gradient, output = jax.grad(own_loss, has_aux=True)(own["params"])
            gradient, collections = jax.lax.pmean((gradient, dict(output.updates)), AXIS)
            norm = optax.tree.norm(gradient)
            fine = jnp.isfinite(norm)
            updates, moved = optimisers[player].update(gradient, optimiser[player], own["params"])
            played = {**own, **collections, "params": optax.apply_updates(own["params"], updates)}
            variables[player] = _choose(fine, played, {name: own[name] for name in played})
            optimiser[player] = _choose(fine, moved, optimiser[player])
            ema[player] = jax.tree.map(
                lambda mean, new: mean + (1 - decay) * (new - mean), ema[player], variables[player]["params"]
            )
            refused = jnp.where(fine, refused, 1.0)
            metrics |= {f"{player}/{name}": value for name, value in output.metrics.items()}
            metrics |= {f"{player}/loss": output.value, f"{player}/gradient_norm": norm}
        new = TrainState(state.step + 1, variables, optimiser, ema)
        return new, {**jax.lax.pmean(metrics, AXIS), "refused": refused}

    return step


def _choose(fine: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, old)


def make_validation(
    losses: Mapping[str, Loss], *, encode: Callable[[Batch], Array]
) -> Callable[[Variables, Array, Batch], dict[str, Array]]:
    """Every player's loss on held-out items, nothing trained; to be compiled by `mgen.parallel.replicate`."""

    def validate(variables: Variables, rng: Array, batch: Batch) -> dict[str, Array]:
        batch = _with_features(encode, batch)
        metrics = {}
        for turn, (player, loss) in enumerate(losses.items()):
            output = loss(variables, jax.random.fold_in(rng, turn), batch, train=False)
            metrics |= {f"{player}/{name}": value for name, value in output.metrics.items()}
            metrics[f"{player}/loss"] = output.value
        return jax.lax.pmean(metrics, AXIS)

    return validate
