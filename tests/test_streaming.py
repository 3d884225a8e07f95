"""The stream: against plain loops in float64, what it may know when, its edges, and real music."""

import math

import jax
import librosa
import numpy as np
import pytest

from mgen import dsp
from mgen.dsp.streaming import PhaseStream, stream_griffin_lim
from tests.pghi_oracle import GAMMA
from tests.test_phase_tree import SMALL, clips_of, convergence_db, corner_cases

ODD = dict(n_fft=63, hop_length=17, win_length=51, window="hamming")
MAIN = dict(SMALL, look_ahead=3, n_iter=2)
SETTINGS = [
    MAIN,
    dict(n_fft=64, hop_length=24, win_length=60, look_ahead=0, n_iter=2, momentum=0.5),
    dict(ODD, look_ahead=1, n_iter=1),
    dict(n_fft=64, hop_length=64, window="hamming", look_ahead=2, n_iter=0),
]


def magnitude_of(wave, *, n_fft, hop_length, win_length=None, window="hann", **_):
    spectrum = dsp.stft(wave, n_fft=n_fft, hop_length=hop_length, win_length=win_length, window=window)
    return np.abs(np.asarray(spectrum))


def by_frames(magnitude, length, **settings):
    """The wave from steps called one by one."""
    stream = PhaseStream(**settings)
    *leading, frames, bins = magnitude.shape
    state, hops = stream.start(*leading), []
    for frame in range(frames):
        state, samples = stream.step(state, magnitude[..., frame, :])
        hops.append(samples)
    state = stream.stop(state, length - (frames - 1) * stream.hop_length)
    for _ in range(math.ceil(stream.latency / stream.hop_length)):
        state, samples = stream.step(state, np.full((*leading, bins), 7.0))  # nobody looks at it
        hops.append(samples)
    return np.concatenate(hops, axis=-1)[..., stream.latency :][..., :length]


def line_sources(from_past, between):
    """Kruskal's algorithm on a line of bins that all hang on one past: the bin that each bin's phase comes from."""
    bins = len(from_past)
    edges = [(-weight, k, bins) for k, weight in enumerate(from_past)]
    edges += [(-weight, k, k + 1) for k, weight in enumerate(between)]
    part, source = list(range(bins + 1)), [None] * bins
    for _, low, high in sorted(edges):
        old, new = part[low], part[high]
        if old == new:
            continue
        if high == bins:  # a whole part of the line is tied to the past by this bin
            source = [low if part[k] == old else source[k] for k in range(bins)]
            part = [new if p == old else p for p in part]
        elif new == bins or old == bins:  # one side has a past already, which the other gets with it
            free, tied = (low, high) if new == bins else (high, low)
            source = [source[tied] if part[k] == part[free] else source[k] for k in range(bins)]
            part = [bins if p == part[free] else p for p in part]
        else:
            part = [new if p == old else p for p in part]
    return source


def start_phases(before, three, *, n_fft, hop_length, win_length, window):
    """Phases of the middle one of three frames, from those of the first."""
    logs = np.log(np.maximum(three / three.max(), 1e-10))
    gamma, bins = GAMMA[window] * win_length**2, np.arange(three.shape[1])
    by_bin = np.gradient(logs, axis=1)
    by_bin[:, [0, -1] if n_fft % 2 == 0 else [0]] = 0
    if n_fft % 2:
        by_bin[:, -1] /= 2  # at an edge that is no Nyquist, the stream's difference is from the edge repeated
    turn = 2 * np.pi * hop_length * bins / n_fft + hop_length * n_fft / gamma * by_bin
    centre = (n_fft - win_length) // 2 + win_length / 2
    slope = -2 * np.pi * centre / n_fft - gamma / (hop_length * n_fft) * (logs[2] - logs[0]) / 2
    advanced = before + (turn[0] + turn[1]) / 2
    phases = np.zeros(len(bins))
    for k, source in enumerate(line_sources(logs[0] + logs[1], logs[1, 1:] + logs[1, :-1])):
        path = range(min(k, source), max(k, source))
        phases[k] = advanced[source] + np.sign(k - source) * sum((slope[b] + slope[b + 1]) / 2 for b in path)
    return phases


