"""Did a style transfer work: content kept, style reached, and neither a mix of the two nor noise.

The three criteria that AM-NST's authors named and did not know how to measure (melody and harmony kept; timbre
transferred and not laid over; little noise), as numbers with a limit each. Only all together say something.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.arrays import EPSILON, check_same_shape, check_shape
from mgen.dsp import mel_spectrogram, stft
from mgen.metrics.clips import check_clips, check_pair, one_by_one
from mgen.metrics.distribution import frechet_distance
from mgen.metrics.mel import mfcc
from mgen.metrics.onset import onset_envelope
from mgen.metrics.superposition import sparse_mixture
from mgen.metrics.timbre import timbre

Array = jax.Array

_FLOOR = 1e-3  # of the loudest frame's magnitude, under which a frame does not sound
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 5000.0  # of chroma
_LEAST_APART = 1e-3  # distance of content and style
_MFCC, _BANDS = 20, 64
_HOP, _SHIFT = 512, 3
_SHORTEST = 32 * _HOP  # samples, for a few long frames of `mix_share`


class MixShare(NamedTuple):
    """What `mix_share` found."""

    share: float  # variation of the result that a sum of content and style explains, 0 to 1
    content: float  # power gain of the content in that sum, >= 0
    style: float  # power gain of the style


class TransferLimits(NamedTuple):
    """What `transfer_report` asks for."""

    chroma: float = 0.4  # least similarity to the content
    onsets: float = 0.25  # least similarity to the content
    style: float = 0.9  # largest ratio of both distances to the style; what is below 1 has come nearer
    mix: float = 0.7  # largest share: of 21 mixes of real pairs the least was 0.97, of equalised contents the most 0.30
    noise: float = 1.5  # largest flatness, relative to the flatter of content and style


class TransferReport(NamedTuple):
    """What `transfer_report` found of one clip."""

    chroma: float  # `chroma_similarity` of result and content
    onsets: float  # `onset_similarity` of result and content
    mfcc: float  # `mfcc_statistics_distance` of result to style, over that of content to style
    gram: float  # `gram_distance` of result to style, over that of content to style
    mix: MixShare
    noise: float  # flatness of the result, over that of the flatter of content and style
    content_kept: bool
    style_reached: bool
    not_a_mix: bool
    not_noise: bool

    @property
    def passed(self) -> bool:
        """Whether all four criteria are met."""
        return self.content_kept and self.style_reached and self.not_a_mix and self.not_noise


def chroma(wave: Array, *, sample_rate: float, n_fft: int = 4096, hop_length: int = 512) -> Array:
    """How much of each pitch class sounds, whatever its octave.

    The magnitude of each bin from 100 to 5000 Hz is shared between the two nearest pitch classes, A4 being 440 Hz.

    Args:
      wave: float32 [..., samples].
      sample_rate: Hz.
      n_fft: samples per frame; below 17 * sample_rate / n_fft Hz semitones are less than a bin apart.
      hop_length: samples between frames.

    Returns:
      float32 [..., frames, 12], from C to B; magnitudes, not normalised.

    Raises:
      ValueError: no bin lies between 100 and 5000 Hz, or refused by `check_clips` or `stft`.

    Reference: Bartsch & Wakefield, "To catch a chorus: ... chroma-based representations ...", WASPAA 2001.
    """
    wave, frequency = check_clips(wave), np.arange(1 + n_fft // 2) * sample_rate / n_fft
    chosen = (frequency >= _LOWEST_HZ) & (frequency <= _HIGHEST_HZ)
    if not np.any(chosen):
        raise ValueError(f"n_fft={n_fft}: no bin lies between {_LOWEST_HZ:g} and {_HIGHEST_HZ:g} Hz; 4096 is usual")
    note = 69 + 12 * np.log2(np.where(chosen, frequency, 440) / 440)
    apart = np.abs((note[:, None] - np.arange(12) + 6) % 12 - 6)
    filters = jnp.asarray(np.maximum(1 - apart, 0) * chosen[:, None], jnp.float32)
    return _chroma(wave, filters, n_fft=n_fft, hop_length=hop_length)


def chroma_similarity(estimate: Any, target: Any, *, sample_rate: float, **settings: Any) -> np.ndarray:
    """Cosine of the two chromas of each frame, the mean over the frames in which the target sounds.

    Each chroma has its own mean taken off first, or noise, which has all pitch classes, would be like anything: so it
    is about 0 for noise and for other music, and negative for what avoids the target's notes.

    Args:
      estimate: float32 [..., samples].
      target: float32 [..., samples].
      sample_rate: Hz.
      **settings: of `chroma`.

    Returns:
      float64 [...], -1 to 1; frames are weighed by the target's amplitude. 0 where either is silent.

    Raises:
      ValueError: the shapes differ, or as in `chroma`.

    Reference: cosine of chroma features, Mueller, "Fundamentals of music processing", Springer 2015, section 3.1.2.
    """
    estimate, target = check_pair(estimate, target)
    ours, theirs = (np.asarray(chroma(wave, sample_rate=sample_rate, **settings)) for wave in (estimate, target))
    weight = np.sum(theirs, axis=-1)
    weight = np.where(weight > _FLOOR * np.max(weight, axis=-1, keepdims=True), weight, 0)
    return np.sum(weight * _correlation(ours, theirs), axis=-1) / np.maximum(np.sum(weight, axis=-1), EPSILON)


def onset_similarity(estimate: Any, target: Any, *, sample_rate: float) -> np.ndarray:
    """Pearson's correlation of onset envelopes, the best over shifts of up to 3 frames of 512, as attacks differ.

    Args:
      estimate: float32 [..., samples].
      target: float32 [..., samples].
      sample_rate: Hz.

    Returns:
      float64 [...], -1 to 1; 0 where either has no onset. The best of 7 is up to 0.2 for unrelated sounds of 6 s.

    Raises:
      ValueError: the shapes differ, there are fewer than 16,384 samples, or as in `onset_envelope`.

    Reference: Ellis, "Beat tracking by dynamic programming", J. New Music Research 36(1), 2007, for the envelope.
    """
    waves = check_pair(estimate, target, shortest=_SHORTEST)
    ours, theirs = (np.asarray(onset_envelope(x, sample_rate=sample_rate, hop_length=_HOP)) for x in waves)
    middle = theirs[..., _SHIFT : ours.shape[-1] - _SHIFT]
    shifted = [ours[..., first : first + middle.shape[-1]] for first in range(2 * _SHIFT + 1)]
    return np.max([_correlation(part, middle) for part in shifted], axis=0)


def mfcc_statistics_distance(estimate: Any, target: Any, *, sample_rate: float) -> float:
    """Frechet distance of two clips' MFCCs as Gaussians: whether the same colours come as often, whatever their order.

    Args:
      estimate: float32 [samples], any level: the first coefficient is left out.
      target: float32 [samples], another length if need be.
      sample_rate: Hz.

    Returns:
      >= 0, the square root of `distribution.frechet_distance`, dB times sqrt(64 bands).

    Raises:
      ValueError: there are fewer than 16,384 samples, or refused by `mel.mfcc`.

    Reference: Mandel & Ellis, "Song-level features and support vector machines for music classification", ISMIR 2005:
      mean and covariance of MFCCs as timbre.
    """
    settings = dict(sample_rate=sample_rate, n_mfcc=_MFCC, n_mels=_BANDS, top_db=60.0)
    waves = (check_clips(wave, shortest=_SHORTEST) for wave in (estimate, target))
    return float(np.sqrt(frechet_distance(*(np.asarray(mfcc(wave, **settings))[:, 1:] for wave in waves))))


def gram_distance(estimate: Any, target: Any, *, sample_rate: float) -> float:
    """Distance of the Gram matrices of log-mel bands: which bands sound together, whenever they do.

    Decibels are taken from 60 below each clip's largest band, and products are means over frames, so neither level
    nor length matters.

    Args:
      estimate: float32 [samples].
      target: float32 [samples], another length if need be.
      sample_rate: Hz.

    Returns:
      >= 0, root mean square difference of products, in units of 60 dB squared.

    Raises:
      ValueError: refused by `check_clips` or `mel_spectrogram`.

    Reference: Gatys, Ecker & Bethge, "Image style transfer using convolutional neural networks", CVPR 2016.
    """
    grams = []
    for wave in (estimate, target):
        mel = np.asarray(_mel(check_clips(wave), sample_rate), np.float64)
        levels = np.log10(np.maximum(mel / max(np.max(mel), EPSILON), 1e-6)) / 6 + 1
        grams.append(levels.T @ levels / len(levels))
    return float(np.sqrt(np.mean(np.square(grams[0] - grams[1]))))


def mix_share(result: Any, content: Any, style: Any, *, sample_rate: float) -> MixShare:
    """How much of a result is a sum of content and style, with gains of zero or more that do not change over the clip.

    By `superposition.sparse_mixture` of mel power: bands count alike, and what is steady in a band is left out.

    Args:
      result: float32 [samples].
      content: float32 [samples].
      style: float32 [samples].
      sample_rate: Hz.

    Returns:
      `MixShare`. A copy is a mix too, with the other's gain 0; silence is none.

    Raises:
      ValueError: the shapes differ, there are fewer than 16,384 samples, or refused by `check_clips`.

    Reference: that of `superposition.sparse_mixture`.
    """
    check_same_shape(result, content)
    check_same_shape(style, content)
    parts = [_coarse(check_clips(wave, shortest=_SHORTEST), sample_rate) for wave in (content, style, result)]
    found = sparse_mixture(np.stack(parts[2:]), np.stack(parts[:2]), atoms=2)
    gains = np.zeros(2)
    there = found.chosen[0] >= 0
    gains[found.chosen[0][there]] = found.weights[0][there]
    return MixShare(float(found.share[0, -1]), float(gains[0]), float(gains[1]))


def transfer_report(
    content: Any, style: Any, result: Any, *, sample_rate: float, limits: TransferLimits | None = None
) -> TransferReport:
    """Four criteria of a style transfer, with their numbers; a mix, a copy, noise and silence each fail some.

    They are necessary and not sufficient: a content that is only equalised to the style's mean spectrum passes too.

    Args:
      content: float32 [samples], whose melody and rhythm should be kept.
      style: float32 [samples], whose timbre should be reached.
      result: float32 [samples], in time with the content. Levels do not matter.
      sample_rate: Hz.
      limits: what is asked for; the defaults if None.

    Raises:
      ValueError: the shapes differ, a clip is shorter than 16,384 samples, content or style is silent or both sound
        alike, or as in the functions it calls.

    Reference: the criteria of AM-NST (pranigopu, 2024), which its authors left to the ear.
    """
    check_same_shape(style, content)
    check_same_shape(result, content)
    named = {"content": content, "style": style, "result": result}
    named = {name: np.asarray(check_clips(wave, shortest=_SHORTEST, name=name)) for name, wave in named.items()}
    check_shape(named["content"], {"samples": None}, "content")
    for name in ("content", "style"):
        if not np.any(named[name]):
            raise ValueError(f"{name}: is silent; there is nothing to transfer")
    content, style, result = (0.1 * wave / max(np.sqrt(np.mean(np.square(wave))), EPSILON) for wave in named.values())
    ratios = []
    for distance in (mfcc_statistics_distance, gram_distance):
        whole = distance(content, style, sample_rate=sample_rate)
        if not whole > _LEAST_APART:
            raise ValueError(f"style: sounds like content, {distance.__name__} is {whole:.2g}; give two that differ")
        ratios.append(distance(result, style, sample_rate=sample_rate) / whole)
    mix = mix_share(result, content, style, sample_rate=sample_rate)
    flatness = np.asarray(timbre(np.stack([content, style, result]), sample_rate=sample_rate).flatness)
    noise = float(flatness[2] / np.max(flatness[:2]))
    notes = float(chroma_similarity(result, content, sample_rate=sample_rate))
    onsets = float(onset_similarity(result, content, sample_rate=sample_rate))
    limits = limits or TransferLimits()
    kept = notes >= limits.chroma and onsets >= limits.onsets
    met = (kept, max(ratios) <= limits.style, mix.share <= limits.mix, noise <= limits.noise)
    return TransferReport(notes, onsets, *ratios, mix, noise, *met)


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length"))
def _chroma(wave: Array, filters: Array, *, n_fft: int, hop_length: int) -> Array:
    def one(wave: Array) -> Array:
        magnitude = jnp.abs(stft(wave, n_fft=n_fft, hop_length=hop_length))
        return jnp.matmul(magnitude, filters, precision=lax.Precision.HIGHEST)

    return one_by_one(one, wave)


def _correlation(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    ours, theirs = (x - np.mean(x, axis=-1, keepdims=True, dtype=np.float64) for x in (ours, theirs))
    norms = np.linalg.norm(ours, axis=-1) * np.linalg.norm(theirs, axis=-1)
    return np.sum(ours * theirs, axis=-1) / np.maximum(norms, EPSILON)


@functools.partial(jax.jit, static_argnames=("sample_rate",))
def _mel(wave: Array, sample_rate: float) -> Array:
    return mel_spectrogram(wave, sample_rate=sample_rate, n_fft=2048, hop_length=_HOP, n_mels=_BANDS)


def _coarse(wave: Array, sample_rate: float) -> np.ndarray:
    """Mel power in means of 8 frames and 2 bands, in which cross terms of added waves average out."""
    mel = np.asarray(_mel(wave, sample_rate))
    return mel[: len(mel) // 8 * 8].reshape(len(mel) // 8, 8, _BANDS // 2, 2).mean((1, 3))
