"""Sliders of known worth: perfect, rotated, dead and noisy ones; and the factors of `Tones` as they are heard."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from mgen.data import tones
from mgen.metrics import control, tempo
from mgen.metrics.factors import MeasuredFactors, measured_factors

RATE = 22_050


def draws(sliders=3, count=2000, seed=0):
    return np.random.default_rng(seed).uniform(size=(count, sliders))


def test_sweeps():
    found = control.sweeps([0, 10], [1, 30], [0.5, 15], points=3)
    np.testing.assert_array_equal(found, [[0, 15], [0.5, 15], [1, 15], [0.5, 10], [0.5, 20], [0.5, 30]])


def test_monotonicity_by_hand():
    settings = control.sweeps([0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5])
    factors = np.stack(
        [np.exp(3 * settings[:, 0]), -(settings[:, 1] ** 3), (settings[:, 2] - 0.5) ** 2, 0 * settings[:, 0] + 7],
        axis=1,
    )
    found = control.monotonicity(settings, factors)
    np.testing.assert_allclose(found, [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 0]], atol=1e-12)


def test_monotonicity_is_spearman_and_the_mean_over_sweeps():
    rng = np.random.default_rng(0)
    sweep = np.linspace(0, 1, 12)
    settings = np.concatenate([np.stack([sweep, 0 * sweep + k], axis=1) for k in range(3)])
    factor = rng.normal(size=(36, 1)).round(1)
    factor[5] = np.nan
    settings = np.concatenate([settings, control.sweeps([5, 5], [6, 6], [5, 5])])
    factor = np.concatenate([factor, np.zeros((18, 1))])
    parts = [(sweep, factor[12 * k : 12 * k + 12, 0]) for k in range(3)]
    wanted = [spearmanr(x, y, nan_policy="omit").statistic for x, y in parts]
    # Sliders at 5..6 add one sweep, in which nothing moves.
    assert control.monotonicity(settings, factor)[0, 0] == pytest.approx(np.sum(wanted) / 4)


def test_one_slider_and_unmeasured_factors():
    settings = control.sweeps([0], [1], [0.5])
    assert control.monotonicity(settings, settings) == 1
    np.testing.assert_array_equal(control.monotonicity(settings, np.full((9, 2), np.nan)), [[0, 0]])
    found = control.cross_talk(settings, np.full((9, 1), np.nan))
    assert found.effect == 0 and found.leak == 0


def test_cross_talk_by_hand():
    settings = control.sweeps([0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5])
    clean = control.cross_talk(settings, settings * [1, -100, 0.01] + [0, 7, 3])
    np.testing.assert_allclose(clean.effect, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(clean.leak, 0, atol=1e-12)
    mixing = np.array([[1, 0, 0, 2], [0.25, 1, 0, 0], [0, 0, 0, 1]])
    found = control.cross_talk(settings, settings @ mixing)
    np.testing.assert_allclose(found.effect, [[1, 0, 0, 1], [0.25, 1, 0, 0], [0, 0, 0, 0.5]], atol=1e-12)
    np.testing.assert_allclose(found.leak, [1, 0.25, 0.5], atol=1e-12)


def test_perfect_sliders():
    settings = draws()
    factors = np.stack([np.exp(settings[:, 0]), -settings[:, 1], settings[:, 2] ** 2], axis=1)
    np.testing.assert_allclose(control.mutual_information_gap(settings, factors), 1, atol=0.02)
    found = control.disentanglement(settings, factors)
    assert found.disentanglement > 0.999 and found.completeness > 0.999 and found.informativeness > 0.999
    np.testing.assert_allclose(found.importance, np.eye(3), atol=1e-3)
    order = control.disentanglement(settings, factors[:, [2, 0, 1]])
    assert order.disentanglement == pytest.approx(found.disentanglement, rel=1e-9)


def test_rotated_sliders():
    """At 45 degrees each factor is as much one slider's as the other's."""
    settings = draws(2)
    factors = settings @ np.array([[1, 1], [-1, 1]])
    assert np.max(control.mutual_information_gap(settings, factors)) < 0.03
    found = control.disentanglement(settings, factors)
    assert found.disentanglement < 0.01 and found.completeness < 0.01 and found.informativeness > 0.99
    # The two sliders happen to be a little correlated, so it is not exactly a half.
    np.testing.assert_allclose(found.importance, np.var(settings, 0)[:, None] / np.var(factors, 0), atol=1e-3)
    slight = settings @ np.array([[1, 0.2], [-0.2, 1]])
    assert 0.2 < np.mean(control.mutual_information_gap(settings, slight)) < 0.7
    # Shares of 1 and 0.04 of 1.04: the entropy of it, in bits, is 0.235.
    assert control.disentanglement(settings, slight).disentanglement == pytest.approx(1 - 0.235, abs=0.02)


def test_nothing_is_zero_and_not_nan():
    settings = draws()
    for factors in (np.zeros((2000, 2)), np.full((2000, 2), 0.1), np.full((2000, 2), np.nan)):
        np.testing.assert_array_equal(control.mutual_information_gap(settings, factors), 0)
        found = control.disentanglement(settings, factors)
        assert found[:3] == (0, 0, 0) and not np.any(found.importance)
    noise = np.random.default_rng(1).normal(size=(2000, 2))
    assert np.max(control.mutual_information_gap(settings, noise)) < 0.02
    found = control.disentanglement(settings, noise)
    assert found.informativeness < 0.01 and np.max(found.importance) < 0.01


def test_a_dead_slider_weighs_nothing_and_a_choice_counts():
    rng = np.random.default_rng(0)
    settings = np.stack([rng.integers(3, size=900), rng.uniform(size=900), rng.uniform(size=900)], axis=1)
    factors = np.stack([np.array([2, 9, 4])[settings[:, 0].astype(int)], settings[:, 1]], axis=1)
    np.testing.assert_allclose(control.mutual_information_gap(settings, factors), 1, atol=0.05)
    found = control.disentanglement(settings, factors)
    assert found.disentanglement > 0.99 and found.informativeness > 0.99
    np.testing.assert_allclose(found.importance, [[1, 0], [0, 1], [0, 0]], atol=2e-3)


def test_the_correction_holds_for_few_settings():
    settings = draws(2, 200)
    factors = settings + np.random.default_rng(1).normal(0, 0.02, settings.shape)
    assert np.min(control.mutual_information_gap(settings, factors)) > 0.6
    some = np.where(np.arange(200)[:, None] % 4 == 0, np.nan, factors)
    assert np.min(control.mutual_information_gap(settings, some)) > 0.6
    assert control.disentanglement(settings, some).disentanglement > 0.99


OFF = dict.fromkeys(tones.STEMS, 0.0)
TEMPI, PITCHES, BRIGHT, LEVELS = [95.0, 122.0, 135.0], [60, 72, 84], [0, 0.5, 1], [0.3, 0.6]
SETTINGS = control.sweeps([0.2, 0.0], [1.0, 1.0], [0.6, 0.5], points=3)


@pytest.fixture(scope="module")
def heard():
    """Every clip in one batch, as parts: {what varies: MeasuredFactors}."""
    labels = {
        "tempo": [{"tempo": bpm} for bpm in TEMPI],
        "pitch": [{**OFF, "lead": 1.0, "pitch": pitch} for pitch in PITCHES],
        "brightness": [{**OFF, "bass": 0.8, "chords": 0.8, "lead": 0.8, "brightness": x} for x in BRIGHT],
        **{stem: [{**OFF, stem: level} for level in LEVELS] for stem in tones.STEMS},
        "chords and brightness": [{**OFF, "chords": level, "brightness": bright} for level, bright in SETTINGS],
        "silence": [OFF],
    }
    waves = [tones.render(x, sample_rate=RATE, samples=4 * RATE) for part in labels.values() for x in part]
    found = measured_factors(np.stack(waves), sample_rate=RATE, hop_length=1024)
    ends = np.cumsum([len(part) for part in labels.values()])[:-1]
    parts = zip(*(np.split(np.asarray(values), ends) for values in found), strict=True)
    return {name: MeasuredFactors(*part) for name, part in zip(labels, parts, strict=True)}


def test_tones_are_heard(heard):
    """Which labels can be measured, and how well: those that the module names."""
    assert tempo.tempo_accuracy(heard["tempo"].tempo, TEMPI).accuracy2 == 1
    np.testing.assert_allclose(heard["pitch"].pitch, PITCHES, atol=4)  # the lead plays about it, on a scale
    assert np.all(np.diff(heard["pitch"].pitch) > 0)
    assert np.all(np.diff(heard["brightness"].brightness) > 0)
    for stem in tones.STEMS:
        np.testing.assert_allclose(np.diff(heard[stem].loudness), 6.02, atol=1)  # tanh takes a little off
    silent = heard["silence"]
    assert silent.loudness == -70 and np.isnan(silent.tempo) and np.isnan(silent.pitch) and np.isnan(silent.brightness)


def test_a_renderer_as_a_model(heard):
    """Two perfect sliders of `Tones`, measured from sound alone: level and brightness of chords."""
    found = heard["chords and brightness"]
    factors = np.stack([found.loudness, found.brightness], axis=1)
    np.testing.assert_allclose(np.diag(control.monotonicity(SETTINGS, factors)), 1)
    talk = control.cross_talk(SETTINGS, factors)
    assert talk.effect[0, 0] == talk.effect[1, 1] == 1
    assert talk.leak[0] < 0.1 and 0.1 < talk.leak[1] < 0.6  # what is brighter is louder too


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: control.sweeps([0], [0], [0]), r"low=\[0.\], high=\[0.\], points=9: expected low < high"),
        (lambda: control.sweeps([0], [1], [0], points=2), "points=2: expected low < high and at least 3"),
        (lambda: control.sweeps([0], [1, 2], [0]), r"high: expected \[sliders=1\], got \(2,\)"),
        (lambda: control.monotonicity(draws(), draws()), "settings: slider 0 never moves alone over 3 values"),
        (lambda: control.monotonicity(draws(), draws(count=9)), r"factors: expected \[count=2000, factors\]"),
        (lambda: control.cross_talk(draws(3), draws(2)), "factors: 2 are too few for 3 sliders"),
        (lambda: control.mutual_information_gap(draws(), draws(), bins=1), "bins=1: expected at least 2"),
        (lambda: control.mutual_information_gap(draws(2, 9), draws(2, 9)), "settings: expected 20 or more, finite"),
        (lambda: control.disentanglement(draws(), draws(), knots=1), "knots=1: expected at least 2"),
        (
            lambda: control.disentanglement(draws(3, 90), draws(3, 90)),
            "settings: 90 are too few for factor 0; give 120",
        ),
        (
            lambda: control.disentanglement(np.full((99, 1), np.nan), draws(1, 99)),
            "settings: expected 1 or more, finite",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_movement_is_the_deviation_over_a_sweep():
    """One slider moves its factor by 2 a unit and another by 1, the other nothing."""
    settings = control.sweeps([0, 0], [1, 3], [0.5, 0.5], points=3)
    factors = np.stack([2 * settings[:, 0], settings[:, 0], np.zeros(len(settings))], axis=1)
    found = control.movement(settings, factors)
    deviation = np.std([0, 0.5, 1])
    np.testing.assert_allclose(found, [[2 * deviation, deviation, 0], [0, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(control.leaks(found), [deviation, 0])