def plain_stream(magnitude, length, *, n_fft, hop_length, win_length=None, window="hann", look_ahead, n_iter, momentum):
    """The algorithm in float64, with all frames and samples in arrays of absolute places."""
    magnitude, win_length, count = np.asarray(magnitude, np.float64), win_length or n_fft, len(magnitude)
    weights = librosa.util.pad_center(librosa.filters.get_window(window, win_length), size=n_fft)
    margin, pieces = n_fft // 2, -(-n_fft // hop_length)
    steps = count + math.ceil((look_ahead * hop_length + margin) / hop_length)
    offset = 4 * n_fft + look_ahead * hop_length  # array place of sample 0
    wave = np.zeros(steps * hop_length + 2 * offset)
    spectrum, previous = np.zeros((2, *magnitude.shape), complex)

    def place(frame):
        first = offset + frame * hop_length - margin
        return slice(first, first + n_fft)

    for now in range(steps):
        newest = now - 1
        if 0 <= newest < count:
            three = magnitude[[max(newest - 1, 0), newest, min(now, count - 1)]]
            before = np.angle(spectrum[newest - 1]) if newest else 0
            phases = start_phases(
                before, three, n_fft=n_fft, hop_length=hop_length, win_length=win_length, window=window
            )
            spectrum[newest] = previous[newest] = magnitude[newest] * np.exp(1j * phases)
        out = max(pieces - 1, 1, 2 - look_ahead)
        active = [f for f in range(now - look_ahead - out, now) if 0 <= f < count]
        free = np.arange(len(wave)) >= place(now - look_ahead).start
        inside = np.arange(len(wave)) >= offset
        if now >= count:
            inside &= np.arange(len(wave)) < offset + length

        def resynthesise(active=active, free=free, inside=inside):
            total, norm = np.zeros((2, len(wave)))
            for f in active:
                total[place(f)] += weights * np.fft.irfft(spectrum[f], n=n_fft)
                norm[place(f)] += weights**2
            made = np.where(norm > 1e-30, total / np.maximum(norm, 1e-30), 0) * inside
            wave[free] = made[free]

        for _ in range(n_iter):
            resynthesise()
            for f in active:
                rebuilt = np.fft.rfft(weights * wave[place(f)])
                target = rebuilt + momentum * (rebuilt - previous[f])
                spectrum[f], previous[f] = magnitude[f] * np.exp(1j * np.angle(target)), rebuilt
        resynthesise()
    return wave[offset : offset + length]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_plain_loops_agree(noise, settings):
    length = 11 * settings["hop_length"] + 5
    magnitude = magnitude_of(noise[0, :length], **settings)
    expected = plain_stream(magnitude, length, **{"momentum": 0.9, **settings})
    found = stream_griffin_lim(magnitude, length=length, **settings)
    assert found.shape == (length,) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())  # measured 6e-6


@pytest.fixture
def magnitude(noise):
    """Three items of very different loudness, [3, 12, 33]."""
    return magnitude_of(noise[:, : 11 * 16 + 5] * np.float32([[100], [1], [1e-6]]), **SMALL)


def test_frame_by_frame_is_the_whole(magnitude):
    whole = stream_griffin_lim(magnitude, length=181, **MAIN)
    single = by_frames(magnitude, 181, **MAIN)
    peak = np.abs(whole).max(axis=-1, keepdims=True)
    np.testing.assert_allclose(single / peak, whole / peak, rtol=0, atol=1e-4)


def test_batch_equals_items(magnitude):
    together = stream_griffin_lim(magnitude, length=181, **MAIN)
    for item in range(3):
        alone = stream_griffin_lim(magnitude[item], length=181, **MAIN)
        np.testing.assert_allclose(together[item], alone, rtol=0, atol=1e-4 * np.abs(alone).max())
    deep = jax.eval_shape(lambda m: stream_griffin_lim(m, **MAIN), jax.ShapeDtypeStruct((2, 3, 12, 33), np.float32))
    assert deep.shape == (2, 3, 176)


