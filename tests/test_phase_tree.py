"""The spanning tree start: against the heap on real music, against scipy's tree on small grids, and at the edges."""

import jax
import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from mgen import dsp
from mgen.audio import read
from mgen.dsp.phase_tree import integrate_along_tree, tree_phases
from tests.pghi_oracle import heap_phases

SMALL = dict(n_fft=64, hop_length=16)
CLIPS = ["vibe_ace.ogg", "country.mp3", "rhodes_demo.mp3", "lofi_cue.mp3"]


def clips_of(folder, duration=2.0):
    return np.stack(
        [read(folder / "music" / name, sample_rate=22_050, start_s=5, duration_s=duration) for name in CLIPS]
    )


def convergence_db(wave, magnitude, settings):
    rest = np.abs(np.asarray(dsp.stft(wave, **settings))) - magnitude
    return 20 * np.log10(np.linalg.norm(rest, axis=(-2, -1)) / np.linalg.norm(magnitude, axis=(-2, -1)))


@pytest.mark.parametrize("settings", [dict(n_fft=2048, hop_length=512), dict(n_fft=1024, hop_length=256)], ids=str)
def test_as_good_as_the_heap_on_real_music(real_audio, settings):
    magnitude = np.abs(np.asarray(dsp.stft(clips_of(real_audio), **settings)))
    heap = np.stack([heap_phases(item, **settings) for item in magnitude]).astype(np.float32)
    for n_iter in (0, 10):
        theirs, ours = (
            convergence_db(dsp.griffin_lim(magnitude, init=init, n_iter=n_iter, **settings), magnitude, settings)
            for init in (heap, "tree")
        )
        assert np.mean(ours) <= np.mean(theirs) + 0.3
        assert np.mean(ours) < -16


def grid_edges(frames, bins):
    """(low, high) of every edge of one grid: to the next frame, then to the next bin."""
    number = np.arange(frames * bins).reshape(frames, bins)
    low = np.concatenate([number[:-1].ravel(), number[:, :-1].ravel()])
    high = np.concatenate([number[1:].ravel(), number[:, 1:].ravel()])
    return low, high


@pytest.mark.parametrize("frames, bins", [(7, 9), (1, 12), (12, 1), (15, 16), (1, 1)])
@pytest.mark.parametrize("levels", [None, 3, 1], ids=["distinct", "many ties", "all equal"])
def test_it_is_a_maximum_spanning_tree(frames, bins, levels):
    rng = np.random.default_rng(0)
    weights = rng.uniform(-20, 0, (2, frames, bins)) if levels is None else -rng.integers(0, levels, (2, frames, bins))
    # Random differences mark the tree: only along its edges can they all be met.
    along_time = rng.uniform(-3, 3, (2, frames - 1, bins)).astype(np.float32)
    along_bins = rng.uniform(-3, 3, (2, frames, bins - 1)).astype(np.float32)
    phases = np.asarray(integrate_along_tree(weights.astype(np.float32), along_time, along_bins), np.float64)
    low, high = grid_edges(frames, bins)
    for item in range(2):
        flat = phases[item].ravel()
        steps = np.concatenate([along_time[item].ravel(), along_bins[item].ravel()])
        on = np.abs(np.angle(np.exp(1j * (flat[high] - flat[low] - steps)))) < 1e-4
        points = frames * bins
        # points - 1 edges that join all points hold no cycle.
        tree = coo_matrix((np.ones(on.sum()), (low[on], high[on])), shape=(points, points))
        assert on.sum() == points - 1 and connected_components(tree, directed=False)[0] == 1
        ends = weights[item].ravel()[low], weights[item].ravel()[high]
        edge = np.maximum(*ends) + 1.5 * np.minimum(*ends)
        # scipy takes 0 for no edge, so all are made negative; the smallest sum of those is the largest of ours.
        theirs = minimum_spanning_tree(coo_matrix((-(edge + 100.0), (low, high)), shape=(points, points)))
        np.testing.assert_allclose(np.sum(edge[on] + 100.0), -theirs.sum(), rtol=1e-6)


def test_a_sine_comes_back():
    settings = dict(n_fft=512, hop_length=128)
    wave = np.sin(2 * np.pi * 40.3 / 512 * np.arange(8192)).astype(np.float32)
    magnitude = np.abs(np.asarray(dsp.stft(wave, **settings)))
    assert (
        convergence_db(dsp.griffin_lim(magnitude, n_iter=0, init="tree", length=8192, **settings), magnitude, settings)
        < -17
    )


