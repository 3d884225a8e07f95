"""Healthy and broken GANs of known kinds: saturated, at chance, won, vanished, collapsed."""

import math

import numpy as np
import pytest

from mgen.metrics import gan_health

STEPS = 200
SATURATED = math.log1p(math.e)


def cross_entropy(logits, real):
    """As frameworks have it: from logits, in nats."""
    return np.mean(np.maximum(logits, 0) - logits * real + np.log1p(np.exp(-np.abs(logits))), axis=-1)


def healthy(seed=0):
    """Logits of a discriminator that is right 70 % of the time: real [steps, samples] and generated."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.7, 1.3, (STEPS, 16)), rng.normal(-0.7, 1.3, (STEPS, 16))


def test_accuracy_by_hand():
    found = gan_health.discriminator_accuracy([[1, 2, -1, 3], [0, 0, 0, 0]], [[-1, 1], [0, 0]])
    np.testing.assert_array_equal(found.real, [0.75, 0.5])
    np.testing.assert_array_equal(found.generated, [0.5, 0.5])
    np.testing.assert_array_equal(found.mean, [0.625, 0.5])
    assert gan_health.discriminator_accuracy([0.9, 0.8], [0.4, 0.1], threshold=0.5).mean == 1
    assert gan_health.discriminator_accuracy([0.9, 0.8], [0.4, 0.1]).mean == 0.5  # probabilities taken for logits


def test_the_values_of_system_003():
    """Its discriminator ended in a tanh and its loss took logits: g 1.3133 was called decent."""
    rng = np.random.default_rng(0)
    logits = np.tanh(rng.normal(9, 0.3, (STEPS, 16)))
    generator, discriminator = cross_entropy(-logits, 1), (cross_entropy(logits, 1) + cross_entropy(-logits, 0)) / 2
    found = gan_health.pinned(generator)
    assert found.pinned and found.length == STEPS and found.value == pytest.approx(1.3133, abs=1e-4)
    assert "ln(1 + e)" in found.meaning
    assert "ln(1 + 1/e)" in gan_health.pinned(discriminator).meaning
    assert "ln(1 + 1/e)" in gan_health.pinned(np.full(STEPS, 0.3324)).meaning  # as it was printed
    sigmoid = 1 / (1 + np.exp(-9 * np.ones((STEPS, 16))))
    mean = (cross_entropy(sigmoid, 1) + cross_entropy(1 - sigmoid, 0)) / 2
    assert "sigmoid holds to 0..1" in gan_health.pinned(mean).meaning


@pytest.mark.parametrize(
    "value, words", [(0.0, "floor"), (math.log(2), "at chance"), (2 * math.log(2), "sum over real"), (0.45, "")]
)
def test_known_values(value, words):
    found = gan_health.pinned(np.full(60, value))
    assert found.pinned and found.value == value and words in found.meaning
    assert bool(found.meaning) == bool(words)


def test_known_values_do_not_overlap():
    values = np.sort(list(gan_health.KNOWN_LOSSES))
    assert np.min(np.diff(values)) > 2 * 0.03
    np.testing.assert_allclose(values[[1, 4, 5]], [0.3133, 0.6931, 1.3133], atol=5e-5)


def test_what_moves_is_not_pinned():
    real, generated = healthy()
    loss = cross_entropy(generated, 1)
    found = gan_health.pinned(loss)
    assert not found.pinned and found.meaning == "" and found.length < 5
    late = np.concatenate([loss, np.full(49, SATURATED)])
    assert not gan_health.pinned(late).pinned and gan_health.pinned(late).length == 49
    assert gan_health.pinned(np.append(late, SATURATED)).pinned
    assert gan_health.pinned(np.full(60, np.nan)).length == gan_health.pinned(np.full(60, np.inf)).length == 0
    assert not gan_health.pinned(np.linspace(1, 0.9, 60)).pinned


def test_vanished_gradients():
    rng = np.random.default_rng(0)
    norms = rng.lognormal(0, 0.5, STEPS)
    found = gan_health.vanished_gradient(norms)
    assert not found.vanished and found.not_finite == 0 and 0.8 < found.now < 1.25
    gone = norms * np.where(np.arange(STEPS) < 100, 1, 1e-4)
    found = gan_health.vanished_gradient(gone)
    assert found.vanished and found.now < 2e-4 and found.best > 0.8
    assert gan_health.vanished_gradient(1e-9 * norms).vanished  # from the start
    assert gan_health.vanished_gradient(np.zeros(60)).vanished
    assert not gan_health.vanished_gradient(norms * np.linspace(1, 0.02, STEPS)).vanished  # converging
    broken = gan_health.vanished_gradient(np.where(np.arange(STEPS) < 100, norms, np.nan))
    assert not broken.vanished and math.isnan(broken.now) and broken.not_finite == 0.5


def test_a_perfect_generator_has_not_collapsed():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(2, 300, 12))
    found = gan_health.mode_collapse(generated, real, seed=0)
    assert found.spread == pytest.approx(1, abs=0.05)
    assert found.duplicates == found.real_duplicates == 0 and found.support == math.inf
    assert found.different_bins < 0.2
    same = gan_health.mode_collapse(real, real, seed=0)
    assert same.spread == 1 and same.different_bins == 0


def test_few_sounds_are_counted():
    """Arora & Zhang's birthdays: 20 sounds, each as far from the others as real ones are, seen 15 times."""
    rng = np.random.default_rng(1)
    real, modes = rng.normal(size=(300, 12)), rng.normal(size=(20, 12))
    generated = modes[rng.integers(20, size=300)] + rng.normal(0, 0.02, (300, 12))
    found = gan_health.mode_collapse(generated, real, seed=0)
    assert found.spread > 0.9  # a distance between pairs is blind to it
    assert found.duplicates == 1 and found.real_duplicates == 0
    assert found.support == pytest.approx(20, rel=0.15)


