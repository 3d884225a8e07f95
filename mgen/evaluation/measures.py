"""What the scorecard measures of a set, of each of its clips, and of pairs of clips: the metrics, put to use."""

from __future__ import annotations

import jax
import numpy as np
from scipy.spatial.distance import cdist

from mgen import dsp
from mgen.controls import Settings
from mgen.evaluation.sets import GENERATED, REAL, Sets, levelled
from mgen.metrics.defects import clipping, silence
from mgen.metrics.distribution import frechet_infinity, kernel_distance
from mgen.metrics.diversity import density_coverage, different_bins, precision_recall
from mgen.metrics.embedding import embed
from mgen.metrics.loudness import loudness
from mgen.metrics.mel import mel_distance, mfcc_distance
from mgen.metrics.novelty import memorisation
from mgen.metrics.onset import onset_envelope
from mgen.metrics.pitch import fundamental_frequency, note_pitch
from mgen.metrics.rhythm import rhythm_test
from mgen.metrics.spectral import log_spectral_distance, multi_resolution_stft_distance
from mgen.metrics.superposition import superposition
from mgen.metrics.timbre import timbre
from mgen.metrics.tone import harmonic_to_noise_db

_SURROGATES = 199
#: Shorter clips hold no two beats of the slowest tempo.
_BEATS_S = 2.5
_NEAREST = 5
#: Clips in each kind of sound, below which a share of them says nothing.
_KIND = 10
#: Bands of the embedding that the Frechet distance is taken in: 30 numbers, and it wants twice as many clips.
_FRECHET_BANDS = 10
_SIGNIFICANT = 0.05


def of_set(name: str, waves: np.ndarray, sets: Sets, *, seed: int, library: np.ndarray | None) -> dict[str, float]:
    """Distances of a set from the training clips, and whether it is made of them."""
    rate = sets.sample_rate
    own, train = (np.asarray(embed(values, sample_rate=rate)) for values in (waves, sets.train))
    least = min(len(own), len(train))
    scores = {}
    if least >= 3:
        scores["kernel distance"] = kernel_distance(own, train).value
    if least > _NEAREST:
        near = precision_recall(own, train)
        dense = density_coverage(own, train, neighbours=_NEAREST)
        scores |= {"precision": near.precision, "recall": near.recall}
        scores |= {"density": dense.density, "coverage": dense.coverage}
    if least >= 2 * _KIND:
        scores["different bins"] = different_bins(own, train, bins=least // _KIND, seed=seed).share
    coarse = [np.asarray(embed(values, sample_rate=rate, n_mels=_FRECHET_BANDS)) for values in (waves, sets.train)]
    if least >= 2 * coarse[0].shape[1]:
        scores["frechet"] = frechet_infinity(*coarse, seed=seed).value
    if sets.held_out:  # else nothing says how near a sound that is no copy would be
        known = levelled(sets.train, sample_rate=rate) if library is None else library
        near, fresh = levelled(waves, sample_rate=rate), levelled(sets.named[REAL], sample_rate=rate)
        copied = memorisation(cdist(near, known), cdist(near, fresh), cdist(fresh, known), seed=seed).copied
        scores["copies, %"] = 100 * float(np.mean(copied))
        if name == GENERATED and len(sets.named[REAL]) >= 1 / _SIGNIFICANT:  # of fewer no clip can be significant
            scores["superposed, %"] = 100 * _superposed(waves, sets, seed)
    return scores


def _superposed(waves: np.ndarray, sets: Sets, seed: int) -> float:
    """Share of clips that a sum of training clips explains better than nearly all held-out clips."""
    mel = {"sample_rate": sets.sample_rate, "n_fft": 2048, "hop_length": 512, "n_mels": 64}
    real = sets.named[REAL]
    groups = (waves, sets.train[: len(real)], real)
    found = superposition(*(np.asarray(dsp.mel_spectrogram(clips, **mel)) for clips in groups), seed=seed)
    return float(np.mean(found.p_value < _SIGNIFICANT))


def of_clips(waves: np.ndarray, asked: Settings, *, sample_rate: int, seed: int) -> dict[str, np.ndarray]:
    """What is heard in each clip alone: {measure: [count]}."""
    colour = timbre(waves, sample_rate=sample_rate)
    numbers = _notes(waves, asked, sample_rate)
    if waves.shape[-1] >= _BEATS_S * sample_rate:
        envelope = onset_envelope(waves, sample_rate=sample_rate)
        found = rhythm_test(envelope, rng=jax.random.key(seed), sample_rate=sample_rate, surrogates=_SURROGATES)
        numbers["rhythmic, %"] = 100 * (np.asarray(found.p_value) < _SIGNIFICANT)
        numbers["rhythm strength"] = found.strength
    numbers |= {
        "bandwidth, Hz": colour.bandwidth,
        "flatness": colour.flatness,
        "loudness, LUFS": loudness(waves, sample_rate=sample_rate),
        "clipping, %": 100 * clipping(waves),
        "silence, %": 100 * silence(waves),
    }
    return {name: np.asarray(values, np.float64) for name, values in numbers.items()}


def _notes(waves: np.ndarray, asked: Settings, sample_rate: int) -> dict[str, np.ndarray]:
    """Of notes, asked for by whole MIDI numbers: whether they have that pitch, within 50 cents, and how noisy they are.

    A slider of fractions, such as the middle of a melody, asks for no note.
    """
    wanted = np.asarray(asked.get("pitch", ()))
    if not len(wanted) or np.any(wanted != np.round(wanted)):
        return {}
    track = fundamental_frequency(waves, sample_rate=sample_rate)
    right = np.abs(np.asarray(note_pitch(track).midi) - wanted) <= 0.5  # NaN, no pitch, is wrong
    return {"pitch right, %": 100.0 * right, "harmonic to noise, dB": np.asarray(harmonic_to_noise_db(track))}


def of_pairs(waves: np.ndarray, real: np.ndarray, *, sample_rate: int) -> dict[str, np.ndarray]:
    """Distances of clips from the real ones that they should be: {measure: [count]}."""
    numbers = {
        "log-mel, dB": mel_distance(waves, real, sample_rate=sample_rate),
        "log-spectral, dB": log_spectral_distance(waves, real),
        "multi-resolution": multi_resolution_stft_distance(waves, real),
        "mfcc": mfcc_distance(waves, real, sample_rate=sample_rate),
    }
    return {name: np.asarray(values, np.float64) for name, values in numbers.items()}