@pytest.mark.parametrize("start", [100, 2048, 2100])
def test_an_impulse_comes_back(start):
    settings = dict(n_fft=512, hop_length=128)
    wave = np.zeros(4096, np.float32)
    wave[start] = 1
    magnitude = np.abs(np.asarray(dsp.stft(wave, **settings)))
    found = dsp.griffin_lim(magnitude, n_iter=0, init="tree", length=4096, **settings)
    # Where no frame is centred on it, the phase slope is as wrong as a Hann window is no Gaussian: a few samples.
    assert abs(np.argmax(np.abs(found)) - start) <= (0 if start % 128 == 0 else 6)


def test_batch_equals_items(noise):
    magnitude = np.abs(np.asarray(dsp.stft(noise[:, :2000] * np.float32([[1e3], [1], [1e-9]]), **SMALL)))
    magnitude[1, 10:30] = 0
    together = tree_phases(magnitude[:, None], **SMALL)
    assert together.shape == (3, 1, *magnitude.shape[1:])
    mapped = jax.vmap(lambda item: tree_phases(item, **SMALL))(magnitude)
    for item in range(3):
        alone = tree_phases(magnitude[item], **SMALL)
        # Not bit for bit: the compiler may add in another order. As phases they are the same.
        for other in (together[item, 0], mapped[item]):
            np.testing.assert_allclose(np.exp(1j * other), np.exp(1j * alone), rtol=0, atol=1e-3)


def test_runs_alike_twice(noise):
    magnitude = np.abs(np.asarray(dsp.stft(noise[:, :2000], **SMALL)))
    np.testing.assert_array_equal(tree_phases(magnitude, **SMALL), tree_phases(magnitude, **SMALL))


def corner_cases():
    ones, rng = np.ones((9, 33), np.float32), np.random.default_rng(0)
    random = np.abs(rng.normal(size=(9, 33))).astype(np.float32)
    single = np.zeros((9, 33), np.float32)
    single[4, 7] = 1
    dc, nyquist = ones * (np.arange(33) == 0), ones * (np.arange(33) == 32)
    return dict(
        zeros=0 * ones, equal=ones, single=single, dc=dc, nyquist=nyquist, tiny=random * np.float32(1e-20),
        huge=random * np.float32(1e20), one_frame=random[:1], two_frames=random[:2],
    )  # fmt: skip


@pytest.mark.parametrize("name", corner_cases())
def test_finite_for_every_input(name):
    magnitude = corner_cases()[name].astype(np.float32)
    phases = tree_phases(magnitude, **SMALL)
    assert phases.shape == magnitude.shape and np.all(np.isfinite(phases)) and np.abs(phases).max() < 3.2


@pytest.mark.parametrize("scale", [-66, 66])
def test_scale_does_not_matter(scale):
    magnitude = corner_cases()["two_frames"]
    scaled = tree_phases(magnitude * np.float32(2.0**scale), **SMALL)
    np.testing.assert_array_equal(scaled, tree_phases(magnitude, **SMALL))


def test_odd_lengths():
    settings = dict(n_fft=63, hop_length=17, win_length=51, window="hamming")
    magnitude = np.abs(np.random.default_rng(0).normal(size=(11, 32))).astype(np.float32)
    assert np.all(np.isfinite(tree_phases(magnitude, **settings)))


def test_nan_is_refused_by_name():
    with pytest.raises(ValueError, match="magnitude: 297 of 297 values are NaN or infinite"):
        tree_phases(np.full((9, 33), np.nan, np.float32), **SMALL)
    # Traced, it cannot be refused; it must at least come to an end.
    traced = jax.jit(lambda magnitude: tree_phases(magnitude, **SMALL))
    assert np.all(np.isfinite(traced(np.full((9, 33), np.nan, np.float32))))


def test_devices_do_not_matter(noise):
    devices = jax.local_device_count()
    magnitude = np.abs(np.asarray(dsp.stft(noise[0, : 2048 * devices].reshape(devices, -1)[:, :2048], **SMALL)))
    spread = jax.pmap(lambda item: tree_phases(item, **SMALL))(magnitude)
    np.testing.assert_allclose(np.exp(1j * spread), np.exp(1j * tree_phases(magnitude, **SMALL)), rtol=0, atol=1e-3)