def test_one_sound_and_missing_kinds():
    rng = np.random.default_rng(2)
    real = rng.normal(size=(300, 12)) + 8 * np.eye(12)[rng.integers(4, size=300)]
    one = gan_health.mode_collapse(np.tile(real[:1], (300, 1)), real, seed=0)
    assert one.spread == 0 and one.duplicates == 1 and one.support == 1
    half = real[np.argmax(real[:, :4], axis=1) < 2]
    missing = gan_health.mode_collapse(half, real, seed=0, bins=4)
    assert missing.spread > 0.7 and missing.different_bins == 1


def test_diagnose_a_healthy_gan():
    real, generated = healthy()
    rng = np.random.default_rng(0)
    series = {
        "generator/loss": cross_entropy(generated, 1),
        "discriminator/loss": (cross_entropy(real, 1) + cross_entropy(generated, 0)) / 2,
        "generator/gradient_norm": rng.lognormal(0, 0.5, STEPS),
        "discriminator/gradient_norm": rng.lognormal(0, 0.5, STEPS),
        "refused": np.zeros(STEPS),
        "rate": np.zeros(3),  # not read
    }
    samples = rng.normal(size=(2, 200, 8))
    collapse = gan_health.mode_collapse(*samples, seed=0)
    assert gan_health.diagnose(series, real_outputs=real, generated_outputs=generated, collapse=collapse) == []


def test_diagnose_names_each_illness():
    rng = np.random.default_rng(0)
    series = {
        "generator/loss": np.full(STEPS, SATURATED),
        "generator/gradient_norm": np.concatenate([np.ones(100), np.full(100, 1e-8)]),
        "discriminator/loss": np.where(np.arange(STEPS) < 190, 0.5, np.nan),
        "discriminator/gradient_norm": np.where(np.arange(STEPS) < 190, 1, np.inf),
        "refused": np.where(np.arange(STEPS) < 190, 0, 1),
    }
    collapse = gan_health.mode_collapse(1e-3 * rng.normal(size=(100, 8)), rng.normal(size=(100, 8)), seed=0)
    found = gan_health.diagnose(
        series, real_outputs=np.ones((5, 4)), generated_outputs=-np.ones((5, 4)), collapse=collapse
    )
    assert all("\n" not in line and ": " in line for line in found)
    wanted = [
        "discriminator/gradient_norm: 5% not finite",
        "discriminator/loss: NaN or infinite",
        "generator/gradient_norm: vanished, 1e-08 where it was 1",
        "generator/loss: constant at 1.3133 for the last 200 values (ln(1 + e)",
        "refused: updates in 20% of the last 50",
        "discriminator: right 100%",
        "samples: 0.00 of the real distance",
        "samples: 100% have a double (real 2%), about 1 different",
        "samples: ",
    ]
    assert len(found) == len(wanted)
    for line, start in zip(found, wanted, strict=True):
        assert line.startswith(start), line
    dead = gan_health.diagnose({}, real_outputs=np.zeros(9), generated_outputs=np.zeros(9))
    assert len(dead) == 1 and "constant output, right 50%" in dead[0]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gan_health.pinned(np.ones(9)), r"loss: 9 values are fewer than window=50"),
        (lambda: gan_health.pinned(np.ones((9, 9))), r"loss: expected \[steps\], got \(9, 9\)"),
        (lambda: gan_health.pinned(np.ones(9), window=1), "window=1: expected at least 2"),
        (lambda: gan_health.pinned(np.ones(60), tolerance=0), "tolerance=0: expected"),
        (lambda: gan_health.pinned(np.ones(60), near=0.1), "near=0.1: expected"),
        (lambda: gan_health.vanished_gradient(-np.ones(60)), "norms: expected zero or more, got -1"),
        (lambda: gan_health.vanished_gradient(np.ones(60), ratio=1), "ratio=1: expected"),
        (lambda: gan_health.discriminator_accuracy([], [1]), r"real: expected \[\.\.\., samples\]"),
        (lambda: gan_health.discriminator_accuracy([1], [np.nan]), "generated: 1 outputs are NaN"),
        (lambda: gan_health.discriminator_accuracy([[1]], [1]), "leading axes differ"),
        (lambda: gan_health.mode_collapse(np.eye(4), np.ones((4, 4)), seed=0), "real: half of the samples"),
        (lambda: gan_health.diagnose({}, real_outputs=[1]), "expected real_outputs and generated_outputs"),
        (lambda: gan_health.diagnose({"rate": [1]}), r"series: holds no player/loss.*\['rate'\]"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
