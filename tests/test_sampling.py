"""Clips that a person gives: read, levelled, padded or cut, encoded, and seen by a model; or refused in one line."""

import base64
import dataclasses
import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import audio, controls, panel
from mgen.contracts import Levelled, Spec, Warped
from mgen.data.mixtures import Mixtures
from mgen.data.note_folder import NoteFolder
from mgen.data.nsynth import NSynth
from mgen.features import LogMel
from mgen.training.loop import train
from mgen.training.sampling import generate, heard, labels_asked, listened
from tests import toys

CONFIG = pathlib.Path(__file__).parents[1] / "configs" / "note_autoencoder.py"
RATE, SAMPLES = 8_000, 2_048


@dataclasses.dataclass(frozen=True)
class Echo(toys.ToyModel):
    """Gives back the clip it is given, times `gain`, and -1 where it is given none."""

    def controls(self, spec):
        return (controls.Slider("gain", 0.0, 1.0, 1.0), controls.Clip("clip"), controls.Clip("other"))

    def sample(self, variables, rng, settings, spec):
        assert "other" not in settings
        gain = jnp.asarray(settings["gain"])[:, None]
        if "clip" not in settings:
            return -jnp.ones((len(gain), *spec.shape))
        clips = settings["clip"]
        heard = jnp.where(clips.given[:, None], gain * clips.features, -1.0)
        return jnp.broadcast_to(heard, (len(gain), *spec.shape))


@dataclasses.dataclass(frozen=True)
class Attentive(Echo):
    """Hears a clip as its loudest sample, and gives that back."""

    def listen(self, variables, features, spec):
        return jnp.max(abs(features), axis=1, keepdims=True) + variables["more"]


@dataclasses.dataclass(frozen=True)
class LevelledData(toys.ToyData):
    def level(self, wave):
        return wave / abs(wave).max()


def made(texts, *, gain=1.0, spec=None, **changes):
    experiment = toys.experiment(model=Echo(), **changes)
    rows = [{"clip": text, "gain": gain} for text in texts]
    settings = panel.settings_of(experiment.model.controls(None), rows)
    return generate(experiment, spec or Spec(shape=experiment.features.shape), {}, settings, seed=0)


def sound(path, samples, *, rate=RATE, level=0.4):
    wave = level * np.sin(2 * np.pi * 440 * np.arange(samples) / rate).astype(np.float32)
    audio.write(path, wave, sample_rate=rate, subtype="FLOAT")
    return wave


def test_a_model_sees_clips_padded_or_cut(tmp_path):
    short, long = sound(tmp_path / "short.wav", 1_000), sound(tmp_path / "long.wav", 5_000)
    waves = made([str(tmp_path / "long.wav"), "", str(tmp_path / "short.wav")], gain=0.5)
    np.testing.assert_allclose(waves[0], 0.5 * long[:SAMPLES], atol=1e-6)
    np.testing.assert_array_equal(waves[1], -1)
    np.testing.assert_allclose(waves[2], 0.5 * np.pad(short, (0, SAMPLES - 1_000)), atol=1e-6)
    np.testing.assert_array_equal(made(["", ""]), -np.ones((2, SAMPLES)))


def test_more_sounds_than_are_made_at_once_keep_their_clips(tmp_path, monkeypatch):
    waves = [sound(tmp_path / f"{index}.wav", SAMPLES, level=0.1 * (index + 1)) for index in range(3)]
    reads, read = [], audio.read
    monkeypatch.setattr(audio, "read", lambda path, **asked: reads.append(path) or read(path, **asked))
    result = made([str(tmp_path / f"{index % 3}.wav") for index in range(70)])
    for index, wave in enumerate(result):
        np.testing.assert_allclose(wave, waves[index % 3], atol=1e-6)
    assert len(reads) == 3


