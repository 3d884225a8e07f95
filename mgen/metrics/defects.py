"""What is wrong with a clip whatever it sounds like: clipped, cut flat, or silent."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from mgen.metrics.clips import check_clips, one_by_one

Array = jax.Array


def clipping(wave: Array, *, full_scale: float = 1 - 2.0**-15) -> Array:
    """Share of samples at or beyond full scale.

    Args:
      wave: float32 [..., samples].
      full_scale: amplitude that counts; 32767 / 32768 is the largest that a file of 16 bits holds.

    Returns:
      float32 [...], 0 to 1. Lossy files often decode beyond 1, and would be clipped when written again.

    Raises:
      ValueError: full_scale is not above zero, or refused by `check_clips`.

    Reference: full scale as in AES17, "Measurement of digital audio equipment".
    """
    if not full_scale > 0:
        raise ValueError(f"full_scale={full_scale}: expected a number above zero; 1 is full scale")
    return _clipping(check_clips(wave), full_scale=full_scale)


def flat_tops(wave: Array, *, run: int = 3) -> Array:
    """Share of samples in runs of equal samples at the largest or the smallest value of their clip.

    Finds a clip that was cut and then turned down, which `clipping` does not. Peaks of quiet or low tones in 16 bits
    are flat too, a few samples a period, and a square wave is all flat: it is a hint, where `clipping` is a fact.

    Args:
      wave: float32 [..., samples].
      run: equal neighbours that make a run.

    Returns:
      float32 [...], 0 to 1. 0 for digital silence and 1 for any other constant.

    Raises:
      ValueError: run is less than 2, or refused by `check_clips`.

    Reference: Laguna & Lerch, "An efficient algorithm for clipping detection and declipping audio", AES 141, 2016, who
      look at the histogram's ends where this looks at runs.
    """
    if run < 2:
        raise ValueError(f"run={run}: expected at least 2 samples; 3 is usual")
    return _flat_tops(check_clips(wave), run=run)


def silence(wave: Array, *, frame_length: int = 2048, hop_length: int = 512, threshold_db: float = -60.0) -> Array:
    """Share of frames whose root mean square is below a threshold.

    Args:
      wave: float32 [..., samples].
      frame_length: samples per frame; frames lie within the wave, and what is behind the last whole one is not seen.
      hop_length: samples between frames.
      threshold_db: dB relative to a root mean square of 1, so that a sine at full scale is -3.01.

    Returns:
      float32 [...], 0 to 1. Digital silence is 1 at any threshold.

    Raises:
      ValueError: frame_length or hop_length is less than 1, threshold_db is too low to be held in float32, a clip is
        shorter than a frame, or refused by `check_clips`.

    Reference: `librosa.effects.split`, whose threshold is relative to the loudest frame; here it is to full scale.
    """
    if frame_length < 1 or hop_length < 1:
        raise ValueError(f"frame_length={frame_length}, hop_length={hop_length}: expected at least 1 sample each")
    if not threshold_db >= -370:
        raise ValueError(f"threshold_db={threshold_db}: expected -370 or more; -60 is usual")
    wave = check_clips(wave, shortest=frame_length)
    return _silence(wave, frame_length=frame_length, hop_length=hop_length, threshold_db=threshold_db)


@functools.partial(jax.jit, static_argnames=("full_scale",))
def _clipping(wave: Array, *, full_scale: float) -> Array:
    return one_by_one(lambda wave: jnp.mean(jnp.abs(wave) >= full_scale), wave)


@functools.partial(jax.jit, static_argnames=("run",))
def _flat_tops(wave: Array, *, run: int) -> Array:
    def one(wave: Array) -> Array:
        largest, smallest = jnp.max(wave), jnp.min(wave)
        share = jnp.zeros(())
        for extreme in (largest, smallest):
            at = (wave == extreme) & (extreme != 0)
            # Opening: what survives a minimum over `run` samples begins a run, and the maximum gives its samples back.
            behind_the_end = jnp.pad(at, (0, run - 1))
            begins = lax.reduce_window(behind_the_end, True, lax.bitwise_and, (run,), (1,), "VALID")
            inside = lax.reduce_window(begins, False, lax.bitwise_or, (run,), (1,), [(run - 1, 0)])
            share += jnp.mean(inside)
        return jnp.where(largest == smallest, share / 2, share)

    return one_by_one(one, wave)


@functools.partial(jax.jit, static_argnames=("frame_length", "hop_length", "threshold_db"))
def _silence(wave: Array, *, frame_length: int, hop_length: int, threshold_db: float) -> Array:
    step = math.gcd(frame_length, hop_length)  # each sample is squared and summed once, in pieces that frames share

    def one(wave: Array) -> Array:
        pieces = wave[: wave.shape[-1] // step * step].reshape(-1, step)
        sums = jnp.sum(jnp.square(pieces), axis=-1)
        frames = lax.reduce_window(sums, 0.0, lax.add, (frame_length // step,), (hop_length // step,), "VALID")
        return jnp.mean(frames < frame_length * 10 ** (threshold_db / 10))

    return one_by_one(one, wave)
