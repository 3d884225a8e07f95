"""Is it new, or a copy of what was trained on.

A distance alone cannot say: white noise is nearer to most music than other music is. So two comparisons are made, both
with clips held out of training. Clip by clip: how often is a held-out clip as near to the training set (`p_value`), and
is this one nearer by far (`copied`)? Over all clips: where training and held-out clips compete to be the nearest, do
training clips win more than by chance (`training_share`)? Copies fail all three. A dull sound near to one dull training
clip may have a small p-value of its own, but it is not `copied`, and many of them do not deceive the second comparison.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.fft import next_fast_len

from mgen.arrays import EPSILON, check_shape

# References that are held in memory at once, with one complex spectrum for each pair of clips.
_CHUNK = 256


class ShiftedDistance(NamedTuple):
    """What `shifted_distance` found for each clip and each reference."""

    distance: np.ndarray
    """float64 [clips, references], dB."""
    shift: np.ndarray
    """int64 [clips, references]: frames by which the clip is later than the reference."""


class TrainingShare(NamedTuple):
    """What `training_share` found."""

    share: float
    """Share of the attribution that goes to training clips, 0 to 1."""
    expected: float
    """What it would be on average if training and held-out clips were called so at random."""
    p_value: float
    """How often random names give as large a share, in (0, 1]."""


class Memorisation(NamedTuple):
    """What `memorisation` found. All but the last are of the shape [generated]."""

    distance: np.ndarray
    """float64, to the nearest training clip."""
    nearest: np.ndarray
    """int64, which that is."""
    p_value: np.ndarray
    """float64 in (0, 1]: how often a held-out clip is as near to a training clip. At least 1 / (1 + held-out clips)."""
    copied: np.ndarray
    """bool: nearer than half of what the nearest held-out clip is."""
    training: TrainingShare
    """Whether training clips are the nearest more often than held-out ones."""


def shifted_distance(mel: Any, references: Any, *, max_shift: int = 20, top_db: float = 60.0) -> ShiftedDistance:
    """Distance of spectrograms in decibels, whatever the gain and with small shifts in time allowed.

    The standard deviation of the difference of two log-mel spectrograms where they overlap, the least over all shifts:
    a difference in gain is constant and falls out. On real music at hops of 512 samples and 64 bands: a copy is at 0
    dB, one shifted by whole frames below 1, by half a frame below 3.5, and other songs are 7 to 14 dB away.

    Args:
      mel: float [clips, frames, bands], mel power, as of `dsp.mel_spectrogram`.
      references: float [references, frames, bands], of the same settings.
      max_shift: frames that either may be late by.
      top_db: what lies further below the clip's own peak is taken as that far below, dB.

    Returns:
      `ShiftedDistance`. Two silent clips are at 0 dB.

    Raises:
      ValueError: the shapes do not fit, there is no clip, a power is negative or not finite, max_shift is below 0 or
        leaves less than half of the frames to compare, or top_db is not above zero.
    """
    mel, references = checked_mels(mel, references)
    frames, bands = mel.shape[1:]
    if not 0 <= 2 * max_shift <= frames:
        raise ValueError(f"max_shift={max_shift}: expected 0 to {frames // 2}, half of the frames; lower it")
    if not top_db > 0:
        raise ValueError(f"top_db={top_db}: expected a number above zero; 60 is usual")
    clips, shifts, length = (
        _decibels(mel, top_db),
        np.arange(-max_shift, max_shift + 1),
        next_fast_len(frames + max_shift),
    )
    count = ((frames - np.abs(shifts)) * bands)[:, None, None]
    spectra = np.moveaxis(np.fft.rfft(clips, length, axis=1), 1, 0)  # [frequencies, clips, bands]
    total, energy = _overlap_sums(clips, shifts)
    distance, shift = np.empty((len(mel), len(references))), np.empty((len(mel), len(references)), np.int64)
    for start in range(0, len(references), _CHUNK):
        part = slice(start, start + _CHUNK)
        chunk = _decibels(references[part], top_db)
        # All shifts at once: the product of two spectra, summed over bands, is the spectrum of their correlation.
        product = spectra @ np.moveaxis(np.fft.rfft(chunk, length, axis=1), 0, 2).conj()
        correlation = np.fft.irfft(product, length, axis=0)[shifts]
        other_total, other_energy = _overlap_sums(chunk, -shifts)
        squares = energy[:, :, None] + other_energy[:, None] - 2 * correlation
        variance = squares / count - np.square((total[:, :, None] - other_total[:, None]) / count)
        distance[:, part] = np.sqrt(np.maximum(np.min(variance, axis=0), 0))
        shift[:, part] = shifts[np.argmin(variance, axis=0)]
    return ShiftedDistance(distance, shift)


def training_share(
    attribution: Any, is_training: Any, *, seed: int, groups: Any | None = None, permutations: int = 9999
) -> TrainingShare:
    """Whether generated clips owe more to training clips than to held-out ones, which the generator never heard.

    A permutation test: if nothing was memorised, "training" and "held-out" are only names, and could be dealt out
    anew. A clip that is near to everything counts once in every deal, so it cannot deceive the test, as it deceives one
    that takes generated clips as independent. By the same token many copies of one training clip weigh as one: that
    shows in `Memorisation.copied`.

    Args:
      attribution: float [generated, clips], >= 0: what each generated clip owes each clip, such as 1 to the nearest.
      is_training: bool [clips], whether the generator was trained on it.
      seed: of the dealing.
      groups: [clips], the song that each clip is cut from. Names are dealt to whole songs, because clips of one song
        are alike. If None, each clip is its own.
      permutations: deals; the smallest p-value is 1 / (1 + permutations).

    Raises:
      ValueError: the shapes do not fit, all clips are training or all held out, a group is both, an attribution is
        negative or not finite, or permutations is below 1.

    Reference: Phipson & Smyth, "Permutation p-values should never be zero", 2010.
    """
    attribution, is_training = np.asarray(attribution, np.float64), np.asarray(is_training, bool)
    check_shape(is_training, {"clips": None}, "is_training")
    check_shape(attribution, {"generated": None, "clips": len(is_training)}, "attribution")
    if np.all(is_training) or not np.any(is_training):
        raise ValueError("is_training: expected training and held-out clips, got only one kind")
    if not np.all(attribution >= 0) or not np.all(np.isfinite(attribution)):
        raise ValueError("attribution: expected finite numbers, zero or above")
    if permutations < 1:
        raise ValueError(f"permutations={permutations}: expected at least 1; 9999 is usual")
    groups = np.arange(len(is_training)) if groups is None else np.asarray(groups)
    check_shape(groups, {"clips": len(is_training)}, "groups")
    _, members = np.unique(groups, return_inverse=True)
    sizes, training = np.bincount(members), np.bincount(members, is_training)
    if np.any((training > 0) & (training < sizes)):
        raise ValueError("groups: a group is both in training and held out; split the clips by group")
    owed = np.bincount(members, np.sum(attribution, axis=0))
    total = np.sum(owed)
    if total == 0:
        return TrainingShare(0.0, 0.0, 1.0)
    names = (training > 0).astype(np.float64)
    dealt = np.random.default_rng(seed).permuted(np.tile(names, (permutations, 1)), axis=1) @ owed / total
    share = names @ owed / total
    # Sums in another order differ in the last digit: a tie is a tie.
    p_value = (1 + np.sum(dealt >= share - 1e-9)) / (1 + permutations)
    return TrainingShare(float(share), float(np.mean(names)), float(p_value))


def memorisation(
    generated_training: Any,
    generated_heldout: Any,
    heldout_training: Any,
    *,
    seed: int,
    training_groups: Any | None = None,
    heldout_groups: Any | None = None,
) -> Memorisation:
    """Whether generated clips are copies of training clips, by distances of any kind.

    The distances may be those of `shifted_distance`, or between embeddings (`scipy.spatial.distance.cdist`).

    Args:
      generated_training: float [generated, training], distances, >= 0.
      generated_heldout: float [generated, heldout].
      heldout_training: float [heldout, training]. Held-out clips must be as different from training clips as new
        sounds should be: other songs, not other seconds of the same.
      seed: of the permutations of `training_share`.
      training_groups: [training], the song of each clip, as in `training_share`; None if each is its own.
      heldout_groups: [heldout], likewise.

    Raises:
      ValueError: the shapes do not fit, there is no clip of a kind, a distance is negative or not finite, or only one
        kind of groups is given.

    Reference: Vovk, Gammerman & Shafer, "Algorithmic learning in a random world", 2005, for the p-value of one clip
      among its like (conformal); Meehan, Chaudhuri & Dasgupta, "A non-parametric test to detect data-copying in
      generative models", AISTATS 2020, for the comparison with held-out clips.
    """
    to_training = np.asarray(generated_training, np.float64)
    check_shape(to_training, {"generated": None, "training": None}, "generated_training")
    count, training = to_training.shape
    to_heldout = np.asarray(generated_heldout, np.float64)
    check_shape(to_heldout, {"generated": count, "heldout": None}, "generated_heldout")
    null = np.asarray(heldout_training, np.float64)
    check_shape(null, {"heldout": to_heldout.shape[1], "training": training}, "heldout_training")
    every = np.concatenate([np.ravel(to_training), np.ravel(to_heldout), np.ravel(null)])
    if not (to_training.size and to_heldout.size):
        raise ValueError("expected at least 1 generated, 1 training and 1 held-out clip")
    if not np.all(every >= 0) or not np.all(np.isfinite(every)):
        raise ValueError("expected finite distances, zero or above")
    if (training_groups is None) != (heldout_groups is None):
        raise ValueError("expected training_groups and heldout_groups, or neither")
    groups = None
    if training_groups is not None and heldout_groups is not None:
        groups = np.concatenate([np.asarray(training_groups), np.asarray(heldout_groups)])
    distance, fresh = np.min(to_training, axis=1), np.min(null, axis=1)
    pool = np.concatenate([to_training, to_heldout], axis=1)
    # Clips equally near, such as duplicates in the training set, share what is owed.
    ties = pool == np.min(pool, axis=1, keepdims=True)
    share = training_share(
        ties / np.sum(ties, axis=1, keepdims=True),
        np.arange(pool.shape[1]) < training,
        seed=seed,
        groups=groups,
    )
    return Memorisation(
        distance=distance,
        nearest=np.argmin(to_training, axis=1),
        p_value=conformal_p_values(distance, fresh),
        copied=distance < 0.5 * np.min(fresh),
        training=share,
    )


def conformal_p_values(scores: Any, null: Any) -> np.ndarray:
    """How often a score is as low among clips known to be new: (1 + #{null <= score}) / (1 + #null), float64 [clips].

    Valid (at most a share p of new clips has a p-value of p or less) wherever new clips and the null are exchangeable.
    """
    null = np.sort(np.asarray(null, np.float64))
    return (1 + np.searchsorted(null, np.asarray(scores, np.float64), side="right")) / (1 + len(null))


def checked_mels(mel: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64; raises ValueError unless they are mel powers of some clips of one shape."""
    mel, references = np.asarray(mel, np.float64), np.asarray(references, np.float64)
    check_shape(mel, {"clips": None, "frames": None, "bands": None}, "mel")
    check_shape(references, {"references": None, "frames": mel.shape[1], "bands": mel.shape[2]}, "references")
    if not (mel.size and references.size):
        raise ValueError(f"expected at least 1 clip and 1 reference, got {mel.shape} and {references.shape}")
    for name, power in (("mel", mel), ("references", references)):
        if not np.all(power >= 0) or not np.all(np.isfinite(power)):
            raise ValueError(f"{name}: expected mel power, finite and zero or above; decibels are taken here")
    return mel, references


def _decibels(mel: np.ndarray, top_db: float) -> np.ndarray:
    """Decibels above `top_db` below the clip's peak: 0 where it is as quiet as that, all 0 in silence."""
    peak = np.maximum(np.max(mel, axis=(1, 2), keepdims=True), EPSILON)
    return np.maximum(10 * np.log10(np.maximum(mel / peak, EPSILON**2)) + top_db, 0)


def _overlap_sums(clips: np.ndarray, shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and sum of squares, [shifts, clips], of the frames that overlap with a clip shifted the other way."""
    frames = clips.shape[1]
    first, last = np.maximum(shifts, 0), frames + np.minimum(shifts, 0)
    running = [np.cumsum(np.sum(values, axis=2), axis=1) for values in (clips, np.square(clips))]
    padded = [np.pad(values, ((0, 0), (1, 0))) for values in running]
    return padded[0][:, last].T - padded[0][:, first].T, padded[1][:, last].T - padded[1][:, first].T
