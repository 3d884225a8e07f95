import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import soundfile

from mgen import dsp
from mgen.contracts import Joinable
from mgen.features import ComplexStft, InstantaneousFrequency, LogMel, LogStft, Waveform


def tone(features, hertz=440.0, level=0.5, batch=()):
    seconds = np.arange(features.samples) / features.sample_rate
    wave = level * np.sin(2 * np.pi * hertz * seconds).astype(np.float32)
    return np.broadcast_to(wave, (*batch, features.samples))


SMALL = LogMel(sample_rate=16_000, frames=33, n_fft=1024, hop_length=256, n_mels=40)
FRAMES = {"sample_rate": 16_000, "frames": 33, "bins": 129, "n_fft": 1024, "hop_length": 256}
ALL = [Waveform(samples=4_096), SMALL, ComplexStft(frames=17), LogStft(**FRAMES), InstantaneousFrequency(**FRAMES)]


@pytest.mark.parametrize("features", ALL, ids=lambda f: type(f).__name__)
def test_shapes_and_batches(features):
    wave = tone(features, batch=(2, 3)) * np.array([[1], [0.1]], np.float32)[:, None]
    encoded = features.encode(wave)
    assert encoded.shape == (2, 3, *features.shape)
    assert encoded.dtype == jnp.float32
    np.testing.assert_allclose(encoded[1, 2], features.encode(wave[1, 2]), atol=1e-5)
    assert features.decode(encoded[0, 0], jax.random.key(0)).shape == (features.samples,)
    assert np.abs(encoded).max() <= 1.05


@pytest.mark.parametrize("features", ALL, ids=lambda f: type(f).__name__)
def test_encode_is_differentiable_everywhere(features):
    for wave in (tone(features), np.zeros(features.samples, np.float32)):
        gradient = jax.grad(lambda x: features.encode(x).sum())(jnp.asarray(wave))
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("features", ALL, ids=lambda f: type(f).__name__)
def test_a_wave_of_another_length_is_refused(features):
    with pytest.raises(ValueError, match=rf"wave: expected \[..., samples={features.samples}\], got \(7,\)"):
        features.encode(np.zeros(7, np.float32))


def test_wrong_features_are_refused():
    with pytest.raises(ValueError, match=r"features: expected \[\.\.\., frames=33, n_mels=40\], got \(40, 33\)"):
        SMALL.decode(np.zeros((40, 33)), jax.random.key(0))
    with pytest.raises(ValueError, match="features.floor_db: expected less than 0, got 3"):
        LogMel(floor_db=3)
    with pytest.raises(
        ValueError, match=r"expected 0 <= fmin < fmax <= 11025 \(half the sample rate\), got -1 and 11025"
    ):
        LogMel(fmin=-1)
    with pytest.raises(ValueError, match=r"features.bins: expected 1 to 501 \(1 \+ n_fft // 2\), got 600"):
        ComplexStft(bins=600)
    with pytest.raises(ValueError, match="features.compression: expected 0 < compression <= 1, got 2"):
        ComplexStft(compression=2)


def test_waveform_is_the_wave():
    wave = tone(ALL[0])
    np.testing.assert_array_equal(ALL[0].decode(ALL[0].encode(wave), jax.random.key(0)), wave)


def test_log_mel_is_librosas_in_decibels(noise):
    features = LogMel(sample_rate=22_050, frames=44, n_fft=2048, hop_length=512, n_mels=128)
    wave = noise[0, : features.samples]
    mel = librosa.feature.melspectrogram(y=wave, sr=22_050, n_fft=2048, hop_length=512, n_mels=128)
    decibels = librosa.power_to_db(mel, ref=1.0, amin=1e-20, top_db=None)
    ours = np.asarray(features.encode(wave)).T * 40 - 40
    offset = decibels - ours
    np.testing.assert_allclose(offset, offset.mean(), atol=1e-3)


def test_log_mel_ends_of_its_range():
    full = SMALL.encode(tone(SMALL, hertz=0.0, level=1.0) + tone(SMALL, hertz=250.0, level=1.0))
    assert 0.9 < float(full.max()) < 1.05
    assert np.all(np.asarray(SMALL.encode(np.zeros(SMALL.samples, np.float32))) == -1)