@pytest.mark.parametrize("frame", [0, 2, 5])
def test_nothing_beyond_the_look_ahead_is_known(magnitude, frame):
    """A change from frame t + look_ahead + 1 on leaves all that step t + look_ahead has put out, and no more."""
    other = magnitude.copy()
    other[:, frame + MAIN["look_ahead"] + 1 :] = magnitude[:, :1]
    first, second = (np.asarray(stream_griffin_lim(m, length=181, **MAIN)) for m in (magnitude, other))
    known = (frame + 1) * 16 - 32
    np.testing.assert_array_equal(first[:, : max(known, 0)], second[:, : max(known, 0)])
    assert np.all(np.any(first[:, max(known, 0) :][:, :16] != second[:, max(known, 0) :][:, :16], axis=-1))


@pytest.mark.parametrize("octaves", [-66, 66])  # 1e-20 and 1e+20
def test_scale_does_not_matter(magnitude, octaves):
    magnitude[2] = magnitude[1, ::-1]
    gain = np.float32(2.0**octaves)
    wave = stream_griffin_lim(magnitude, length=181, **MAIN)
    np.testing.assert_array_equal(stream_griffin_lim(gain * magnitude, length=181, **MAIN) / gain, wave)


def test_silence_stays_silent_and_comes_back(magnitude):
    magnitude[0] = 0
    magnitude[1, 4:] = 0
    magnitude[2, :6] = 0
    wave = np.asarray(stream_griffin_lim(magnitude, length=181, **MAIN))
    assert np.all(np.isfinite(wave))
    np.testing.assert_array_equal(wave[0], 0)
    np.testing.assert_array_equal(wave[1, 3 * 16 + 32 :], 0)  # behind the last frame that sounds
    np.testing.assert_array_equal(wave[2, : 6 * 16 - 32], 0)
    assert np.abs(wave[1, :48]).max() > 0 and np.abs(wave[2, 96:]).max() > 0


def test_finite_for_every_input():
    cases = [case for case in corner_cases().values() if case.shape == (9, 33)]
    cases = [gain * np.float64(case) / max(case.max(), 1e-30) for gain in (1, 1e20, 1e-20) for case in cases]
    loud_then_soft = np.ones((9, 33)) * np.where(np.arange(9) % 2, 1e20, 1e-20)[:, None]
    cases = np.float32([*cases, loud_then_soft])
    wave = np.asarray(stream_griffin_lim(cases, **MAIN))
    assert wave.shape == (len(cases), 128) and np.all(np.isfinite(wave))
    assert np.all((np.abs(wave).max(axis=-1) > 0) == (cases.max(axis=(-2, -1)) > 0))


def test_a_single_frame():
    frames = dsp.window("hann", 64, 64) * np.stack([np.cos(np.arange(64)), np.eye(64)[32], np.zeros(64)])
    wave = stream_griffin_lim(np.abs(np.fft.rfft(frames)).astype(np.float32)[:, None], length=15, **MAIN)
    assert wave.shape == (3, 15) and np.all(np.isfinite(wave)) and np.all(wave[2] == 0)
    assert 0.7 < np.abs(wave[0]).max() < 1.4  # nothing says at which phase it is, but a cosine is as loud as it was


def test_a_sine_and_clicks_come_back_in_their_places():
    settings = dict(n_fft=512, hop_length=128)
    waves = np.zeros((3, 4000), np.float32)
    waves[0] = np.sin(2 * np.pi * 40.3 / 512 * np.arange(4000))
    waves[1, 2048] = waves[2, 2100] = 1
    magnitude = magnitude_of(waves, **settings)
    found = stream_griffin_lim(magnitude, length=4000, look_ahead=1, **settings)
    assert convergence_db(found, magnitude, settings)[0] < -30
    peaks = np.abs(found).argmax(axis=-1)
    assert peaks[1] == 2048 and abs(peaks[2] - 2100) <= 6  # as in test_phase_tree


