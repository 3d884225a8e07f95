import matplotlib.image
import numpy as np
import pytest

from mgen import pictures


def test_a_picture_shows_where_the_sound_is(tmp_path):
    rate = 22_050
    seconds = np.arange(2 * rate) / rate
    wave = (0.5 * np.sin(2 * np.pi * 1000 * seconds) * (seconds > 1)).astype(np.float32)
    path = tmp_path / "new" / "tone.png"
    picture = pictures.spectrogram(path, wave, sample_rate=rate, title="a tone")
    read = (matplotlib.image.imread(path)[..., :3] * 255).round().astype(np.uint8)
    np.testing.assert_array_equal(picture, read)
    inside = picture[40:270, 80:770].astype(float).sum(axis=2)  # well within the axes
    left, right = inside[:, :300], inside[:, 400:]
    assert right.max() > 600 > 200 > left.max()
    row = int(np.argmax(right.mean(axis=1)))
    assert 0.3 < row / len(right) < 0.7  # 1 kHz lies near the middle of the mel axis


@pytest.mark.parametrize("title", ["A$AP_$tuff_{=1", "音楽=1"])
def test_any_name_can_be_a_title(tmp_path, title):
    pictures.spectrogram(tmp_path / "x.png", np.zeros(4_000, np.float32), sample_rate=8_000, title=title)


@pytest.mark.parametrize("samples", [1, 500, 22_050])
def test_silence_and_short_sounds_can_be_drawn(tmp_path, samples):
    picture = pictures.spectrogram(tmp_path / "x.png", np.zeros(samples, np.float32), sample_rate=8_000)
    assert picture.ndim == 3 and picture.dtype == np.uint8