def test_a_clip_of_another_rate_is_resampled_and_one_of_base64_is_the_file(tmp_path):
    sound(tmp_path / "a.wav", 3 * SAMPLES, rate=16_000)
    url = "data:audio/wav;base64," + base64.b64encode((tmp_path / "a.wav").read_bytes()).decode()
    file, whole = made([str(tmp_path / "a.wav"), url])
    np.testing.assert_array_equal(file, whole)
    np.testing.assert_allclose(file[100:-100], sound(tmp_path / "b.wav", SAMPLES)[100:-100], atol=1e-3)


def test_a_model_that_listens_gets_what_it_heard(tmp_path):
    experiment = toys.experiment(model=Attentive())
    rows = [{"clip": str(tmp_path / name)} for name in ("a.wav", "b.wav", "a.wav")] + [{}]
    settings = panel.settings_of(experiment.model.controls(None), rows)
    levels = (("a.wav", 0.2), ("b.wav", 0.4))
    loudest = [np.max(abs(sound(tmp_path / name, SAMPLES, level=level))) for name, level in levels]
    spec, variables = Spec(shape=experiment.features.shape), {"more": jnp.array(0.1)}
    waves = generate(experiment, spec, variables, settings, seed=0)
    expected = [loudest[0] + 0.1, loudest[1] + 0.1, loudest[0] + 0.1, -1]
    np.testing.assert_allclose(waves, np.repeat(np.array(expected)[:, None], SAMPLES, axis=1), atol=1e-6)
    heard = listened(experiment, spec, variables, settings)
    np.testing.assert_array_equal(generate(experiment, spec, variables, heard, seed=0), waves)


def test_a_clip_is_brought_to_the_level_of_the_data(tmp_path):
    wave = sound(tmp_path / "a.wav", SAMPLES)
    np.testing.assert_allclose(
        made([str(tmp_path / "a.wav")], data=LevelledData())[0], wave / abs(wave).max(), atol=1e-6
    )