def test_on_real_music(real_audio):
    settings = dict(n_fft=2048, hop_length=512)
    waves = clips_of(real_audio)
    magnitude, length = magnitude_of(waves, **settings), waves.shape[-1]
    rng, librosas = jax.random.key(0), dict(init="random", momentum=0.99, relaxation=1.0)
    offline = dsp.griffin_lim(magnitude, rng=rng, n_iter=32, length=length, **librosas, **settings)
    ahead, blind = (stream_griffin_lim(magnitude, look_ahead=frames, length=length, **settings) for frames in (3, 0))
    offline, ahead, blind = (np.mean(convergence_db(w, magnitude, settings)) for w in (offline, ahead, blind))
    assert ahead < offline - 6  # with 4 iterations a step in place of 32; measured 9 dB
    assert blind < offline - 1  # measured 2.7 dB


@pytest.mark.parametrize("frames, length, samples", [(12, None, 176), (12, 176, 176), (12, 191, 191), (1, 15, 15)])
def test_length(frames, length, samples):
    shape = jax.ShapeDtypeStruct((frames, 33), np.float32)
    assert jax.eval_shape(lambda m: stream_griffin_lim(m, length=length, **MAIN), shape).shape == (samples,)


def test_latency():
    assert PhaseStream(2048, 512, look_ahead=3).latency == 3 * 512 + 1024
    assert PhaseStream(63, 17, look_ahead=0).latency == 31


ONES = np.ones((12, 33), np.float32)
REFUSALS = [
    (ONES + 0j, {}, "magnitude: expected floats, got complex64; take the abs of a complex spectrum first"),
    (ONES.T, {}, r"magnitude: expected \[..., frames, bins=33\], got \(33, 12\); time comes before frequency"),
    (ONES * np.nan, {}, "magnitude: 396 of 396 values are NaN or infinite; repair them first"),
    (ONES, dict(length=175), "length=175: 175 samples do not make the 12 frames .*; give a length of 176 to 191"),
    (ONES, dict(length=192), "length=192: 192 samples do not make the 12 frames .*; give a length of 176 to 191"),
    (ONES[:1], {}, "length=None: 0 samples do not make the 1 frames .*; give a length of 1 to 15"),
    (ONES[:1], dict(hop_length=1), "0 samples do not make the 1 frames .*; give more frames"),
    (ONES, dict(look_ahead=-1), "look_ahead=-1: expected 0 or more frames; 3 is usual"),
    (ONES, dict(n_iter=-1), "n_iter=-1: expected 0 or more; 4 is usual"),
    (ONES, dict(momentum=1.5), "momentum=1.5: expected 0 to 1, beyond which it diverges; 0.9 is usual"),
    (
        ONES,
        dict(look_ahead=0, hop_length=32),
        "look_ahead=0: .* hop_length=32; look ahead 1 frame, or take a hop .* 16",
    ),
    (ONES, dict(hop_length=65), "hop_length=65: expected 1 to n_fft=64"),
    (ONES, dict(win_length=0), "win_length=0: expected 1 to n_fft=64"),
    (ONES, dict(window="kaiser"), "window='kaiser': unknown, expected one of hann, hamming"),
]


@pytest.mark.parametrize("magnitude, wrong, message", REFUSALS, ids=[case[2][:30] for case in REFUSALS])
def test_refusals(magnitude, wrong, message):
    with pytest.raises(ValueError, match=message):
        stream_griffin_lim(magnitude, **{**MAIN, **wrong})


@pytest.mark.parametrize(
    "frame, message",
    [
        (ONES[0] * np.nan, "magnitude: 33 of 33 values are NaN or infinite; repair them first"),
        (ONES[0] + 0j, "magnitude: expected floats, got complex64"),
        (ONES[:2], r"magnitude: expected \[bins=33\], got \(2, 33\)"),
    ],
)
def test_refused_frames(frame, message):
    stream = PhaseStream(**MAIN)
    with pytest.raises(ValueError, match=message):
        stream.step(stream.start(), frame)


def test_a_batch_of_other_size_is_refused():
    stream = PhaseStream(**MAIN)
    with pytest.raises(ValueError, match=r"magnitude: expected \[axis 0=3, bins=33\], got \(12, 33\)"):
        stream.step(stream.start(3), ONES)
