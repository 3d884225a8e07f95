"""Is there a beat, and is it more than coincidence.

One number carries it: `rhythm_strength`, the correlation of the onset envelope with itself one to four beats later.
`rhythm_test` asks how often noise that is like the clip, but has no beat, reaches as much; `tempo.tempo` is where it is
highest.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Array = jax.Array

# An overlap that holds less than this share of an envelope's energy says nothing of its period.
_QUIET = 1e-3
# Tempi that are tried are this far apart: well below the 4 % within which two count as one.
_TEMPO_STEP = 0.004


class RhythmTest(NamedTuple):
    """What `rhythm_test` found, float32 of the envelope's leading shape."""

    strength: Array
    """Statistic of the clip: `rhythm_strength`, or its maximum over all tempi where none was asked for."""
    p_value: Array
    """Share of noise that is as rhythmic, in (0, 1]."""


def rhythm_strength(envelope: Array, bpm: Any, *, sample_rate: float, hop_length: int = 512, beats: int = 4) -> Array:
    """How much the onsets repeat from beat to beat at a wanted tempo.

    The correlation of the envelope with itself one beat later, two, ... `beats` later, and the mean of these (of those
    no longer than half the clip). A lag between two frames is interpolated, which costs a perfect click track up to a
    quarter: compare clips of one tempo, or shorten the hop.

    Args:
      envelope: float32 [..., frames], from `onset.onset_envelope`.
      bpm: wanted tempo, beats per minute; one number, or an array that is broadcast against the leading axes.
      sample_rate: Hz, of the wave.
      hop_length: samples between frames.
      beats: lags that are averaged; 4 is a bar of most dance music.

    Returns:
      float32 [...]: 1 is a perfect beat, 0 what is expected of noise, -1 the opposite. A constant envelope, such as
      that of silence, has 0.

    Raises:
      ValueError: bpm is not above zero, so slow that half the clip is shorter than a beat, or so fast that a beat is
        shorter than two frames; beats is below 1; or the envelope is not [..., frames] of 4 frames or more, or
        not finite.

    Reference: Ellis 2007, as in `onset.onset_envelope`; a mean over lags is the comb of Davies & Plumbley,
      "Context-dependent beat tracking of musical audio", IEEE TASLP 15(3), 2007.
    """
    envelope = _checked(envelope)
    lags = _lags(np.broadcast_to(np.asarray(bpm, np.float64), envelope.shape[:-1]), envelope, sample_rate, hop_length)
    return jnp.sum(_autocorrelation(envelope) * _comb(lags, envelope.shape[-1], beats), axis=-1)


def strengths_of_tempi(
    envelope: Array, *, sample_rate: float, hop_length: int, min_tempo: float, max_tempo: float, beats: int
) -> tuple[np.ndarray, Array]:
    """`rhythm_strength` at every tempo of a range, those left out of which the clip has no two beats.

    Returns:
      Tempi, BPM, float64 [tempi], 0.4 % apart, and strengths, float32 [..., tempi].

    Raises:
      ValueError: not 0 < min_tempo < max_tempo, no tempo of the range fits the clip, or as in `rhythm_strength`.
    """
    envelope = _checked(envelope)
    tempi = _tempi(envelope, min_tempo, max_tempo, sample_rate, hop_length)
    comb = _comb(_lags(tempi, envelope, sample_rate, hop_length), envelope.shape[-1], beats)
    return tempi, _strengths(envelope, comb)


