"""Blocks and batches over devices: the same sound as in one piece, however it is cut and wherever it is made."""

import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from mgen import dsp, parallel
from mgen.dsp import blocks, inversion

FRAME = dict(n_fft=256, hop_length=64)
MEL = dict(sample_rate=8000, **FRAME)
#: What a whole and its blocks differ by: rounding, let grow over as many iterations. From mel bands, the solver's too.
CLOSE = {0: 1e-6, 3: 1e-5, 8: 1e-4}
CLOSE_MEL = {0: 1e-5, 3: 3e-5, 8: 1e-4}


def magnitudes(*shape, seed=0, samples=6000, **frame):
    wave = np.random.default_rng(seed).normal(0, 0.1, (*shape, samples)).astype(np.float32)
    return np.abs(np.asarray(dsp.stft(wave, **(frame or FRAME))))


def mels(*shape, **arguments):
    return magnitudes(*shape, **arguments) ** 2 @ dsp.mel_filters(sample_rate=8000, n_fft=256, n_mels=20)


def assert_same(found, expected, n_iter, close=CLOSE):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=close[n_iter] * np.abs(expected).max())


@pytest.mark.parametrize("n_iter", [0, 3, 8])
@pytest.mark.parametrize("init", ["scan", "tree", "zeros", "random"])
def test_blocks_make_what_the_whole_makes(n_iter, init):
    magnitude, search = magnitudes(), dict(n_iter=n_iter, init=init, rng=jax.random.key(3), length=6000)
    whole = dsp.griffin_lim(magnitude, **search, **FRAME)
    for block_frames in (1000, 60, 1):
        assert_same(dsp.invert(magnitude, block_frames=block_frames, **search, **FRAME), whole, n_iter)


@pytest.mark.parametrize("n_iter", [0, 3, 8])
def test_mel_blocks_make_what_the_whole_makes(n_iter):
    search = dict(n_iter=n_iter, length=6000)
    whole = dsp.mel_to_audio(mels(), **search, **MEL)
    for block_frames in (1000, 60, 1):
        assert_same(dsp.invert_mel(mels(), block_frames=block_frames, **search, **MEL), whole, n_iter, CLOSE_MEL)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_mel_power_and_updates_are_passed_on(power):
    search = dict(n_iter=2, length=6000, power=power, nnls_iter=3, fmin=100.0, fmax=3000.0)
    whole = dsp.mel_to_audio(mels(), **search, **MEL)
    assert_same(dsp.invert_mel(mels(), **search, **MEL), whole, 3, CLOSE_MEL)


@pytest.mark.parametrize("items", [1, 2, 3, 5])
def test_a_batch_of_any_size_equals_its_items(items):
    magnitude = magnitudes(items) * np.geomspace(1e-9, 1e9, items, dtype=np.float32)[:, None, None]
    search = dict(n_iter=3, init="random", rng=jax.random.key(1))
    made = dsp.invert(magnitude, **search, **FRAME)
    whole = np.asarray(dsp.griffin_lim(magnitude, **search, **FRAME))
    for got, wanted in zip(made, whole, strict=True):
        assert_same(got, wanted, 3)


def test_leading_axes_are_kept():
    magnitude = magnitudes(2, 3, samples=1000)
    angles = np.random.default_rng(0).uniform(-3, 3, magnitude.shape).astype(np.float32)
    made = dsp.invert(magnitude, n_iter=3, init=angles, **FRAME)
    assert_same(made, np.asarray(dsp.griffin_lim(magnitude, n_iter=3, init=angles, **FRAME)), 3)
    assert made.shape[:2] == (2, 3)


@pytest.mark.parametrize(
    "frame",
    [
        dict(n_fft=256, hop_length=64, center=False),
        dict(n_fft=256, hop_length=100),
        dict(n_fft=250, hop_length=64, win_length=200, window="hamming"),
        dict(n_fft=256, hop_length=256, window="hamming"),
    ],
    ids=str,
)
def test_every_kind_of_frame(frame):
    magnitude = magnitudes(**frame)
    search = dict(n_iter=3, init="zeros", length=6000 - 6000 % frame["hop_length"])
    if len(magnitude) != dsp.frame_count(search["length"], **{k: frame[k] for k in frame if k in _COUNTS}):
        del search["length"]
    whole = np.asarray(dsp.griffin_lim(magnitude, **search, **frame))
    inside = slice(256, -256)  # where frames are not centred the ends are divided by nearly nothing
    assert_same(dsp.invert(magnitude, block_frames=30, **search, **frame)[inside], whole[inside], 3)


_COUNTS = ("n_fft", "hop_length", "center")


def test_segments_go_on_from_one_another(monkeypatch):
    """The scan in segments is the scan in one piece; the tree in segments is as good as the tree in one piece."""

    def error_db(wave):
        rest = np.abs(np.asarray(dsp.stft(wave, **FRAME))) - magnitude
        return 20 * np.log10(np.linalg.norm(rest) / np.linalg.norm(magnitude))

    seconds = np.arange(16_000) / 8000
    wave = np.sin(2 * np.pi * (300 * seconds + 200 * seconds**2)) + 0.5 * np.sin(2 * np.pi * 1700.5 * seconds)
    magnitude = np.abs(np.asarray(dsp.stft(wave.astype(np.float32), **FRAME)))
    whole = {init: dsp.griffin_lim(magnitude, n_iter=0, init=init, **FRAME) for init in ("scan", "tree")}
    monkeypatch.setattr(inversion, "SEGMENT", 50)
    parts = {init: dsp.invert(magnitude, n_iter=0, init=init, **FRAME) for init in ("scan", "tree")}
    np.testing.assert_allclose(parts["scan"], whole["scan"], rtol=0, atol=1e-2)
    assert error_db(parts["tree"]) < error_db(whole["tree"]) + 1
    assert error_db(parts["tree"]) < -12


