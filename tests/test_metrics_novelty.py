"""Copies and superpositions of training clips are found, and new clips, noise and silence are not."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from scipy.spatial.distance import cdist

from mgen import audio, dsp
from mgen.metrics import novelty, superposition

RATE = 22_050
FRAMES, BANDS = 60, 24


def mel_of(wave):
    wave = np.asarray(wave, np.float32)
    return np.asarray(dsp.mel_spectrogram(wave, sample_rate=RATE, n_fft=2048, hop_length=512, n_mels=64), np.float64)


def tunes(count, seed):
    """Powers of clips of notes that come and go: [count, frames, bands], 50 dB of range, each of its own gain."""
    rng = np.random.default_rng(seed)
    notes = rng.random((count, FRAMES, BANDS)) < 0.03
    ringing = np.zeros((count, FRAMES, BANDS))
    for frame in range(FRAMES):
        ringing[:, frame] = 0.7 * ringing[:, max(frame - 1, 0)] + notes[:, frame]
    return (ringing + 1e-5) * rng.uniform(0.1, 10, (count, 1, 1))


@pytest.fixture(scope="module")
def sets():
    return tunes(20, 0), tunes(20, 1)


@pytest.mark.parametrize("shift", [-3, 0, 2])
def test_distance_matches_plain_numpy(shift):
    """One clip against one, one shift at a time."""
    mel, other = tunes(2, 3)
    decibels = [np.maximum(10 * np.log10(m / np.max(m)), -40) for m in (mel, other)]
    by_hand = {}
    for late in range(-3, 4):
        first, second = (
            decibels[0][max(late, 0) : FRAMES + min(late, 0)],
            decibels[1][max(-late, 0) : FRAMES - max(late, 0)],
        )
        by_hand[late] = np.std(first - second)
    found = novelty.shifted_distance(mel[None], other[None], max_shift=3, top_db=40)
    np.testing.assert_allclose(found.distance, min(by_hand.values()), rtol=1e-9)
    assert by_hand[found.shift.item()] == min(by_hand.values())


def test_references_in_chunks_are_the_same_references(monkeypatch, sets):
    whole = novelty.shifted_distance(sets[0], sets[1], max_shift=4)
    monkeypatch.setattr(novelty, "_CHUNK", 7)
    parts = novelty.shifted_distance(sets[0], sets[1], max_shift=4)
    np.testing.assert_allclose(parts.distance, whole.distance, rtol=1e-9)
    np.testing.assert_array_equal(parts.shift, whole.shift)


@pytest.mark.parametrize("shift, gain", [(0, 1.0), (0, 1e-3), (7, 1.0), (-7, 30.0)])
def test_a_copy_is_found_whatever_its_gain_and_shift(sets, shift, gain):
    training, heldout = sets
    copy = gain * np.roll(training[4], shift, axis=0)[None]
    found = novelty.shifted_distance(copy, training)
    assert np.argmin(found.distance) == 4 and found.shift[0, 4] == shift
    # The peak that decides what counts as silence may have been shifted out, but nothing else changed.
    assert found.distance[0, 4] < 0.5 < 4 < np.min(novelty.shifted_distance(heldout, training).distance)


def test_silence_and_constants_have_distances(sets):
    silence, drone = np.zeros((1, FRAMES, BANDS)), np.full((1, FRAMES, BANDS), 3.0)
    assert novelty.shifted_distance(silence, silence).distance == 0
    assert novelty.shifted_distance(silence, drone).distance == 0  # no more differs than the gain
    far = novelty.shifted_distance(silence, sets[0], max_shift=0).distance[0]
    levels = np.maximum(10 * np.log10(sets[0] / np.max(sets[0], axis=(1, 2), keepdims=True)), -60)
    np.testing.assert_allclose(far, np.std(levels, axis=(1, 2)), rtol=1e-9)


def judged(generated, training, heldout, **groups):
    return novelty.memorisation(
        novelty.shifted_distance(generated, training).distance,
        novelty.shifted_distance(generated, heldout).distance,
        novelty.shifted_distance(heldout, training).distance,
        seed=0,
        **groups,
    )


def test_copies_among_new_clips_are_named(sets):
    training, heldout = sets
    generated = tunes(20, 2)
    generated[[3, 11]] = 0.2 * np.roll(training[[5, 0]], 4, axis=1)
    found = judged(generated, training, heldout)
    np.testing.assert_array_equal(np.flatnonzero(found.copied), [3, 11])
    np.testing.assert_array_equal(found.nearest[[3, 11]], [5, 0])
    np.testing.assert_allclose(found.p_value[[3, 11]], 1 / 21)  # the least that 20 held-out clips can say
    assert judged(0.2 * training, training, heldout).training.p_value < 0.001
    new = judged(tunes(20, 2), training, heldout)
    assert not np.any(new.copied) and new.training.p_value > 0.01


def test_p_values_of_new_clips_are_uniform():
    """300 sets of points drawn alike: neither comparison may cry wolf more often than it says."""
    shares, singles = [], []
    for seed in range(300):
        generated, training, heldout = np.random.default_rng(seed).normal(size=(3, 30, 6))
        found = novelty.memorisation(
            cdist(generated, training), cdist(generated, heldout), cdist(heldout, training), seed=seed
        )
        shares.append(found.training.p_value)
        singles.append(found.p_value)
    for p_values in (np.array(shares), np.ravel(singles)[::30]):  # one a set: those of a set are not independent
        for level in (0.05, 0.2, 0.5):
            assert np.sum(p_values <= level) <= scipy.stats.binom.ppf(0.99, 300, level)
    assert np.mean(np.array(shares) <= 0.5) > 0.35  # and not never


def test_a_hub_does_not_deceive_the_training_share():
    """All of thirty clips are nearest to one training clip: a binomial test would say 1e-9, dealing names says 1/2."""
    attribution = np.zeros((30, 20))
    attribution[:, 3] = 1
    found = novelty.training_share(attribution, np.arange(20) < 10, seed=0)
    assert found.share == 1 and found.expected == 0.5
    assert 0.45 < found.p_value < 0.55


def test_training_share_deals_names_to_whole_songs():
    """Two songs of ten clips each have two deals, so nothing can be significant; clip by clip it would seem to be."""
    is_training = np.arange(20) < 10
    attribution = np.eye(20)[:10]
    alone = novelty.training_share(attribution, is_training, seed=0)
    songs = novelty.training_share(attribution, is_training, seed=0, groups=np.repeat(["a", "b"], 10))
    assert alone.p_value < 0.001 and 0.45 < songs.p_value < 0.55
    assert novelty.training_share(np.zeros((2, 20)), is_training, seed=0) == (0.0, 0.0, 1.0)


def variation(mel, references):
    level = np.mean(references, axis=(0, 1))
    return ((mel - mel.mean(axis=1, keepdims=True)) / level).reshape(len(mel), -1)


def test_mixture_recovers_its_parts_and_weights(sets):
    training, _ = sets
    found = superposition.sparse_mixture((0.2 * training[3] + 5 * training[8])[None], training, atoms=3)
    assert set(found.chosen[0, :2]) == {3, 8} and found.chosen[0, 2] == -1
    weights = dict(zip(found.chosen[0], found.weights[0], strict=True))
    np.testing.assert_allclose([weights[3], weights[8], weights[-1]], [0.2, 5, 0], rtol=1e-5)
    np.testing.assert_allclose(found.share[0, 1:], 1, atol=1e-8)
    assert found.share[0, 0] < 1 - 1e-5
    np.testing.assert_allclose(np.sum(found.owed), 1, atol=1e-4)  # of opposing parts only the positive count


def test_mixture_of_all_references_is_non_negative_least_squares(sets):
    training, heldout = sets
    found = superposition.sparse_mixture(heldout[:3], training, atoms=20)
    dictionary, rows = variation(training, training), variation(heldout[:3], training)
    for clip in range(3):
        weights, residual = scipy.optimize.nnls(dictionary.T, rows[clip])
        best = 1 - residual**2 / np.sum(rows[clip] ** 2)
        np.testing.assert_allclose(found.share[clip, -1], best, atol=1e-3)  # greedy: what it drops it never takes back
        assert found.share[clip, -1] <= best + 1e-9
    assert np.all(np.diff(found.share, axis=1) >= -1e-9) and np.all(found.weights >= 0)


def test_one_reference_is_the_best_of_all(sets):
    training, heldout = sets
    dictionary, rows = variation(training, training), variation(heldout, training)
    cosine = rows @ dictionary.T / np.linalg.norm(rows, axis=1)[:, None] / np.linalg.norm(dictionary, axis=1)
    share = superposition.sparse_mixture(heldout, training, atoms=1).share[:, 0]
    np.testing.assert_allclose(share, np.max(np.maximum(cosine, 0), axis=1) ** 2, atol=1e-6)


def test_what_is_steady_or_silent_is_made_of_nothing(sets):
    training = np.concatenate([sets[0], np.zeros((1, FRAMES, BANDS)), np.full((1, FRAMES, BANDS), 0.3)])
    found = superposition.sparse_mixture(training[-2:], training, atoms=2)
    assert np.all(found.share == 0) and np.all(found.chosen == -1) and np.all(found.weights == 0)
    assert not np.any(np.isin(superposition.sparse_mixture(sets[1], training, atoms=5).chosen, [20, 21]))
    twice = superposition.sparse_mixture(sets[0][:1], np.repeat(sets[0], 2, axis=0), atoms=4)
    np.testing.assert_allclose(twice.share, 1, atol=1e-8)


@pytest.mark.parametrize("parts, noise", [(2, 0.0), (8, 0.0), (20, 0.0), (20, 0.03)])
def test_superpositions_are_found(sets, parts, noise):
    training, heldout = sets
    rng = np.random.default_rng(parts)
    generated = np.stack(
        [np.tensordot(rng.dirichlet(np.ones(parts)), rng.permutation(training)[:parts], 1) for _ in range(10)]
    )
    generated += noise * np.mean(generated) * rng.gamma(1, size=generated.shape)
    found = superposition.superposition(generated, training, heldout, seed=0)
    assert np.all(found.p_value <= 1 / 21 + 1e-9) and found.training.p_value < 0.01
    assert np.min(found.share) > 0.3 > 0.2 > np.max(found.control)


def test_new_clips_and_sums_of_new_clips_are_not_superpositions(sets):
    training, heldout = sets
    new = tunes(40, 7)
    noise = np.random.default_rng(0).gamma(4, size=(10, FRAMES, BANDS))
    for generated in (new[:20], 0.5 * (new[:20] + new[20:]), noise, np.zeros((2, FRAMES, BANDS))):
        found = superposition.superposition(generated, training, heldout, seed=0)
        assert np.max(found.share) < 0.2 and found.training.p_value > 0.01
    of_heldout = superposition.superposition(0.5 * (heldout[:10] + heldout[10:]), training, heldout, seed=0)
    assert np.min(of_heldout.p_value) == 1 and np.min(of_heldout.control) > 0.99


def test_p_values_of_superpositions_are_uniform():
    """100 sets of new clips; one clip of each set, because those of a set are not independent."""
    drawn = (np.split(tunes(60, 1000 + seed), 3) for seed in range(100))
    found = [superposition.superposition(*clips, seed=0) for clips in drawn]
    for p_values in ([one.p_value[0] for one in found], [one.training.p_value for one in found]):
        for level in (0.05, 0.2, 0.5):
            assert np.sum(np.array(p_values) <= level) <= scipy.stats.binom.ppf(0.99, 100, level)
        assert np.mean(np.array(p_values) <= 0.5) > 0.35


def test_a_clip_is_not_measured_against_its_own_song(sets):
    """Held-out clips that come in pairs of one song would explain each other."""
    training, heldout = sets
    pairs = np.repeat(heldout[:10], 2, axis=0)
    songs = dict(training_groups=np.arange(20), heldout_groups=100 + np.repeat(np.arange(10), 2))
    found = superposition.superposition(tunes(20, 5), training, pairs, seed=0, **songs)
    # Were they allowed to, every held-out ratio would be infinite, and every generated clip would look suspicious.
    assert np.median(found.p_value) > 0.2


def test_on_real_music(real_audio):
    """Half of the songs trained on. Waves are added, so that powers add on average only."""
    names = sorted(path.name for path in (real_audio / "music").iterdir() if not path.name.startswith("galway"))
    clips = [
        audio.read(real_audio / "music" / name, sample_rate=RATE, start_s=second, duration_s=4)
        for name in names
        for second in (1, 5)
    ]
    songs = np.repeat(np.arange(len(names)), 2)
    whole = np.array([len(clip) == 4 * RATE and np.std(clip) > 1e-3 for clip in clips])
    waves, songs = np.stack([c / np.std(c) for c, w in zip(clips, whole, strict=True) if w]), songs[whole]
    training, heldout = waves[songs % 2 == 0], waves[songs % 2 == 1]
    groups = dict(training_groups=songs[songs % 2 == 0], heldout_groups=songs[songs % 2 == 1])
    mels = mel_of(training), mel_of(heldout)
    copies = judged(mel_of(0.1 * np.roll(training, 3000, axis=1)), *mels, **groups)  # 5.9 frames
    assert np.all(copies.copied) and copies.training.p_value < 0.01
    rng = np.random.default_rng(0)
    sums = rng.dirichlet(np.ones(3), 12) @ training[rng.permutation(len(training))[:3]]
    laid_over = superposition.superposition(mel_of(sums), *mels, seed=0, **groups)
    assert np.min(laid_over.share) > 0.9 and np.max(laid_over.control) < 0.3
    noise = mel_of(rng.normal(size=(6, 4 * RATE)))
    assert not np.any(judged(noise, *mels, **groups).copied)
    assert superposition.superposition(noise, *mels, seed=0, **groups).training.p_value > 0.05


distances = np.ones


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: novelty.shifted_distance(m[0], m), r"mel: expected \[clips, frames, bands\], got \(60, 24\)"),
        (lambda m: novelty.shifted_distance(m, m[:, :5]), r"references: expected \[references, frames=60, bands=24\]"),
        (lambda m: novelty.shifted_distance(m[:0], m), "expected at least 1 clip and 1 reference"),
        (lambda m: novelty.shifted_distance(m, -m), "references: expected mel power, finite and zero or above"),
        (lambda m: novelty.shifted_distance(m * np.nan, m), "mel: expected mel power, finite"),
        (lambda m: novelty.shifted_distance(m, m, max_shift=31), "max_shift=31: expected 0 to 30, half of the frames"),
        (lambda m: novelty.shifted_distance(m, m, top_db=0), "top_db=0: expected a number above zero"),
        (lambda m: superposition.sparse_mixture(m, m, atoms=3), "atoms=3: expected 1 to 2, the number of references"),
        (lambda m: superposition.sparse_mixture(m, m, atoms=1, allowed=[True]), r"allowed: expected \[clips=2, ref"),
        (lambda m: superposition.superposition(m, m, m[:1], seed=0, atoms=1), "heldout: expected at least 2 clips"),
        (lambda m: superposition.superposition(m, m, m, seed=0, heldout_groups=[1, 2]), "or neither"),
        (lambda m: novelty.training_share(np.ones((3, 2)), [True, True], seed=0), "got only one kind"),
        (lambda m: novelty.training_share(-np.ones((3, 2)), [True, False], seed=0), "attribution: expected finite"),
        (
            lambda m: novelty.training_share(np.ones(2), [True, False], seed=0),
            r"attribution: expected \[generated, cli",
        ),
        (lambda m: novelty.training_share(np.ones((3, 2)), [True, False], seed=0, groups=[1, 1]), "split the clips by"),
        (
            lambda m: novelty.training_share(np.ones((3, 2)), [True, False], seed=0, permutations=0),
            "permutations=0: ex",
        ),
        (
            lambda m: novelty.memorisation(distances((4, 3)), distances((4, 2)), distances((3, 2)), seed=0),
            "heldout_training",
        ),
        (
            lambda m: novelty.memorisation(distances((4, 3)), distances((5, 2)), distances((2, 3)), seed=0),
            "generated_heldout",
        ),
        (
            lambda m: novelty.memorisation(distances((0, 3)), distances((0, 2)), distances((2, 3)), seed=0),
            "at least 1 gener",
        ),
        (
            lambda m: novelty.memorisation(-distances((4, 3)), distances((4, 2)), distances((2, 3)), seed=0),
            "finite distances",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call(tunes(2, 0))
