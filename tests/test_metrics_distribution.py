"""Distances between sets against analytic values, scipy and plain loops; intervals against how often they are right."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from scipy.spatial.distance import jensenshannon

from mgen.metrics import distribution, diversity


def normals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def exactly(mean, covariance, samples=200, seed=0):
    """Samples that have this mean and covariance to the last digit, not only on average."""
    drawn = normals(samples, len(mean), seed=seed)
    drawn -= np.mean(drawn, axis=0)
    whitened = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn.T).reshape(len(mean), -1))).T
    return whitened @ np.linalg.cholesky(np.asarray(covariance, float)).T + mean


def test_frechet_of_known_gaussians():
    """Commuting covariances: |m_a - m_b|^2 + sum (sqrt a - sqrt b)^2, here 9 + 16 + (1 + 1 + 0)."""
    generated = exactly([3.0, 0.0, 0.0], np.diag([4.0, 1.0, 9.0]), seed=1)
    real = exactly([0.0, -4.0, 0.0], np.diag([1.0, 4.0, 9.0]), samples=90, seed=2)
    np.testing.assert_allclose(distribution.frechet_distance(generated, real), 27, rtol=1e-12)
    np.testing.assert_allclose(distribution.frechet_distance(real, generated), 27, rtol=1e-12)
    one = distribution.frechet_distance(exactly([1.0], [[9.0]]), exactly([0.0], [[1.0]], seed=3))
    np.testing.assert_allclose(one, 1 + 4, rtol=1e-12)


def frechet_by_sqrtm(generated, real):
    a, b = np.cov(generated.T), np.cov(real.T)
    root = scipy.linalg.sqrtm(a @ b)
    return np.sum((generated.mean(0) - real.mean(0)) ** 2) + np.trace(a) + np.trace(b) - 2 * np.trace(root).real


def frechet_by_eigvalsh(generated, real):
    a, b = np.cov(generated.T), np.cov(real.T)
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    overlap = np.sum(np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b @ root), 0)))
    return np.sum((generated.mean(0) - real.mean(0)) ** 2) + np.trace(a) + np.trace(b) - 2 * overlap


@pytest.mark.parametrize("by_hand", [frechet_by_sqrtm, frechet_by_eigvalsh])
def test_frechet_matches_matrix_square_roots(by_hand):
    rng = np.random.default_rng(0)
    generated, real = rng.normal(size=(300, 20)) @ rng.normal(size=(20, 20)), 2 * rng.normal(size=(100, 20)) + 1
    np.testing.assert_allclose(distribution.frechet_distance(generated, real), by_hand(generated, real), rtol=1e-9)


def test_frechet_of_a_set_with_itself_is_0_where_others_go_negative():
    """More dimensions than samples: the square root of a rounding error of 1e-16 is 1e-8 of the variance."""
    values = 100 * normals(20, 60)
    with pytest.warns(UserWarning, match="20 samples of 60 dimensions"):
        same = distribution.frechet_distance(values, values[::-1])
    assert 0 <= same <= 1e-12 * np.sum(np.var(values, axis=0))
    assert abs(frechet_by_eigvalsh(values, values)) > 1e-10 * np.sum(np.var(values, axis=0))


@pytest.mark.parametrize("samples, dimensions", [(60, 60), (2, 60)])
def test_few_samples_are_told(samples, dimensions):
    with pytest.warns(UserWarning, match=f"real: {samples} samples of {dimensions} dimensions: the covariance is sin"):
        distribution.frechet_distance(normals(80, dimensions), normals(samples, dimensions, seed=1))
    with pytest.warns(UserWarning, match="generated: 100 samples of 60 dimensions: the error is no straight line"):
        distribution.frechet_infinity(normals(100, 60), normals(200, 60, seed=1), seed=0, resamples=2)


def test_frechet_of_constants_and_doubles():
    flat, other = np.full((10, 3), 2.0), np.full((7, 3), 4.0)
    assert distribution.frechet_distance(flat, flat) == 0
    np.testing.assert_allclose(distribution.frechet_distance(flat, other), 12, rtol=1e-12)
    real = exactly([0.0, 0.0, 0.0], np.diag([1.0, 4.0, 9.0]))
    np.testing.assert_allclose(distribution.frechet_distance(flat, real), 12 + 14, rtol=1e-12)
    # Twice the same samples have the same mean, and a covariance smaller by (n - 1) / (n - 1/2).
    assert distribution.frechet_distance(np.tile(real, (2, 1)), real) < 1e-4


def test_frechet_infinity_takes_the_error_of_few_samples_off():
    """The finite distance is too large by d (d + 5) / 2n = 1.17; the true one is 10 x 0.3^2 + 10 x 0.2^2 = 1.3."""
    finite, endless = [], []
    for seed in range(30):
        generated, real = 1.2 * normals(64, 10, seed=seed) + 0.3, normals(64, 10, seed=1000 + seed)
        finite.append(distribution.frechet_distance(generated, real))
        endless.append(distribution.frechet_infinity(generated, real, seed=0, resamples=2, repeats=4).value)
    # The mean of 30 scatters by 0.4 / sqrt(30) = 0.08.
    assert np.mean(finite) > 1.3 + 0.9
    assert abs(np.mean(endless) - 1.3) < 0.25


def test_frechet_interval_holds_the_true_distance_and_the_usual_one_does_not():
    ours, usual, count = 0, 0, 40
    for seed in range(count):
        generated, real = 1.2 * normals(64, 10, seed=seed) + 0.3, normals(64, 10, seed=1000 + seed)
        found = distribution.frechet_infinity(generated, real, seed=seed, resamples=60, sizes=5, repeats=4)
        assert 0 <= found.low <= found.value <= found.high
        ours += found.low <= 1.3 <= found.high
        rng = np.random.default_rng(seed)
        drawn = [distribution.frechet_distance(rng.choice(generated, 64), rng.choice(real, 64)) for _ in range(60)]
        low, high = np.quantile(drawn, [0.025, 0.975])
        usual += low <= 1.3 <= high
    assert ours >= scipy.stats.binom.ppf(0.01, count, 0.93) and usual <= 2


def test_frechet_infinity_of_one_distribution_is_near_0_and_repeatable():
    generated, real = normals(400, 10), normals(400, 10, seed=1)
    found = distribution.frechet_infinity(generated, real, seed=5)
    assert found.low == 0 and found.value < 0.1 < distribution.frechet_distance(generated, real)
    assert found == distribution.frechet_infinity(generated, real, seed=5)
    narrow = distribution.frechet_infinity(generated, real + 3, seed=5, confidence=0.5)
    wide = distribution.frechet_infinity(generated, real + 3, seed=5)
    np.testing.assert_allclose((wide.high - wide.low) / (narrow.high - narrow.low), 1.959964 / 0.674490, rtol=1e-5)


def mmd_by_hand(generated, real):
    kernel = lambda a, b: (a @ b / len(a) + 1) ** 3  # noqa: E731
    total = 0.0
    for set_ in (generated, real):
        pairs = [kernel(a, b) for i, a in enumerate(set_) for j, b in enumerate(set_) if i != j]
        total += np.mean(pairs)
    return total - 2 * np.mean([kernel(a, b) for a in generated for b in real])


def test_kernel_distance_matches_plain_loops():
    generated, real = normals(9, 4) + 0.5, normals(12, 4, seed=1)
    found = distribution.kernel_distance(generated, real)
    np.testing.assert_allclose(found.value, mmd_by_hand(generated, real), rtol=1e-10)
    variance = 0.0
    for first in (True, False):
        mine = generated if first else real
        without = [np.delete(mine, i, axis=0) for i in range(len(mine))]
        values = [mmd_by_hand(*((w, real) if first else (generated, w))) for w in without]
        variance += (len(values) - 1) * np.var(values)
    np.testing.assert_allclose(found.standard_error, np.sqrt(variance), rtol=1e-9)


def test_kernel_distance_is_unbiased_and_knows_its_error():
    same = [
        distribution.kernel_distance(normals(30, 5, seed=i), normals(40, 5, seed=500 + i)).value for i in range(300)
    ]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(300) and 60 < np.sum(np.less(same, 0)) < 240
    apart = [distribution.kernel_distance(normals(30, 5, seed=i) + 1, normals(40, 5, seed=500 + i)) for i in range(300)]
    values, errors = np.transpose(apart)
    np.testing.assert_allclose(np.mean(errors), np.std(values), rtol=0.15)  # a deviation of 300 is known to 4 %
    assert np.min(values / errors) > 1


def test_precision_and_recall_by_hand():
    """On a line, one neighbour. Real balls: [-1, 1], [0, 2], [9, 11], [10, 12] around 0, 1, 10, 11; radius 1 each."""
    real = np.array([[0.0], [1.0], [10.0], [11.0]])
    generated = np.array([[0.5], [2.0], [5.0]])  # radii 1.5, 1.5, 3: balls [-1, 2], [0.5, 3.5], [2, 8]
    assert diversity.precision_recall(generated, real, neighbours=1) == (2 / 3, 2 / 4)
    found = diversity.density_coverage(generated, real, neighbours=1)
    np.testing.assert_allclose(found, [(2 + 1 + 0) / 3, 2 / 4])


def test_identical_doubled_and_constant_sets_are_covered():
    values = normals(50, 8)
    for same in (values, np.tile(values, (2, 1)), np.ones((10, 8))):
        assert diversity.precision_recall(same, same[::-1]) == (1, 1)
        assert diversity.density_coverage(same, same[::-1]).coverage == 1
        bins = diversity.different_bins(same, same[::-1], seed=0)
        assert bins.share == 0 and bins.divergence == 0
    np.testing.assert_allclose(diversity.density_coverage(values, values).density, 1.2)
    assert diversity.precision_recall(np.ones((10, 8)), np.zeros((10, 8))) == (0, 0)


def test_sets_of_one_distribution_and_of_half_of_it():
    real, all_of_it = normals(400, 3), normals(400, 3, seed=1)
    half = all_of_it[all_of_it[:, 0] > 0]
    both, part = diversity.precision_recall(all_of_it, real), diversity.precision_recall(half, real)
    assert min(both) > 0.9 and part.precision > 0.9 and part.recall < 0.65
    # 1 - 2^-5 = 0.97; the share of 400 scatters by 0.01.
    np.testing.assert_allclose(diversity.density_coverage(all_of_it, real), [1, 1 - 2**-5], atol=0.06)
    assert diversity.density_coverage(half, real).coverage < 0.65


def test_density_is_not_deceived_by_an_outlier():
    real, generated = normals(100, 2), normals(100, 2, seed=1)
    everywhere = 30 * normals(100, 2, seed=2)
    assert diversity.precision_recall(generated, everywhere).recall < 0.1
    generated[0] = 1000  # its ball, of radius 1400, ends in the middle of the others
    assert diversity.precision_recall(generated, everywhere).recall > 0.4
    assert diversity.density_coverage(generated, everywhere).coverage < 0.1
    np.testing.assert_allclose(diversity.density_coverage(generated, real).density, 1, atol=0.15)


def modes(counts, seed):
    """Three tight clusters far apart, so that k-means cannot but find them."""
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    return np.repeat(centres, counts, axis=0) + 0.1 * normals(sum(counts), 2, seed=seed)


def test_different_bins_by_hand():
    real, generated = modes([50, 30, 20], 0), modes([52, 48, 0], 1)
    found = diversity.different_bins(generated, real, seed=0, bins=3)
    np.testing.assert_allclose(found.real, [0.5, 0.3, 0.2])
    np.testing.assert_allclose(found.generated, [0.52, 0.48, 0])
    # z = 0.28, 2.61 and 4.71 against 1.96.
    np.testing.assert_allclose(found.share, 2 / 3)
    expected = jensenshannon(found.generated, found.real, base=2) ** 2
    np.testing.assert_allclose(found.divergence, expected, rtol=1e-9)
    assert diversity.different_bins(generated, real, seed=0, bins=3, significance=0.001).share == 1 / 3


def test_different_bins_of_one_distribution_are_rare():
    shares = [
        diversity.different_bins(normals(500, 4, seed=i), normals(500, 4, seed=99 + i), seed=0, bins=20).share
        for i in range(30)
    ]
    assert 0 < np.mean(shares) < 0.08
    assert len(diversity.different_bins(normals(9, 4), normals(30, 4), seed=0).real) == 3
    assert len(diversity.different_bins(normals(9, 4), normals(5, 4), seed=0).real) == 2


def test_bins_hold_every_sample_and_none_is_empty():
    real, generated = normals(60, 3), normals(40, 3, seed=1)
    found = diversity.different_bins(generated, real, seed=0, bins=6)
    np.testing.assert_allclose([found.real.sum(), found.generated.sum()], 1)
    assert np.all(found.real > 0)
    assert np.all(np.diff(found.real) <= 0) and len(found.real) == 6


def test_inception_scores():
    sure, unsure = np.tile(np.eye(5), (40, 1)), np.full((200, 5), 0.2)
    np.testing.assert_allclose(distribution.inception_score(sure, seed=0, splits=1), (5, 0), rtol=1e-12)
    np.testing.assert_allclose(distribution.inception_score(unsure, seed=0), (1, 0), atol=1e-12)
    np.testing.assert_allclose(distribution.inception_score(np.eye(5)[[2] * 30], seed=0), (1, 0), atol=1e-12)
    # In order of their class, as conditional samples come; splits of 20 in this order would each hold one class.
    ordered = distribution.inception_score(np.repeat(np.eye(5), 40, axis=0), seed=0)
    assert ordered.mean > 4.3 and 0 < ordered.deviation < 0.5
    drawn = np.random.default_rng(0).dirichlet(np.ones(4), 100)
    information = scipy.stats.entropy(drawn.mean(axis=0)) - np.mean(scipy.stats.entropy(drawn, axis=1))
    found = distribution.inception_score(drawn.astype(np.float32), seed=0, splits=1)
    np.testing.assert_allclose(found.mean, np.exp(information), rtol=1e-6)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: distribution.frechet_distance(x[0], x), r"generated: expected \[samples, dimensions\], got \(4,\)"),
        (
            lambda x: distribution.frechet_distance(x, x[:, :3]),
            r"real: expected \[samples, dimensions=4\], got \(9, 3\)",
        ),
        (lambda x: distribution.frechet_distance(x[:1], x), r"generated: expected at least 2 samples .*, got \(1, 4\)"),
        (lambda x: distribution.frechet_distance(x, x * np.nan), r"real: samples \[0 1 2 3 4\] are not finite \(9 in"),
        (lambda x: distribution.frechet_infinity(x, x, seed=0, confidence=1), "confidence=1, .* a share between 0 and"),
        (lambda x: distribution.frechet_infinity(x, x, seed=0, sizes=1), "sizes=1, repeats=10, resamples=200: expec"),
        (lambda x: distribution.kernel_distance(x, x[:2]), "real: expected at least 3 samples"),
        (lambda x: distribution.kernel_distance(x, x, degree=0), "degree=0: expected at least 1; 3 is usual"),
        (lambda x: distribution.inception_score(x, seed=0, splits=9), "numbers >= 0 that sum to 1; give probabilities"),
        (
            lambda x: distribution.inception_score(np.eye(3), seed=0),
            "splits=10: expected 1 to 3, the number of samples",
        ),
        (lambda x: distribution.inception_score(x[0], seed=0), r"probabilities: expected \[samples, classes\]"),
        (lambda x: diversity.precision_recall(x, x, neighbours=9), "neighbours=9: expected 1 to 8, one less than"),
        (lambda x: diversity.density_coverage(x[:2], x), "neighbours=5: expected 1 to 1"),
        (
            lambda x: diversity.different_bins(x, x, seed=0, bins=10),
            "bins=10: expected 1 to 9, the number of different",
        ),
        (lambda x: diversity.different_bins(x, x * 0, seed=0, bins=2), "bins=2: expected 1 to 1"),
        (lambda x: diversity.different_bins(x, x, seed=0, significance=0), "significance=0: expected a number between"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call(normals(9, 4))
