"""The scan start: against the heap on real music, its line trees against scipy's, one frame at a time, at the edges."""

import jax
import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from mgen import dsp
from mgen.dsp.phase_scan import ScanFrames, scan_frames, scan_phases, scan_step, strongest_sources
from tests.pghi_oracle import heap_phases
from tests.test_phase_tree import SMALL, clips_of, convergence_db, corner_cases


@pytest.mark.parametrize("settings", [dict(n_fft=2048, hop_length=512), dict(n_fft=1024, hop_length=256)], ids=str)
def test_near_the_heap_on_real_music(real_audio, settings):
    magnitude = np.abs(np.asarray(dsp.stft(clips_of(real_audio), **settings)))
    heap = np.stack([heap_phases(item, **settings) for item in magnitude]).astype(np.float32)
    for n_iter in (0, 10):
        theirs, ours = (
            convergence_db(dsp.griffin_lim(magnitude, init=init, n_iter=n_iter, **settings), magnitude, settings)
            for init in (heap, "scan")
        )
        assert np.mean(ours) <= np.mean(theirs) + 2.5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bins", [1, 2, 40])
def test_sources_are_those_of_a_maximum_spanning_tree(seed, bins):
    rng = np.random.default_rng(seed)
    from_past, between = rng.uniform(1, 9, bins), rng.uniform(1, 9, bins - 1)
    # Point `bins` is the past. The smallest sum of negative weights is the largest of ours.
    low = np.concatenate([np.arange(bins - 1), np.arange(bins)])
    high = np.concatenate([np.arange(1, bins), np.full(bins, bins)])
    weight = -np.concatenate([between, from_past])
    tree = minimum_spanning_tree(coo_matrix((weight, (low, high)), shape=(bins + 1, bins + 1)))
    order, parent = breadth_first_order(tree, bins, directed=False)
    expected = np.zeros(bins + 1, int)
    for point in order[1:]:  # from the past outwards
        expected[point] = point if parent[point] == bins else expected[parent[point]]
    along = rng.uniform(-3, 3, bins - 1)
    given = (values.astype(np.float32)[None, None] for values in (from_past, between, along))
    source, spread = strongest_sources(*given)
    np.testing.assert_array_equal(source[0, 0], expected[:bins])
    height = np.concatenate([[0], np.cumsum(along)])
    np.testing.assert_allclose(spread[0, 0], height - height[expected[:bins]], rtol=0, atol=1e-4)


def test_a_sine_comes_back():
    settings = dict(n_fft=512, hop_length=128)
    wave = np.sin(2 * np.pi * 40.3 / 512 * np.arange(8192)).astype(np.float32)
    magnitude = np.abs(np.asarray(dsp.stft(wave, **settings)))
    found = dsp.griffin_lim(magnitude, init="scan", n_iter=0, length=8192, **settings)
    assert convergence_db(found, magnitude, settings) < -15


@pytest.mark.parametrize("start", [2048, 2100])
def test_an_impulse_comes_back(start):
    settings = dict(n_fft=512, hop_length=128)
    wave = np.zeros(4096, np.float32)
    wave[start] = 1
    magnitude = np.abs(np.asarray(dsp.stft(wave, **settings)))
    found = dsp.griffin_lim(magnitude, init="scan", n_iter=0, length=4096, **settings)
    assert abs(np.argmax(np.abs(found)) - start) <= (0 if start % 128 == 0 else 6)  # as in test_phase_tree


def test_one_frame_at_a_time_is_the_same(noise):
    magnitude = np.abs(np.asarray(dsp.stft(noise[0, :2000], **SMALL)))
    whole = scan_phases(magnitude, **SMALL)
    before, step = whole[0], jax.jit(scan_step)
    for frame in range(1, len(magnitude) - 1):
        three = scan_frames(magnitude[frame - 1 : frame + 2], **SMALL)
        before, phases = step(before, ScanFrames(*(values[1] for values in three)))
        np.testing.assert_allclose(np.exp(1j * phases), np.exp(1j * whole[frame]), rtol=0, atol=1e-2)


@pytest.mark.parametrize("phases_of", [scan_phases, dsp.tree_phases])
def test_goes_on_from_a_known_frame(noise, phases_of):
    magnitude = np.abs(np.asarray(dsp.stft(noise[:2, :2000], **SMALL)))
    first = np.random.default_rng(0).uniform(-np.pi, np.pi, magnitude[:, 0].shape).astype(np.float32)
    found = phases_of(magnitude, first=first, **SMALL)
    np.testing.assert_allclose(np.exp(1j * found[:, 0]), np.exp(1j * first), rtol=0, atol=1e-4)
    # All else hangs on that frame: turned as a whole, it turns everything with it.
    turned = phases_of(magnitude, first=first + 1, **SMALL)
    np.testing.assert_allclose(np.exp(1j * turned), np.exp(1j * (found + 1)), rtol=0, atol=1e-3)


def test_a_song_in_two_parts_is_the_song(noise):
    """The scan knows nothing of the future but the next frame, so what is cut behind it can be gone on from."""
    magnitude = np.abs(np.asarray(dsp.stft(noise[0, :4000], **SMALL)))
    whole = scan_phases(magnitude, **SMALL)
    rest = scan_phases(magnitude[19:], first=whole[19], **SMALL)
    np.testing.assert_allclose(np.exp(1j * rest[1:]), np.exp(1j * whole[20:]), rtol=0, atol=1e-2)


def test_batch_equals_items(noise):
    magnitude = np.abs(np.asarray(dsp.stft(noise[:, :2000] * np.float32([[1e3], [1], [1e-9]]), **SMALL)))
    magnitude[1, 10:30] = 0
    together = scan_phases(magnitude[:, None], **SMALL)
    assert together.shape == (3, 1, *magnitude.shape[1:])
    for item in range(3):
        alone = scan_phases(magnitude[item], **SMALL)
        np.testing.assert_allclose(np.exp(1j * together[item, 0]), np.exp(1j * alone), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", corner_cases())
def test_finite_for_every_input(name):
    magnitude = corner_cases()[name].astype(np.float32)
    phases = scan_phases(magnitude, **SMALL)
    assert phases.shape == magnitude.shape and np.all(np.isfinite(phases)) and np.abs(phases).max() < 3.2


@pytest.mark.parametrize("scale", [-66, 66])
def test_scale_does_not_matter(scale):
    magnitude = corner_cases()["two_frames"]
    scaled = scan_phases(magnitude * np.float32(2.0**scale), **SMALL)
    np.testing.assert_array_equal(scaled, scan_phases(magnitude, **SMALL))


def test_odd_lengths():
    settings = dict(n_fft=63, hop_length=17, win_length=51, window="hamming")
    magnitude = np.abs(np.random.default_rng(0).normal(size=(11, 32))).astype(np.float32)
    assert np.all(np.isfinite(scan_phases(magnitude, **settings)))


def test_nan_is_refused_by_name():
    with pytest.raises(ValueError, match="magnitude: 297 of 297 values are NaN or infinite"):
        scan_phases(np.full((9, 33), np.nan, np.float32), **SMALL)
    traced = jax.jit(lambda magnitude: scan_phases(magnitude, **SMALL))
    assert np.all(np.isfinite(traced(np.full((9, 33), np.nan, np.float32))))