def rhythm_test(
    envelope: Array,
    *,
    rng: Array,
    sample_rate: float,
    hop_length: int = 512,
    bpm: Any | None = None,
    min_tempo: float = 60.0,
    max_tempo: float = 240.0,
    beats: int = 4,
    order: int = 4,
    surrogates: int = 999,
) -> RhythmTest:
    """Is there a beat, or is it coincidence: how often noise without one is as rhythmic.

    The noise is an autoregressive process fitted to the clip's own envelope and driven by its residuals, drawn at
    random. It has the envelope's short memory, which overlapping frames give even to white noise (-0.28 two frames
    later), and none beyond `order` frames, so no beat. The usual null distributions fail here: frames in random order
    lose that memory, so too much is called rhythmic (70 % of noise whose level wanders at up to 6 Hz, at the 5 %
    level), and random phases keep every autocorrelation, and with it the statistic.

    Measured on 1000 clips of 4 s, at the 5 % level, with `bpm` and without: white noise 5 and 4 %, wandering noise 6
    and 8 %, clicks at random times 6 and 7 %.

    Args:
      envelope: float32 [..., frames], from `onset.onset_envelope`. Each item is tested on its own.
      rng: key; item i, counted over all leading axes, draws from `jax.random.fold_in(rng, i)`.
      sample_rate: Hz, of the wave.
      hop_length: samples between frames.
      bpm: tempo asked for, as in `rhythm_strength`. If None, the statistic is the maximum over all tempi from
        `min_tempo` to `max_tempo`, for the clip and the noise alike, so that the search is paid for.
      min_tempo: slowest tempo searched, BPM.
      max_tempo: fastest tempo searched, BPM.
      beats: lags that are averaged.
      order: frames of memory: as many as overlap, n_fft // hop_length. Of a beat or more, the noise learns the beat.
      surrogates: how many noises; the smallest p-value is 1 / (1 + surrogates).

    Returns:
      `RhythmTest`. A constant envelope has strength 0 and p-value 1.

    Raises:
      ValueError: surrogates or order is below 1, there are not more than 2 * order frames, or as in `rhythm_strength`
        and `tempo`.

    Reference: Buhlmann, "Sieve bootstrap for time series", Bernoulli 3(2), 1997; Phipson & Smyth, "Permutation
      p-values should never be zero", 2010, for the 1 that is added.
    """
    envelope = _checked(envelope)
    frames, leading = envelope.shape[-1], envelope.shape[:-1]
    if surrogates < 1 or not 1 <= order < frames / 2:
        raise ValueError(
            f"surrogates={surrogates}, order={order}: expected at least 1, and 1 <= order < {frames / 2:g}, half the "
            "frames; 999 and 4 are usual"
        )
    if bpm is None:
        # Every third tempo: what lies between is no more independent, and surrogates cost a product each.
        tempi = _tempi(envelope, min_tempo, max_tempo, sample_rate, hop_length)[::3][None]
    else:
        tempi = np.broadcast_to(np.asarray(bpm, np.float64), leading).reshape(-1, 1)
    combs = _comb(_lags(tempi, envelope, sample_rate, hop_length), frames, beats)
    # One item at a time: all surrogates of a whole batch would not fit in memory.
    found = [
        _test(item, combs[index % len(combs)], rng, index, order, surrogates)
        for index, item in enumerate(np.asarray(envelope).reshape(-1, frames))
    ]
    return RhythmTest(*(jnp.asarray(np.array(values).reshape(leading)) for values in zip(*found, strict=True)))


@functools.partial(jax.jit, static_argnames=("order", "surrogates"))
def _test(envelope: Array, comb: Array, rng: Array, index: Array, order: int, surrogates: int) -> tuple[Array, Array]:
    """Strength and p-value of the envelope [frames] numbered `index`; comb is [tempi, frames]."""
    rng = jax.random.fold_in(rng, index)
    strength = jnp.max(_strengths(envelope, comb), axis=-1)
    noise = jnp.max(_strengths(_surrogates(envelope, rng, order, surrogates), comb), axis=-1)
    return strength, (1 + jnp.sum(noise >= strength)) / (1 + surrogates)


def _surrogates(envelope: Array, rng: Array, order: int, count: int) -> Array:
    """Noise [count, frames] with the autocorrelation of an envelope [frames] up to lag `order`, and none of its own."""
    frames = envelope.shape[-1]
    centred = _centred(envelope)
    spectrum = jnp.fft.rfft(centred)
    # Yule-Walker on the zero-padded, so positive definite, autocovariance: the filter is always stable.
    covariance = jnp.fft.irfft(jnp.square(jnp.abs(jnp.fft.rfft(centred, 2 * frames))), 2 * frames)[: order + 1]
    lags = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
    ridge = 1e-6 * covariance[0] + (covariance[0] == 0)
    taps = jnp.linalg.solve(covariance[lags] + ridge * jnp.eye(order), covariance[1:])
    # The clip is taken as a ring, so that filtering is exact and needs no run-up: unshuffled residuals give it back.
    whitening = jnp.fft.rfft(jnp.concatenate([jnp.ones(1), -taps]), frames)
    residuals = jnp.fft.irfft(spectrum * whitening, frames)
    # Unfair by one part in 2^25 at most, and half the draws of `randint`.
    drawn = residuals[jax.random.bits(rng, (count, frames)) % frames]
    return jnp.fft.irfft(jnp.fft.rfft(drawn) / whitening, frames)


@jax.jit
def _strengths(envelope: Array, comb: Array) -> Array:
    """Strengths [..., tempi] of envelopes [..., frames] under a comb [tempi, frames]."""
    return jnp.matmul(_autocorrelation(envelope), comb.T, precision=lax.Precision.HIGHEST)


