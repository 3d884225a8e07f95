"""How loud a clip is to a listener: integrated loudness by the broadcasters' standard, mono."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.fft import next_fast_len

from mgen.metrics.clips import check_clips, one_by_one

Array = jax.Array

_BLOCK_S = 0.4
_HOPS_PER_BLOCK = 4  # blocks overlap by 75 %
_GATE_LUFS = -70.0
_GATE_LU = -10.0
_OFFSET = -0.691  # takes back the gain of the weighting at 997 Hz
# Tables 1 and 2 of the standard, at 48 kHz: (numerator, denominator) of a shelf for the head and of a high-pass.
_TABLE_RATE = 48_000
_SECTIONS = (
    ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)
_TAIL_S = 0.5  # of zeros behind a clip, in which the weighting's memory (4 ms) runs out before it comes round


def loudness(wave: Array, *, sample_rate: float) -> Array:
    """Integrated loudness of each clip as a mono programme.

    K-weighting, mean squares over blocks of 400 ms every 100 ms, and the two gates: blocks below -70 LUFS are left out,
    then those more than 10 LU below the mean of the rest. A hop is a whole number of samples, nearest to 100 ms.

    Args:
      wave: float32 [..., samples], amplitude in [-1, 1]. A mono file that a listener gets from two loudspeakers is
        3 LU louder than this.
      sample_rate: Hz.

    Returns:
      float32 [...], LUFS. A sine of 997 Hz that reaches full scale is -3.01. -70 where no block passes the gate, as
      for digital silence (where the standard has no answer, and other meters say minus infinity).

    Raises:
      ValueError: sample_rate is not above zero, a clip is shorter than one block of 400 ms, or refused by
        `check_clips`.

    Reference: ITU-R BS.1770-4, "Algorithms to measure audio programme loudness and true-peak audio level", 2015.
    """
    if not sample_rate > 0:
        raise ValueError(f"sample_rate={sample_rate}: expected Hz above zero; 22050 and 48000 are usual")
    hop = round(sample_rate * _BLOCK_S / _HOPS_PER_BLOCK)
    wave = check_clips(wave)
    if wave.shape[-1] < hop * _HOPS_PER_BLOCK:
        raise ValueError(
            f"wave: {wave.shape[-1]} samples are too few; loudness is measured over blocks of {_BLOCK_S} s, "
            f"give at least {hop * _HOPS_PER_BLOCK} at sample_rate={sample_rate}"
        )
    size = next_fast_len(wave.shape[-1] + round(_TAIL_S * sample_rate), real=True)
    response = k_weighting(np.arange(1 + size // 2) * (sample_rate / size))
    return _loudness(wave, jnp.asarray(response, jnp.complex64), hop=hop, size=size)


def k_weighting(frequency: np.ndarray) -> np.ndarray:
    """Response of K-weighting at any frequency, from the standard's own tables.

    The tables are filters at 48 kHz. Filtering is done on spectra, so a clip at another rate needs no filter of its
    own, only this response at its own frequencies: the measure is the same at any rate, with none of the warping of
    filters designed anew for each.

    Args:
      frequency: Hz, of any shape. Above 24 kHz, where the tables end, the response is that at 24 kHz.

    Returns:
      complex128 of the same shape, amplitude.

    Reference: ITU-R BS.1770-4, tables 1 and 2.
    """
    delay = np.exp(-2j * np.pi * np.minimum(frequency, _TABLE_RATE / 2) / _TABLE_RATE)
    return np.prod([np.polyval(b[::-1], delay) / np.polyval(a[::-1], delay) for b, a in _SECTIONS], axis=0)


@functools.partial(jax.jit, static_argnames=("hop", "size"))
def _loudness(wave: Array, response: Array, *, hop: int, size: int) -> Array:
    samples = wave.shape[-1]
    hops = samples // hop

    def lufs(energy: Array) -> Array:
        return _OFFSET + 10 * jnp.log10(jnp.maximum(energy, 1e-30))

    def mean(energy: Array, chosen: Array) -> Array:
        return jnp.sum(jnp.where(chosen, energy, 0)) / jnp.maximum(jnp.sum(chosen), 1)

    def one(wave: Array) -> Array:
        # By transform and not sample by sample: the recursion is a loop that no accelerator likes.
        weighted = jnp.fft.irfft(jnp.fft.rfft(wave, size) * response, size)[: hops * hop]
        energy = jnp.mean(jnp.square(weighted.reshape(hops, hop)), axis=-1)
        blocks = hops - _HOPS_PER_BLOCK + 1
        energy = sum(energy[first : first + blocks] for first in range(_HOPS_PER_BLOCK)) / _HOPS_PER_BLOCK
        heard = lufs(energy) > _GATE_LUFS
        loud = heard & (lufs(energy) > lufs(mean(energy, heard)) + _GATE_LU)
        return jnp.where(jnp.any(loud), lufs(mean(energy, loud)), _GATE_LUFS)

    return one_by_one(one, wave)
