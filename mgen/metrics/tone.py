"""What the track of a pitch says of the tone: how much of it is noise, and how it wavers."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.arrays import EPSILON
from mgen.metrics.pitch import PitchTrack, median_where, period_window, sounding

Array = jax.Array

_LIMIT_DB = 40.0  # beyond it the correlation differs from 1 by what rounding and interpolation do
_RATE_STEP_HZ = 0.05
_LEAST_CENTS = 1.0  # root mean square of a ripple that is worth explaining
_LEAST_FRAMES = 8  # for five unknowns
_OUTLIER_CENTS = 300.0  # from the median: no vibrato, but an octave or a silence


class Vibrato(NamedTuple):
    """How a pitch wavers, each float32 [...]; NaN where fewer than 8 frames are voiced.

    rate: Hz.
    extent: cents from the middle to either side.
    share: of what the pitch moves about its trend, how much is this vibrato: near 1 for a synthesizer. Near 0 there is
      none, and rate and extent are those of the largest ripple.
    """

    rate: Array
    extent: Array
    share: Array


@functools.partial(jax.jit, static_argnames=("floor_db",))
def harmonic_to_noise_db(track: PitchTrack, *, floor_db: float = -30.0) -> Array:
    """Harmonics-to-noise ratio, the mean over sounding frames of 10 log10(r / (1 - r)).

    r is the correlation of a frame with itself one period later, normalised so that a decay is no noise. Whatever does
    not repeat is: breath and hiss, and also jitter, a glide, and partials that are not harmonic.

    Args:
      track: from `fundamental_frequency`, [..., frames].
      floor_db: dB below the loudest frame of each clip, under which a frame does not sound.

    Returns:
      float32 [...], dB, each frame limited to -40..40. White noise is about -11, as the best of many lags
      repeats a little. NaN where no frame sounds.

    Raises:
      ValueError: floor_db is not below zero.

    Reference: Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a
      sampled sound", IFA Proceedings 17, 1993, in the form by cross-correlation that Praat advises for it.
    """
    sounds = sounding(track, floor_db=floor_db)
    ratio = jnp.maximum(track.correlation, 1e-9) / jnp.maximum(1 - track.correlation, 1e-9)
    decibels = jnp.clip(10 * jnp.log10(ratio), -_LIMIT_DB, _LIMIT_DB)
    return jnp.sum(jnp.where(sounds, decibels, 0), axis=-1) / jnp.sum(sounds, axis=-1)


@functools.partial(
    jax.jit,
    static_argnames=(
        "sample_rate",
        "fmin",
        "hop_length",
        "win_length",
        "rate_min",
        "rate_max",
        "max_aperiodicity",
        "floor_db",
    ),
)
def vibrato(
    track: PitchTrack,
    *,
    sample_rate: float,
    fmin: float = 26.0,
    hop_length: int = 512,
    win_length: int | None = None,
    rate_min: float = 2.0,
    rate_max: float = 10.0,
    max_aperiodicity: float = 0.5,
    floor_db: float = -30.0,
) -> Vibrato:
    """Rate and extent of a vibrato.

    A parabola and a sine are fitted together to the voiced frames' pitch in cents, for each rate; the parabola takes a
    glide. What the length of a frame smoothed away is given back.

    Args:
      track: from `fundamental_frequency` with the same settings, [..., frames].
      sample_rate: Hz.
      fmin: Hz, as in `fundamental_frequency`.
      hop_length: samples between frames, as in `fundamental_frequency`.
      win_length: samples compared, as in `fundamental_frequency`.
      rate_min: Hz, slowest vibrato.
      rate_max: Hz, fastest; a clip should hold 2 of the slowest.
      max_aperiodicity: below which a frame is voiced.
      floor_db: dB below the loudest frame of each clip, under which a frame does not sound.

    Returns:
      `Vibrato` of float32 [...].

    Raises:
      ValueError: floor_db is not below zero, 0 < rate_min < rate_max does not hold, or rate_max is more than a third of
        the frames in a second, or than two thirds of the windows: beyond, a window smooths nearly all of it away.

    Reference: Prame, "Vibrato extent and intonation in professional Western lyric singing", JASA 102(1), 1997; the fit
      is the generalised periodogram of Zechmeister & Kuerster, Astronomy & Astrophysics 496, 2009.
    """
    window_s = (period_window(sample_rate, fmin) if win_length is None else win_length) / sample_rate
    hop_s = hop_length / sample_rate
    highest = min(1 / (3 * hop_s), 1 / (1.5 * window_s))
    if not 0 < rate_min < rate_max <= highest:
        raise ValueError(
            f"rate_min={rate_min}, rate_max={rate_max}: expected 0 < rate_min < rate_max <= {highest:.3g} Hz, which "
            f"hop_length={hop_length} and a window of {window_s:.3g} s resolve; shorten them or lower the rate"
        )
    voiced = sounding(track, floor_db=floor_db) & (track.aperiodicity < max_aperiodicity)
    middle = median_where(track.f0, voiced)
    cents = 1200 * jnp.log2(jnp.where(voiced, track.f0 / middle[..., None], 1))
    voiced &= jnp.abs(cents) < _OUTLIER_CENTS
    count = jnp.sum(voiced, axis=-1)
    weight = voiced / jnp.maximum(count, 1)[..., None]

    # The trend, as an orthonormal basis under the weights, is taken out of the pitch and of the sines alike: that is to
    # fit both at once. Of the sines only products are needed, so they are never held for each clip.
    position = np.linspace(-1, 1, cents.shape[-1])
    trend: list[Array] = []
    for degree in range(3):
        left = _without(trend, weight, jnp.broadcast_to(jnp.asarray(position**degree, jnp.float32), cents.shape))
        trend.append(left / jnp.sqrt(jnp.maximum(jnp.sum(weight * left**2, axis=-1, keepdims=True), EPSILON)))
    ripple = _without(trend, weight, cents)
    rates = np.arange(rate_min, rate_max + _RATE_STEP_HZ / 2, _RATE_STEP_HZ)
    turn = 2 * np.pi * np.arange(cents.shape[-1])[:, None] * hop_s * rates  # [frames, rates]
    cosine, sine = np.cos(turn), np.sin(turn)

    def products(values: Array, wave: np.ndarray) -> Array:
        return jnp.matmul(weight * values, wave.astype(np.float32), precision=lax.Precision.HIGHEST)

    cc, ss, cs = (products(1.0, wave) for wave in (cosine**2, sine**2, cosine * sine))
    for part in trend:
        along, across = products(part, cosine), products(part, sine)
        cc, ss, cs = cc - along**2, ss - across**2, cs - along * across
    rc, rs = products(ripple, cosine), products(ripple, sine)
    power = jnp.maximum(jnp.sum(weight * ripple**2, axis=-1, keepdims=True), _LEAST_CENTS**2)
    scale = 1 / jnp.maximum(cc * ss - cs**2, 1e-6)
    along, across = (rc * ss - rs * cs) * scale, (rs * cc - rc * cs) * scale
    explained = (along * rc + across * rs) / power
    best = jnp.argmax(explained, axis=-1, keepdims=True)
    extent, share = (
        jnp.take_along_axis(values, best, -1)[..., 0]
        for values in (jnp.hypot(along, across), jnp.clip(explained, 0, 1))
    )
    rate = jnp.asarray(rates, jnp.float32)[best[..., 0]]
    extent /= jnp.sinc(rate * window_s) * jnp.sinc(rate / middle)
    return Vibrato(*(jnp.where(count >= _LEAST_FRAMES, value, jnp.nan) for value in (rate, extent, share)))


def _without(basis: list[Array], weight: Array, values: Array) -> Array:
    """Values [..., frames] less their part along an orthonormal basis, under weights."""
    for part in basis:
        values = values - part * jnp.sum(weight * part * values, axis=-1, keepdims=True)
    return values