@jax.jit
def _autocorrelation(envelope: Array) -> Array:
    """Correlation, in [-1, 1], of the two parts of an envelope that overlap at each lag: float32 [..., frames]."""
    frames, centred = envelope.shape[-1], _centred(envelope)
    spectrum = jnp.fft.rfft(centred, 2 * frames)
    product = jnp.fft.irfft(jnp.square(jnp.abs(spectrum)), 2 * frames)[..., :frames]
    energy = jnp.square(centred)
    head, tail = jnp.cumsum(energy, axis=-1)[..., ::-1], jnp.cumsum(energy[..., ::-1], axis=-1)[..., ::-1]
    # By the energy of the overlap itself: over that of the whole, a period of half the clip could reach only 1/2.
    overlap = jnp.sqrt(head * tail)
    heard = overlap > _QUIET * jnp.sum(energy, axis=-1, keepdims=True)
    return jnp.clip(jnp.where(heard, product / jnp.where(heard, overlap, 1), 0), -1, 1)


def _centred(envelope: Array) -> Array:
    """Envelope less its mean, and exactly zero where only rounding would be left."""
    centred = envelope - jnp.mean(envelope, axis=-1, keepdims=True)
    peak = jnp.max(jnp.abs(envelope), axis=-1, keepdims=True)
    return jnp.where(jnp.max(jnp.abs(centred), axis=-1, keepdims=True) > 1e-5 * peak, centred, 0)


def _comb(lags: np.ndarray, frames: int, beats: int) -> np.ndarray:
    """Weights float32 [..., frames] of each lag of an autocorrelation, for beats `lags` [...] frames apart."""
    if beats < 1:
        raise ValueError(f"beats={beats}: expected at least 1; 4 is a bar of most dance music")
    weights = np.zeros((*lags.shape, frames), np.float32)
    for multiple in range(1, beats + 1):
        lag = multiple * lags
        # Beyond half the clip fewer frames overlap than do not, and the correlation is mostly chance.
        fits = lag <= frames / 2
        left = np.where(fits, np.floor(lag), 0).astype(int)
        share = (lag - left) * fits
        for index, weight in ((left, fits - share), (left + 1, share)):
            old = np.take_along_axis(weights, index[..., None], -1)
            np.put_along_axis(weights, index[..., None], old + weight[..., None], -1)
    return weights / np.maximum(np.sum(weights, axis=-1, keepdims=True), 1)


def _lags(bpm: np.ndarray, envelope: Array, sample_rate: float, hop_length: int) -> np.ndarray:
    """Frames per beat. Raises ValueError for a tempo that is too fast for frames or too slow for the clip."""
    fastest, slowest = _limits(envelope, sample_rate, hop_length)
    if not np.all((bpm >= slowest) & (bpm <= fastest)):
        raise ValueError(
            f"bpm={np.unique(bpm)}: a clip of {envelope.shape[-1]} frames of {hop_length} samples at {sample_rate} Hz "
            f"shows {slowest:.4g} to {fastest:.4g} BPM; give a longer clip for slower tempi, a smaller hop for faster"
        )
    return 60 * sample_rate / (hop_length * bpm)


def _limits(envelope: Array, sample_rate: float, hop_length: int) -> tuple[float, float]:
    """Fastest tempo, of two frames a beat, and slowest, of two beats a clip, BPM."""
    frames_per_minute = 60 * sample_rate / hop_length
    return frames_per_minute / 2, frames_per_minute / (envelope.shape[-1] / 2)


def _tempi(envelope: Array, min_tempo: float, max_tempo: float, sample_rate: float, hop_length: int) -> np.ndarray:
    """Tempi to try, BPM: float64 [tempi], equally spaced in octaves."""
    if not 0 < min_tempo < max_tempo:
        raise ValueError(f"min_tempo={min_tempo}, max_tempo={max_tempo}: expected 0 < min_tempo < max_tempo")
    fastest, slowest = _limits(envelope, sample_rate, hop_length)
    # A hair inside the limits, where rounding would leave a tempo out.
    low, high = max(min_tempo, slowest * (1 + 1e-9)), min(max_tempo, fastest * (1 - 1e-9))
    if not low < high:
        raise ValueError(
            f"min_tempo={min_tempo}, max_tempo={max_tempo}: a clip of {envelope.shape[-1]} frames of {hop_length} "
            f"samples at {sample_rate} Hz shows {slowest:.4g} to {fastest:.4g} BPM; give a longer clip"
        )
    return np.geomspace(low, high, 2 + int(np.log(high / low) / _TEMPO_STEP))


def _checked(envelope: Array) -> Array:
    envelope = jnp.asarray(envelope, jnp.float32)
    if envelope.ndim == 0 or envelope.shape[-1] < 4:
        raise ValueError(f"envelope: expected [..., frames] of at least 4 frames, got {envelope.shape}")
    if not isinstance(envelope, jax.core.Tracer) and not np.all(np.isfinite(envelope)):
        # Compared with NaN no noise is as rhythmic, and the p-value would be the least there is.
        raise ValueError("envelope: holds NaN or infinity; leave that clip out")
    return envelope