def test_data_levels_a_clip_as_its_own():
    wave, silence = np.array([0.1, -0.2, 0.0], np.float32), np.zeros(3, np.float32)
    for data in (NSynth(peak=0.5), NoteFolder()):
        assert isinstance(data, Levelled)
        np.testing.assert_allclose(data.level(wave), [0.25, -0.5, 0])
        np.testing.assert_array_equal(data.level(silence), silence)
    np.testing.assert_array_equal(NSynth(peak=None).level(wave), wave)
    mixed = Mixtures(level_db=-20.0)
    assert np.sqrt(np.mean(mixed.level(wave) ** 2)) == pytest.approx(0.1)
    np.testing.assert_array_equal(mixed.level(silence), silence)
    assert not isinstance(toys.ToyData(), Levelled)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gone.wav", "clip=gone.wav: no such file"),
        ("words.wav", "clip=words.wav: not a sound file"),
        (".", "clip=.: is a folder, not a sound file"),
        ("data:audio/wav;base64,AAA", "clip=data:audio/wav;base64: expected data:audio/wav;base64, and the file"),
        ("data:,AAAA", "clip=data:: expected data:audio/wav;base64, and the file in base64"),
        ("data:audio/wav;base64,AAAA", "clip=data:audio/wav;base64: not a sound file"),
    ],
)
def test_what_is_no_clip_is_named(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.wav").write_text("no sound at all")
    with pytest.raises(audio.AudioError) as error:
        made(["", text])
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_on_the_command_line(tmp_path, run):
    """A clip goes in as a file, and comes out again from samples.json; what cannot be read is one line."""
    train(runpy.run_path(str(CONFIG))["smoke"], tmp_path / "run")
    sound(tmp_path / "a.wav", 4_000)
    noise = np.random.default_rng(0).normal(0, 0.1, 9_000)
    audio.write(tmp_path / "b.flac", noise, sample_rate=16_000)
    status, out, err = run("sample", tmp_path / "run", "--list")
    assert "clip: a sound file, default none. starts from this sound instead of from a random one" in out
    status, out, err = run(
        "sample", tmp_path / "run", "--set", "clip=a.wav", "clip_to=b.flac", "mix=0.5", "--count", "2", "--out", "one"
    )
    assert status == 0, err
    assert "clip=a.wav clip_to=b.flac mix=0.5" in out
    files = sorted((tmp_path / "one").glob("*.wav"))
    assert files[0].read_bytes() == files[1].read_bytes()  # both ends are given, nothing is drawn
    status, _, err = run(
        "sample", tmp_path / "run", "--settings", tmp_path / "one" / "samples.json", "--out", tmp_path / "two"
    )
    assert status == 0, err
    assert (tmp_path / "two" / "sample_001.wav").read_bytes() == files[1].read_bytes()
    status, _, err = run("sample", tmp_path / "run", "--set", "clip=gone.wav")
    assert (status, err.strip().splitlines()[-1]) == (1, "mgen sample: clip=gone.wav: no such file")


@dataclasses.dataclass(frozen=True)
class Noisy(toys.ToyModel):
    """A level, and noise of one draw for each sound."""

    def controls(self, spec):
        return (controls.Slider("level"),)

    def sample(self, variables, rng, settings, spec):
        level = jnp.asarray(settings["level"])
        noise = 0.1 * jax.random.normal(rng, (len(level), 1, 1))
        return jnp.broadcast_to(level[:, None, None] - 0.5 + noise, (len(level), *spec.shape))


def test_windows_of_one_sound_have_one_draw_of_the_noise(monkeypatch):
    seen = []
    features = LogMel(sample_rate=RATE, frames=16, n_fft=256, hop_length=128, n_mels=16, n_iter=1)
    monkeypatch.setattr(
        LogMel, "joined", lambda self, windows, *, overlap: (self, seen.append((windows, overlap)) or windows[:, 0])
    )
    experiment = toys.experiment(model=Noisy(), features=features)
    spec = Spec(shape=features.shape)
    level = np.tile(np.array([0.2, 0.2, 0.9], np.float32), 70)
    assert generate(experiment, spec, {}, {"level": level}, seed=3, windows=3).shape == (70, features.samples)
    windows, overlap = seen[0]
    assert windows.shape == (70, 3, *features.shape) and overlap == 16 - round(7 / 8 * 15)
    np.testing.assert_array_equal(windows[:, 0], windows[:, 1])
    np.testing.assert_allclose(windows[:, 2] - windows[:, 1], 0.7, atol=1e-5)
    assert len(np.unique(windows[:, 0, 0, 0])) == 70, "sounds are still different"
    generate(
        dataclasses.replace(experiment, data=Mixtures(overlap=0.5)), spec, {}, {"level": level[:6]}, seed=3, windows=3
    )
    assert seen[1][1] == 16 - 8, "the data says how much its clips overlap"
    with pytest.raises(ValueError, match="settings: 4 are no whole sounds of 3 windows"):
        generate(experiment, spec, {}, {"level": level[:4]}, seed=3, windows=3)


@dataclasses.dataclass(frozen=True)
class Steady(toys.ToyModel):
    """Plays 1 all the time, and asks of its labels those in `asks`."""

    asks: tuple[str, ...] = ("level",)

    def controls(self, spec):
        own = tuple(label for label in spec.labels if label.name in self.asks)
        return (*own, controls.Slider("gain", 0.0, 1.0, 1.0))

    def sample(self, variables, rng, settings, spec):
        return jnp.broadcast_to(jnp.asarray(settings["gain"])[:, None], (len(settings["gain"]), *spec.shape))


LABELLED = Spec(shape=(SAMPLES,), labels=toys.ToyCorpus.labels)


def lengths(waves):
    return np.array([np.max(np.flatnonzero(wave), initial=-1) + 1 for wave in waves]) / waves.shape[1]


def test_what_a_model_makes_is_heard_as_its_labels_say():
    data, level = toys.WarpedData(), np.linspace(0.125, 1, 70, dtype=np.float32)
    assert isinstance(data, Warped) and not isinstance(toys.ToyData(), Warped)
    settings = {"level": level, "gain": np.linspace(1, 0.5, 70, dtype=np.float32)}
    waves = generate(toys.experiment(model=Steady(), data=data), LABELLED, {}, settings, seed=0)
    np.testing.assert_allclose(lengths(waves), level, atol=1 / SAMPLES)
    np.testing.assert_array_equal(waves[:, 0], settings["gain"])
    plain = generate(toys.experiment(model=Steady()), LABELLED, {}, settings, seed=0)
    np.testing.assert_array_equal(lengths(plain), 1)
    assert heard(toys.experiment(), waves, level[:, None]) is waves


def test_a_label_that_a_model_does_not_ask_is_at_its_default():
    experiment = toys.experiment(model=Steady(asks=()), data=toys.WarpedData())
    waves = generate(experiment, LABELLED, {}, {"gain": np.ones(3, np.float32)}, seed=0)
    np.testing.assert_array_equal(lengths(waves), 0.5)


def test_labels_that_are_asked_are_columns_in_the_order_of_the_data():
    spec = Spec((4,), (controls.Slider("tempo", 60, 180, 120), controls.Switch("a"), controls.Switch("b", 1.0)))
    settings = {"b": np.array([0.25, 0.5]), "gain": np.array([9.0, 9.0]), "tempo": np.array([90, 100])}
    found = labels_asked(spec, settings, 2)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[90, 0, 0.25], [100, 0, 0.5]])
    np.testing.assert_array_equal(labels_asked(spec, {"gain": np.ones(2)}, 2), [[120, 0, 1], [120, 0, 1]])
    assert labels_asked(Spec((4,)), settings, 2).shape == (2, 0)