def test_random_segments_differ(monkeypatch):
    monkeypatch.setattr(inversion, "SEGMENT", 20)
    flat = np.ones((60, 129), np.float32)
    found = inversion._angles("random", None, flat[None], jax.random.key(0)[None], inversion.Frame(256, 64))[0]
    assert np.abs(np.corrcoef(found[:20].ravel(), found[20:40].ravel())[0, 1]) < 0.1
    assert len(np.unique(found)) > 0.9 * found.size


@pytest.mark.parametrize("frames", [1, 2, 90, 1000])
@pytest.mark.parametrize("block_frames", [1, 100, 10_000])
@pytest.mark.parametrize("items", [1, 7])
def test_a_plan_covers_all_and_keeps_to_its_memory(items, frames, block_frames):
    plan = blocks.plan_blocks(items, frames, 4, 5, block_frames)
    halo = 3 * (5 + 1 + 5)
    assert plan.made >= 1 and plan.taken <= max(block_frames, 2 * halo, 1)
    assert plan.at_once * plan.taken <= max(block_frames, plan.taken)
    if plan.before:
        assert plan.before == 18 and plan.taken == plan.before + plan.made + 15
    elif plan.taken != frames:
        assert plan.made == plan.taken and plan.made % 64 == 0 and frames + 3 <= plan.made < frames + 3 + 64
    assert plan.before or plan.made >= frames + 3


def test_devices_share_the_blocks_of_one_file():
    """On the four devices of the tests a long file goes in four blocks, a short one in one: more would cost more."""
    assert blocks.plan_blocks(1, 4000, 4, 8, 10_000).made == 1024
    assert blocks.plan_blocks(1, 30, 4, 32, 10_000, 256) == blocks.Plan(33, 0, 30, 333)


def test_files_of_many_lengths_are_blocks_of_a_few():
    """Each size is compiled anew: a folder of songs must not be a folder of sizes."""
    plans = [blocks.plan_blocks(1, frames, 4, 32, 4096, 256) for frames in range(5000, 8000, 7)]
    assert len({(plan.taken, plan.at_once) for plan in plans}) < 30
    assert all(plan.taken <= 4096 for plan in plans)


def test_memory_on_a_device_is_bounded(monkeypatch):
    """No array that goes to a device is longer than was asked for, whatever the length of the file."""
    seen = []
    spread = parallel.spread

    def watch(function, *arrays, at_once):
        seen.append(max(array.shape[1] * at_once for array in arrays if array.ndim > 2))
        return spread(function, *arrays, at_once=at_once)

    monkeypatch.setattr(parallel, "spread", watch)
    monkeypatch.setattr(inversion, "SEGMENT", 100)
    dsp.invert(magnitudes(samples=40_000), n_iter=2, block_frames=100, **FRAME)
    dsp.invert_mel(mels(samples=40_000), n_iter=2, block_frames=100, **MEL)
    assert max(seen) <= 100 + 3  # a sum of frames is three hops longer than the frames are many


ONE_DEVICE = """
import sys, jax, numpy as np
from mgen import dsp
assert jax.local_device_count() == int(sys.argv[3])
np.save(sys.argv[2], dsp.invert(np.load(sys.argv[1]), n_iter=8, n_fft=256, hop_length=64, length=6000))
"""


@pytest.mark.parametrize("devices", [1, 3])
def test_device_count_does_not_change_the_result(tmp_path, monkeypatch, devices):
    monkeypatch.setenv("XLA_FLAGS", f"--xla_force_host_platform_device_count={devices}")
    magnitude = magnitudes(3)
    np.save(tmp_path / "in.npy", magnitude)
    command = [sys.executable, "-c", ONE_DEVICE, tmp_path / "in.npy", tmp_path / "out.npy", str(devices)]
    subprocess.run(command, check=True, cwd=pathlib.Path(__file__).parents[1])
    assert_same(np.load(tmp_path / "out.npy"), dsp.invert(magnitude, n_iter=8, length=6000, **FRAME), 8)


def test_no_items_make_no_waves():
    assert dsp.invert(np.zeros((0, 90, 129), np.float32), **FRAME).shape == (0, 89 * 64)
    assert dsp.invert_mel(np.zeros((0, 90, 20), np.float32), **MEL).shape == (0, 89 * 64)


def test_silence_stays_silence():
    np.testing.assert_array_equal(dsp.invert(np.zeros((90, 129), np.float32), **FRAME), 0)
    np.testing.assert_array_equal(dsp.invert_mel(np.zeros((90, 20), np.float32), **MEL), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(block_frames=0), "block_frames=0: expected at least 1"),
        (dict(init="best"), "init='best': unknown"),
        (dict(init="random"), "rng=None"),
        (dict(n_iter=-1), "n_iter=-1"),
        (dict(length=7), "length=7: does not make the 94 frames"),
        (dict(relaxation=1.5), "relaxation=1.5: expected 1 to 1.3"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(ValueError, match=message):
        dsp.invert(magnitudes(), **{**FRAME, **change})
    with pytest.raises(ValueError, match=message):
        dsp.invert_mel(mels(), **{**MEL, **change})


def test_nan_is_refused_by_name():
    magnitude, mel = magnitudes(), mels()
    magnitude[3, 4], mel[5, 6] = np.nan, np.inf
    with pytest.raises(ValueError, match="magnitude: 1 of .* NaN or infinite"):
        dsp.invert(magnitude, **FRAME)
    with pytest.raises(ValueError, match="mel: 1 of .* NaN or infinite"):
        dsp.invert_mel(mel, **MEL)