def test_log_mel_silence_comes_back_as_silence():
    silence = SMALL.decode(np.full(SMALL.shape, -1, np.float32), jax.random.key(0))
    assert np.abs(silence).max() == 0


@pytest.mark.parametrize("floor_db", [-41.0, -82.0, -109.0])
def test_silence_comes_back_as_silence_also_where_the_floor_is_rounded_up(floor_db):
    features = LogStft(**FRAMES, floor_db=floor_db)
    for encode in (features.encode, jax.jit(features.encode)):
        silence = encode(np.zeros(features.samples, np.float32))
        assert np.abs(features.decode(silence, jax.random.key(0))).max() == 0


def test_log_mel_decode_undoes_encode_as_far_as_it_can(real_audio):
    wave, rate = soundfile.read(real_audio / "music" / "vibe_ace.ogg", dtype="float32", always_2d=True)
    features = LogMel(sample_rate=rate, frames=128, n_fft=2048, hop_length=512, n_mels=128)
    wave = wave.mean(axis=1)[rate * 5 : rate * 5 + features.samples]
    encoded = features.encode(wave)
    again = features.encode(features.decode(encoded, jax.random.key(0)))
    loud = np.asarray(encoded) > 0  # above -40 dB, where it is heard
    assert np.abs(again - encoded)[loud].mean() * 40 < 1.0  # decibels


@pytest.mark.parametrize("compression", [1.0, 0.3])
def test_complex_stft_loses_only_what_it_says(compression):
    full = ComplexStft(sample_rate=16_000, frames=33, bins=513, n_fft=1024, hop_length=256, compression=compression)
    wave = np.random.default_rng(0).normal(0, 0.1, full.samples).astype(np.float32)
    np.testing.assert_allclose(full.decode(full.encode(wave), jax.random.key(0)), wave, atol=2e-6)
    low = ComplexStft()  # 128 of 501 bins: up to 2032 Hz
    low_tone, high_tone = tone(low, 261.6), tone(low, 5000.0)
    back = np.asarray(low.decode(low.encode(low_tone + high_tone), jax.random.key(0)))
    inner = slice(1000, -1000)
    np.testing.assert_allclose(back[inner], low_tone[inner], atol=2e-3)


def test_compression_has_a_gradient_also_of_what_is_almost_nothing():
    features = ComplexStft(frames=9, compression=0.3)
    for level in 10.0 ** -np.arange(0, 30, 3):
        gradient = jax.grad(lambda x: features.encode(x).sum())(jnp.asarray(tone(features, level=level)))
        assert np.isfinite(gradient).all(), level


def test_instantaneous_frequency_loses_only_what_is_below_its_floor():
    full = InstantaneousFrequency(**FRAMES | {"bins": 513}, floor_db=-120.0)
    wave = np.random.default_rng(0).normal(0, 0.1, full.samples).astype(np.float32)
    np.testing.assert_allclose(full.decode(full.encode(wave), jax.random.key(0)), wave, atol=1e-4)


def test_instantaneous_frequency_of_a_steady_tone_is_constant():
    features = InstantaneousFrequency(**FRAMES)
    hertz = 440.0
    encoded = np.asarray(features.encode(tone(features, hertz)))
    bin_ = round(hertz * features.n_fft / features.sample_rate)
    turns = 2 * hertz * features.hop_length / features.sample_rate  # half turns a hop
    np.testing.assert_allclose(encoded[5:-5, bin_, 1], turns - 2 * round(turns / 2), atol=1e-4)
    np.testing.assert_allclose(encoded[5:-5, :, 0], LogStft(**FRAMES).encode(tone(features, hertz))[5:-5], atol=1e-5)
    with pytest.raises(ValueError, match="features.floor_db: expected less than 0, got 0"):
        InstantaneousFrequency(floor_db=0)