def test_windows_of_one_sound_are_heard_as_the_first_one_says():
    features = LogMel(sample_rate=RATE, frames=16, n_fft=256, hop_length=128, n_mels=16, n_iter=1)
    spec = Spec(shape=features.shape, labels=toys.ToyCorpus.labels)
    level = np.array([0.3, 0.9, 0.9, 0.8, 0.9, 0.2], np.float32)
    long, plain = (
        generate(
            toys.experiment(model=Noisy(), features=features, data=data), spec, {}, {"level": level}, seed=0, windows=3
        )
        for data in (toys.WarpedData(), toys.ToyData())
    )
    assert long.shape == plain.shape and len(long) == 2 and long.shape[1] > 2 * features.samples
    np.testing.assert_allclose(lengths(long), [0.3, 0.8], atol=0.01)
    np.testing.assert_array_equal(lengths(plain), 1)
    np.testing.assert_array_equal(long[0, :1_000], plain[0, :1_000])


@dataclasses.dataclass(frozen=True)
class Measuring(toys.WarpedData):
    """Makes of a sound how much of it was read."""

    def warp(self, wave, *, sample_rate, samples):
        assert sample_rate == RATE
        return np.full(samples, len(wave) / 10_000, np.float32)

    def level(self, wave):
        raise AssertionError("what is warped is at its level")


@pytest.mark.parametrize(("samples", "read"), [(500, 500), (5_000, 5_000), (9_000, 3 * SAMPLES)])
def test_of_a_clip_as_much_is_read_as_may_be_needed_to_warp_it(tmp_path, samples, read):
    sound(tmp_path / "a.wav", samples)
    waves = made([str(tmp_path / "a.wav"), ""], data=Measuring(), spec=LABELLED)
    np.testing.assert_allclose(waves[0], np.where(np.arange(SAMPLES) < SAMPLES / 2, read / 10_000, 0), rtol=1e-6)
    np.testing.assert_array_equal(waves[1], np.where(np.arange(SAMPLES) < SAMPLES / 2, -1, 0))


def test_a_model_sees_a_clip_as_the_data_warps_it(tmp_path):
    wave = sound(tmp_path / "a.wav", 3_000)
    found = made([str(tmp_path / "a.wav")], data=toys.WarpedData(), spec=LABELLED)[0]
    np.testing.assert_allclose(found[: SAMPLES // 2], wave[::2][: SAMPLES // 2], atol=1e-6)
    np.testing.assert_array_equal(found[SAMPLES // 2 :], 0)
