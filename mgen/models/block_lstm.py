"""System 002: a recurrent network reads a song block by block, says what the next block may be, and so continues it.

    blocks [batch, steps, values] -> levels -> Dense -> layers that carry a state -> Dense -> next block [.., values]

The original predicts each of 22,050 numbers of a Fourier transform outright (`head="point"`), appends its own answer,
and reads all of it again: but where nobody can know the phase of the next block the answer with the least error is
silence, and that is what it comes to. Here the network says a density of each number (`head="mixture"`). Its mean is
what the number is next if it is of a steady tone, its width is how loud the number lately was, and the layers say how
much of either there is, and over what time (`mgen.blocks.history`). What came after earlier moments like the present
one is one more such loudness (`mgen.blocks.recall`): from it come notes and beats. The next block is drawn from that,
and so has the loudness and the spectrum of music; a song that was never heard in training keeps its own tones, because
they are not in the parameters.

The network carries all that it knows of the past in a state of one size: one more block costs the same after a minute
as after a second, where the original's cost grew with what it had made.

Reference: facts of system 002; Nayebi & Vitelli, "GRUV: algorithmic music generation using recurrent neural networks",
  Stanford CS224d, 2015; Bishop, "Mixture density networks", 1994; Bengio et al., "Scheduled sampling for sequence
  prediction with recurrent neural networks", NeurIPS 2015, and Mihaylova & Martins, "Scheduled sampling for
  transformers", ACL SRW 2019 (own answers in two passes instead of step by step).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls
from mgen.blocks import recall
from mgen.blocks.history import SILENCE, State, pooled
from mgen.blocks.mixture import Mixture, draw, expected, log_density
from mgen.blocks.outlook import Outlook, Point
from mgen.blocks.recurrence import Cell
from mgen.blocks.seeds import ending_in_sound, mean_power
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables

_GUARDED, _LATELY = 2, 32.0  # neighbours to each side, and blocks, that are kept as loud as they were, together
_LOUDEST = 4.0  # power that one block may have, beside what many may
_MOST_GAIN = 2.0  # of a block that is too quiet
_READ = 108  # blocks of a seed that are read at once
_TRUST = 0.8  # in what is recalled, when it plays: what the mean of many pieces says is of no one piece


@dataclasses.dataclass(frozen=True)
class BlockLstm:
    """Recurrent network over blocks of sound (system 002)."""

    cell: Cell = "lstm"
    """Kind of layer: lstm, gru, or linear (a gated linear recurrence)."""
    width: int = 256
    """Channels of a layer."""
    depth: int = 1
    """Layers."""
    head: Literal["mixture", "point"] = "mixture"
    """What is said of the next block: a density of each number, or the numbers themselves, as the original does."""
    bands: int = 96
    """Places along the values where the layers say what is expected; between them it is a straight line."""
    recall: int = 432
    """Moments that are remembered, to recall what came after those that were like the present one; 0 is none."""
    components: int = 2
    """Densities that are mixed for each number."""
    loss: Literal["l1", "l2"] = "l1"
    """Mean or squared error of the numbers; of densities, whether they are of Laplace or of Gauss."""
    own: float = 0.3
    """Share of the blocks read in training that are the network's own answers in place of what was played."""
    own_after: int = 150
    """Steps over which that share is reached."""
    truncate: int = 108
    """Blocks that a gradient goes back over; the state is carried on. 0 is the whole clip."""
    silence_after: bool = False
    """Whether silence is asked for after a clip's last block, as the original does."""
    guard_db: float = 6.0
    """Decibels that any part of the spectrum may for seconds be louder or quieter than in what it goes on from."""
    examples: int = 8
    """Training clips that are kept, to begin from where no sound is given."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        least = {
            "width": 1,
            "depth": 1,
            "bands": 2,
            "recall": 0,
            "components": 1,
            "own_after": 0,
            "truncate": 0,
            "guard_db": 0,
            "examples": 1,
        }
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"model.{name}: expected at least {value}, got {getattr(self, name)}")
        for name, options in {
            "cell": ("lstm", "gru", "linear"),
            "head": ("mixture", "point"),
            "loss": ("l1", "l2"),
        }.items():
            if getattr(self, name) not in options:
                raise ValueError(f"model.{name}: expected {', '.join(options)}, got {getattr(self, name)!r}")
        if 0 < self.recall <= recall.APART:
            raise ValueError(f"model.recall: expected 0, or more than {recall.APART}, got {self.recall}")
        if not 0 <= self.own < 1:
            raise ValueError(f"model.own: expected 0 <= own < 1, got {self.own}")

    @property
    def _network(self) -> nn.Module:
        if self.head == "point":
            return Point(self.cell, self.width, self.depth)
        return Outlook(self.cell, self.width, self.depth, self.bands, self.recall, self.components)

    @property
    def _recalls(self) -> bool:
        return self.head == "mixture" and self.recall > 0

    @property
    def _kind(self) -> Literal["laplace", "normal"]:
        return "laplace" if self.loss == "l1" else "normal"

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the features are no row of two or more blocks."""
        if len(spec.shape) != 2 or spec.shape[0] < 2:
            raise ValueError(f"model: expected features of blocks of values, such as FftBlocks'; they are {spec.shape}")
        made = self._network.init(rng, jnp.zeros((1, 1, spec.shape[1])), self._network.silent(1, spec.shape[1]))
        memory = {"step": jnp.zeros(()), "clips": jnp.zeros((self.examples, *spec.shape))}
        return {"blocks": {"params": made["params"], "memory": memory}}

    def fit(self, variables: Variables, examples: np.ndarray, spec: Spec) -> Variables:
        """Keeps some training clips, float32 [clips, *spec.shape], to begin from."""
        own = variables["blocks"]
        clips = np.resize(examples, (self.examples, *spec.shape)).astype(np.float32)  # again from the first if few
        return {"blocks": {**own, "memory": {**own["memory"], "clips": clips}}}

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player, descending the mean error of the next block, or the nats that its numbers cost."""
        return {"blocks": functools.partial(self._loss, spec)}

    def _loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        blocks, memory = batch["features"], variables["blocks"]["memory"]
        wanted = blocks[:, 1:]
        if self.silence_after:
            wanted = jnp.concatenate([wanted, jnp.zeros_like(blocks[:, :1])], axis=1)
        read = blocks[:, : wanted.shape[1]]
        if train and self.own:
            share = self.own * jnp.minimum(1.0, memory["step"] / max(self.own_after, 1))
            which, how = jax.random.split(rng)
            answers = (
                draw(self._read(variables, read), how, self._kind)
                if self.head == "mixture"
                else expected(self._read(variables, read))
            )
            mine = jax.random.uniform(which, (*read.shape[:2], 1)) < share
            shifted = jnp.concatenate([read[:, :1], answers[:, :-1]], axis=1)
            read = jax.lax.stop_gradient(jnp.where(mine, shifted, read))
        found = self._read(variables, read)
        middle = expected(found)
        apart = middle - wanted
        error, squared = jnp.mean(jnp.abs(apart)), jnp.mean(jnp.square(apart))
        # Of silence, which is hard to beat where the phase of the next block is anyone's guess.
        metrics = {
            "error": error / (jnp.mean(jnp.abs(wanted)) + SILENCE),
            "squared_error": squared / (jnp.mean(jnp.square(wanted)) + SILENCE),
        }
        if self.head == "mixture":
            value = -jnp.mean(log_density(found, wanted, self._kind))
        else:
            value = error if self.loss == "l1" else squared
        updates = {"memory": {**memory, "step": memory["step"] + 1}} if train else {}
        return LossOutput(value, metrics, updates)

    def _read(self, variables: Variables, blocks: Array) -> Mixture:
        """Densities of the blocks after each, [batch, steps, values, components], from silence on."""
        state, found = self._network.silent(len(blocks), blocks.shape[-1]), []
        size = self.truncate or blocks.shape[1]
        for start in range(0, blocks.shape[1], size):
            state = jax.lax.stop_gradient(state)
            some, state = self._network.apply(
                {"params": variables["blocks"]["params"]}, blocks[:, start : start + size], state
            )
            found.append(some)
        return jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *found)

    def predict(self, variables: Variables, blocks: Array) -> Array:
        """The expected block after each of some, all of which are known: float32 [batch, steps, values] to the same."""
        return expected(self._read(variables, blocks))

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """Sounds to go on from, how, and for how long."""
        aside, choice = controls.AsideSlider, controls.AsideChoice
        varied = aside("temperature", 0.0, 1.5, 1.0, help="0 is what is expected, 1 as varied as music")
        recalled = aside("recall", 0.0, 1.0, _TRUST, help="how closely it does again what it has heard")
        return (
            controls.Clip("seed_clip", "goes on from this sound instead of from a random one"),
            controls.Clip("seed_clip_to", "where mix leads, instead of to a random one"),
            aside("mix", 0.0, 1.0, 0.0, help="how far from seed_clip to seed_clip_to, where either is given"),
            choice("mixing", ("states", "sounds"), help="what is mixed: what was understood, or the sounds"),
            *([varied] if self.head == "mixture" else []),
            *([recalled] if self._recalls else []),
            controls.seconds(),
            choice("begins_with", ("new", "seed"), help="seed: half of the sound at most is what it goes on from"),
        )

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]: as much as one clip holds, see `go_on`."""
        return self.go_on(variables, rng, settings, spec, steps=spec.shape[0])

    def go_on(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec, *, steps: int) -> Array:
        """float32 [count, steps, values]: goes on from clips, or from two random ones of training, half way between."""
        bank, kinds = variables["blocks"]["memory"]["clips"], jax.random.split(rng, 3)
        count = len(settings["mix"])
        one = jax.random.randint(kinds[0], (count,), 0, len(bank))
        other = one + jax.random.randint(kinds[1], (count,), 1, max(len(bank), 2))
        first, second = bank[one], bank[other % len(bank)]
        mix = jnp.full(count, 0.5)
        given = [settings.get(name) for name in ("seed_clip", "seed_clip_to")]
        if any(clips is not None for clips in given):
            first, second = (
                drawn if clips is None else jnp.where(clips.given[:, None, None], clips.features, drawn)
                for clips, drawn in zip(given, (first, second), strict=True)
            )
            some = functools.reduce(jnp.logical_or, [clips.given for clips in given if clips is not None])
            mix = jnp.where(some, jnp.asarray(settings["mix"], jnp.float32), mix)
        first, second = ending_in_sound(first), ending_in_sound(second)
        mix = mix[:, None, None]
        # Two songs have nothing to do with each other: their powers add, not their amplitudes.
        mixed = ((1 - mix) * first + mix * second) / jnp.sqrt(jnp.square(1 - mix) + jnp.square(mix))
        as_sound = (jnp.asarray(settings["mixing"]) == 1)[:, None, None]
        first, second = jnp.where(as_sound, mixed, first), jnp.where(as_sound, mixed, second)
        found = [self._started(variables, blocks) for blocks in (first, second)]
        state = jax.tree.map(
            lambda a, b: a + mix.reshape(count, *[1] * (a.ndim - 1)) * (b - a), found[0], found[1]
        )  # the density of the next block, and the state
        if "recalled" in state[1]:
            state[1]["recalled"] = recall.joined(*(own["recalled"] for _, own in found), mix[:, 0, 0])
            state[1]["trust"] = jnp.asarray(settings["recall"], jnp.float32)
        reference = (1 - mix[:, 0]) * mean_power(first) + mix[:, 0] * mean_power(second)  # [count, values]
        temperature = jnp.asarray(settings.get("temperature", jnp.zeros(count)), jnp.float32)[:, None]

        def step(carry: tuple[Any, ...], key: Array) -> tuple[tuple[Any, ...], Array]:
            mixture, state, lately = carry
            drawing, recalling = jax.random.split(key)
            block = draw(mixture, drawing, self._kind, temperature) if self.head == "mixture" else expected(mixture)
            block, lately = self._guarded(block, lately, reference, temperature > 0)
            params = {"params": variables["blocks"]["params"]}
            found, state = self._network.apply(params, block[:, None], state, recalling)
            return (jax.tree.map(lambda part: part[:, 0], found), state, lately), block

        _, made = jax.lax.scan(step, (*state, reference), jax.random.split(kinds[2], steps))
        made = made.transpose(1, 0, 2)
        kept = (jnp.asarray(settings["begins_with"]) == 1)[:, None, None]
        most = min(first.shape[1], steps // 2)  # of the seed: the other half is new
        began = jnp.where(as_sound | (mix < 0.5), first, second)[:, first.shape[1] - most :]
        silent = jnp.argmax(jnp.any(began != 0, axis=-1), axis=1)  # blocks before a shorter seed begins
        whole = jax.vmap(lambda clip, by: jnp.roll(clip, -by, axis=0))(jnp.concatenate([began, made], axis=1), silent)
        return jnp.where(kept, whole[:, :steps], made)

    def _started(self, variables: Variables, blocks: Array) -> tuple[Mixture, State]:
        """The density after the last of some blocks, and the state there."""
        params, state = {"params": variables["blocks"]["params"]}, self._network.silent(len(blocks), blocks.shape[-1])
        for some in jnp.split(blocks, list(range(_READ, blocks.shape[1], _READ)), axis=1):  # densities are large
            found, state = self._network.apply(params, some, state)
        return jax.tree.map(lambda part: part[:, -1], found), state

    def _guarded(self, block: Array, lately: Array, reference: Array, drawn: Array) -> tuple[Array, Array]:
        """A block of which no part is so loud that the powers lately, [count, values], leave their bounds.

        Nor so quiet, where it is `drawn` [count, 1] and not what is expected, which is quiet by its nature.
        """
        power, before, wanted = (pooled(part, _GUARDED) + SILENCE for part in (jnp.square(block), lately, reference))
        bound = 10 ** (self.guard_db / 10)
        # What a block may have, and has to have, for the running mean after it to be at a bound.
        most, least = (wanted * edge * _LATELY - before * (_LATELY - 1) for edge in (bound, 1 / bound))
        most = jnp.minimum(most, _LOUDEST * bound * wanted)
        gain = jnp.clip(jnp.sqrt(jnp.maximum(most, 0) / power), 0, 1)
        gain = jnp.where(
            drawn & (least > power), jnp.minimum(jnp.sqrt(jnp.maximum(least, 0) / power), _MOST_GAIN), gain
        )
        block = block * gain
        return block, lately + (jnp.square(block) - lately) / _LATELY