def test_instantaneous_frequency_at_the_floor_turns_nothing_and_costs_no_phase():
    features = InstantaneousFrequency(**FRAMES | {"bins": 513}, floor_db=-60.0)
    wave = tone(features, 441.3) + tone(features, 1570.0, level=0.1)
    place = np.linspace(0, 1, features.samples)
    wave = wave * (
        (place > 0.2) & (place < 0.8) & ((place < 0.4) | (place > 0.6))
    )  # silent at both ends and in between
    wave = wave + 1e-6 * np.random.default_rng(0).normal(size=wave.shape)  # what lies below the floor is no silence
    spectrum = dsp.stft(wave.astype(np.float32), n_fft=1024, hop_length=256)
    heard = np.abs(spectrum) > 256 * 1e-3
    assert not heard[[0, 16, -1]].any() and heard[8, 28] and heard[24, 28]
    encoded = np.asarray(features.encode(wave.astype(np.float32)))
    assert np.all(encoded[..., 1][~heard] == 0) and np.all(encoded[..., 0][~heard] == -1)
    kept = dsp.istft(np.where(heard, spectrum, 0), n_fft=1024, hop_length=256, length=features.samples)
    np.testing.assert_allclose(features.decode(encoded, jax.random.key(0)), kept, atol=2e-6)
    inside = slice(int(0.25 * features.samples), int(0.35 * features.samples))
    np.testing.assert_allclose(kept[inside], wave[inside], atol=2e-3)


def test_complex_stft_keeps_the_pitch():
    """The original's notes came back two octaves high: forward and inverse did not share a window."""
    features = ComplexStft()
    back = np.asarray(features.decode(features.encode(tone(features, 261.63)), jax.random.key(0)))
    spectrum = np.abs(np.fft.rfft(back * np.hanning(len(back))))
    assert np.argmax(spectrum) * features.sample_rate / len(back) == pytest.approx(261.63, abs=0.3)
    assert features.encode(tone(features, 261.63)).max() < 0.55


@pytest.mark.parametrize("features", [SMALL, LogStft(**FRAMES)], ids=lambda f: type(f).__name__)
def test_windows_that_overlap_join_without_a_seam(features):
    """Of one tone that gets louder: joined it is what the whole is, and sounds like it where two windows meet."""
    overlap, count = 9, 3
    step = (features.frames - overlap) * features.hop_length
    whole = np.arange(step * count + overlap * features.hop_length) / features.sample_rate
    whole = ((0.1 + 0.1 * whole) * np.sin(2 * np.pi * 440 * whole)).astype(np.float32)
    waves = np.stack([whole[i * step : i * step + features.samples] for i in range(count)])
    longer, joined = features.joined(features.encode(np.stack([waves, waves[::-1]])), overlap=overlap)
    assert longer.frames == joined.shape[1] == 3 * (33 - 9) + 9 and joined.shape[0] == 2
    assert type(longer) is type(features) and longer.hop_length == features.hop_length
    edge = 3  # frames that a window fills up at its ends
    expected = np.asarray(longer.encode(whole[: longer.samples]))
    loud = expected[edge:-edge] > 0
    assert loud.any()
    np.testing.assert_allclose(np.asarray(joined[0])[edge:-edge][loud], expected[edge:-edge][loud], atol=0.02)
    backwards = features.joined(features.encode(waves[::-1]), overlap=overlap)[1]
    np.testing.assert_allclose(joined[1], backwards, atol=1e-5)
    heard = np.asarray(longer.decode(joined[0], jax.random.key(0)))
    levels = np.sqrt(np.square(heard[: len(heard) // 512 * 512]).reshape(-1, 512).mean(axis=1))[2:-2]
    assert np.abs(20 * np.log10(levels[1:] / levels[:-1])).max() < 2, "decibels from one 32 ms to the next"


def test_what_cannot_be_joined_is_refused():
    windows = np.zeros((2, 33, 40), np.float32)
    for overlap in (0, 18):
        with pytest.raises(ValueError, match=r"overlap: expected 1 to 17 frames \(half a window\), got"):
            SMALL.joined(windows, overlap=overlap)
    with pytest.raises(ValueError, match=r"windows: expected \[\.\.\., windows, frames=33, n_mels=40\]"):
        SMALL.joined(windows[..., :-1], overlap=4)


@pytest.mark.parametrize("features", ALL, ids=lambda f: type(f).__name__)
def test_only_what_is_decibels_alone_is_joined(features):
    assert isinstance(features, Joinable) == isinstance(features, (LogMel, LogStft))
    if isinstance(features, Joinable):
        most = (features.frames + 1) // 2
        longer, joined = features.joined(np.full((3, *features.shape), 0.5, np.float32), overlap=most)
        assert joined.shape == longer.shape == (3 * features.frames - 2 * most, *features.shape[1:])
        np.testing.assert_allclose(joined, 0.5, atol=1e-5, err_msg="however much they overlap")
