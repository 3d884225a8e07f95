import numpy as np
import pytest

from benchmarks import (
    decibel_map,
    measures,
    pieces,
    record,
    sample_rates,
    spectrogram_figures,
    spectrogram_settings,
    spectrogram_sizes,
    window_times,
)
from mgen import audio

RATE = spectrogram_settings.SAMPLE_RATE


@pytest.fixture
def target():
    """Two items of half a second, [pieces, samples]: decaying tones in noise, and noise; rms of about 0.1."""
    time = np.arange(RATE // 2) / RATE
    noise = np.random.default_rng(7).normal(0, 0.1, (2, RATE // 2))
    tones = sum(np.sin(2 * np.pi * pitch * time) * np.exp(-4 * time) for pitch in (220, 331, 1760))
    return np.stack([0.1 * tones + 0.01 * noise[0], noise[1]]).astype(np.float32)


@pytest.mark.parametrize(
    "distance", [measures.log_spectral_distance, lambda a, b: measures.log_mel_distance(a, b, RATE)]
)
def test_distances_of_known_sounds(distance, target):
    np.testing.assert_allclose(distance(target, target), [0, 0], atol=1e-6)
    np.testing.assert_allclose(distance(-target, target), [0, 0], atol=1e-6)
    noise = target[1]  # nothing of it comes near the floor
    assert distance(2 * noise, noise) == pytest.approx(20 * np.log10(2), abs=1e-3)
    assert distance(0.1 * noise, noise) == pytest.approx(20, abs=1e-3)


def test_nothing_below_the_floor_is_heard():
    loud, quiet = np.ones((3, 4), np.float32), np.full((3, 4), 1e-9, np.float32)
    target = np.concatenate([loud, quiet])
    changed = np.concatenate([loud, 0 * quiet])
    assert measures.level_distance(changed, target) == 0
    assert measures.level_distance(changed, target, -100.0) == pytest.approx(5, abs=1e-3)  # half of 10 dB
    assert measures.level_distance(0 * target, target) == pytest.approx(40, abs=1e-3)  # half of 80 dB


def test_a_distance_is_the_mean_over_frames_of_an_rms_over_bands():
    target = np.ones((2, 2), np.float32)
    estimate = np.array([[10, 1], [1, 1]], np.float32)  # one of four values 10 dB off
    assert measures.level_distance(estimate, target) == pytest.approx(10 / np.sqrt(2) / 2, abs=1e-4)


def test_relative_measures():
    ones = np.ones(4)
    assert measures.relative_db(ones, ones) == -np.inf
    assert measures.relative_db(1.1 * ones, ones) == pytest.approx(-20)
    assert measures.relative_mse(0 * ones, ones) == 1
    assert measures.rank_correlation([1, 2, 3], [10, 30, 20]) == pytest.approx(0.5)
    assert measures.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_the_judge_leaves_no_mel_band_empty():
    for rate, analyses in ((RATE, measures.ANALYSES), (sample_rates.FULL, sample_rates.ANALYSES)):
        for n_fft in analyses:
            assert not measures.empty_bands(sample_rate=rate, n_fft=n_fft, n_mels=measures.JUDGE_BANDS)


def test_half_the_filters_of_the_smallest_window_are_empty():
    counts = [measures.empty_bands(sample_rate=RATE, n_fft=window, n_mels=128) for window in (64, 128, 256)]
    assert counts == [72, 46, 20]


def test_the_mse_is_blind(target):
    cases = spectrogram_settings.known_cases(target)
    mse = {name: measures.relative_mse(wave, target) for name, wave in cases.items()}
    heard = {name: measures.log_spectral_distance(wave, target).mean() for name, wave in cases.items()}
    assert mse["silence"] == 1
    assert mse["the piece, polarity inverted"] == pytest.approx(4)
    assert mse["white noise as loud"] == pytest.approx(2, abs=0.05)
    assert heard["the piece, polarity inverted"] == pytest.approx(0, abs=1e-6)
    assert heard["the piece, 10 samples (0.5 ms) late"] < 3 < 20 < heard["silence"]


def test_a_window_is_studied(target):
    with measures.without_empty_warning():
        study = spectrogram_settings.study(target, 256, (2,), (256,))
    kinds = [(sound["from"], sound["iterations"]) for sound in study["sounds"]]
    assert kinds == [("magnitudes", 2), ("mel", 2), ("mel, held", 2)]
    assert study["frames"] == 1 + target.size // 64 and study["empty_bands"] == 20
    assert all(len(sound["log_spectral_db_by_piece"]) == 2 for sound in study["sounds"])
    rows = spectrogram_settings.table([study], 2)
    assert [row["from"] for row in rows] == ["magnitudes", "128 mel bands"] and list(rows[0]) == list(rows[1])
    blind, details = spectrogram_settings.blindness(target, [study])
    assert [row["MSE / power"] for row in blind] == sorted(row["MSE / power"] for row in blind)
    assert len(blind) == len(spectrogram_settings.known_cases(target)) + 2
    drawn = [spectrogram_figures.quality([study]), spectrogram_figures.blindness([study], details)]
    assert [len(figure.axes) for figure in drawn] == [6, 1]
    assert details["mse_over_power"]["sounds"] == 3
    robust = spectrogram_settings.robustness([study], 2)
    assert [entry["pieces_where_best_log_mel_db"] for entry in robust["mel"]] == [2]
    only = study["sounds"][0]["log_spectral_db_by_analysis"]["256"]
    assert robust["magnitudes"][0]["mean_of_all_analyses"] == robust["magnitudes"][0]["worst_of_all_analyses"] == only


def test_times_are_the_least_of_processor_time_for_a_minute():
    calls = []
    times = window_times.timed(lambda: calls.append(sum(range(10_000))), 3)
    assert len(calls) == 4 and len(times["wall_s"]) == 3 and times["least_s"] == min(times["processor_s"]) >= 0
    steps = ("mel solve", "phase, 2", "phase, 16", "both in one, 16")
    entry = {"window": 256, "mgen_seconds": 120.0, "librosa_seconds": 10.0, "librosa": dict.fromkeys(steps[::2], 0.5)}
    entry["mgen"] = {name: {"least_s": 3.0} for name in steps}
    assert window_times.per_minute(entry) == dict.fromkeys(steps, 1.5)
    assert window_times.table([entry]) == [
        {"window": 256, "mgen: mel solve": 1.5, "mgen: phase, 2 it.": 1.5, "mgen: phase, 16 it.": 1.5,
         "mgen: both in one, 16 it.": 1.5, "librosa: mel solve": 3.0, "librosa: phase, 16 it.": 3.0}
    ]  # fmt: skip
    assert len(spectrogram_figures.times([entry]).axes) == 2


def test_the_listening_set(target, tmp_path, monkeypatch):
    monkeypatch.setattr(spectrogram_settings, "LISTEN_WINDOWS", (256,))
    monkeypatch.setattr(spectrogram_settings, "ITERATIONS", (2,))  # as above, so that nothing is compiled anew
    with measures.without_empty_warning():
        paths = spectrogram_settings.listening_set(tmp_path, 20 * target)
    assert [path.stem for path in paths] == ["piece", "stft_256", "mel_256"]
    waves = [audio.read(path, sample_rate=RATE) for path in paths]
    assert {len(wave) for wave in waves} == {target.size}
    assert max(np.abs(wave).max() for wave in waves) == pytest.approx(0.99, abs=1e-3)


def test_no_sound_goes_into_the_repository(target):
    with pytest.raises(SystemExit, match="sounds do not belong in the repository; name a folder outside"):
        spectrogram_settings.listening_set(record.ROOT / "docs" / "sounds", target)
    assert not (record.ROOT / "docs" / "sounds").exists()


def test_the_map_to_decibels_loses_only_what_is_below_its_floor():
    mel = np.logspace(-9, 0, 91, dtype=np.float32)[None]
    back = decibel_map.decibel(mel, -80.0)
    above = mel >= 1e-8
    np.testing.assert_allclose(back[above], mel[above], rtol=3e-6)
    np.testing.assert_allclose(back[~above], 1e-8, rtol=3e-6)
    assert decibel_map.stored_error(mel, mel)["mel_db"] is None
    assert decibel_map.stored_error(back, mel)["off_by_1_percent"] == pytest.approx(10 / 91)


def test_eight_bits():
    mel = np.logspace(-9, 0, 91, dtype=np.float32)[None]
    decibels = decibel_map.decibel(mel, -80.0, bits=True)
    steps = 10 * np.log10(decibels / mel)[mel >= 1e-8]
    assert np.abs(steps).max() <= 80 / 255 / 2 + 1e-3 and len(np.unique(decibels)) == 81
    power, amplitude = decibel_map.eight_bits(mel, 1), decibel_map.eight_bits(mel, 0.5)
    assert power[power > 0].min() == pytest.approx(1 / 255) and np.abs(power - mel).max() <= 0.5 / 255 + 1e-6
    assert amplitude[amplitude > 0].min() == pytest.approx(1 / 255**2)


def test_resampling_there_and_back():
    time = np.arange(44_100) / 44_100
    waves = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 9000 * time)]).astype(np.float32)
    low = sample_rates.resampled(waves, 44_100, 16_000)
    back = sample_rates.resampled(low, 16_000, 44_100, waves.shape[-1])
    assert low.shape == (2, 16_000) and back.shape == waves.shape
    inner = slice(4410, -4410)
    np.testing.assert_allclose(back[0, inner], waves[0, inner], atol=1e-4)
    assert np.abs(back[1, inner]).max() < 1e-4  # above half of 16 kHz
    assert sample_rates.resampled(waves, 44_100, 44_100, 50_000).shape == (2, 50_000)


def test_sizes_are_equal():
    for size, pairs in spectrogram_sizes.SIZES.items():
        assert {n_mels * RATE // (window // 4) for window, n_mels in pairs} == {size}


def test_windows_of_the_rates_last_as_long():
    for rate in sample_rates.RATES:
        window = sample_rates.window_of(rate)
        assert window % 4 == 0 and window / rate == pytest.approx(sample_rates.WINDOW_S, rel=0.01)
    assert sample_rates.window_of(22_050) == 1024


def test_rolloff():
    time = np.arange(8000) / 8000
    wave = np.sin(2 * np.pi * 500 * time) + 0.3 * np.sin(2 * np.pi * 3000 * time)
    assert measures.rolloff_hz(wave, 8000, 0.9) == 500
    assert measures.rolloff_hz(wave, 8000, 0.99) == 3000


def test_the_joined_pieces(real_audio):
    waves = pieces.excerpts(RATE, 6.0, real_audio / "music")
    assert waves.shape == (len(pieces.PIECES), RATE // 2) and waves.dtype == np.float32
    np.testing.assert_allclose(np.sqrt(np.square(waves).mean(axis=-1)), pieces.LEVEL, rtol=1e-4)
    np.testing.assert_array_equal(waves[:, [0, -1]], 0)
