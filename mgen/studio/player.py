"""One run as an instrument: settings in, sound out, quickly where it is only listened to while turning."""

from __future__ import annotations

import dataclasses
import functools
import io
import pathlib
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from mgen import audio, controls, dsp, panel
from mgen.contracts import Elastic
from mgen.training.checkpoint import Loaded
from mgen.training.sampling import generate, listened
from mgen.training.step import averaged

_DRAFT_ITERATIONS = 4  # of the phase while a slider is held
_one_at_a_time = threading.Lock()  # two sounds, also of two runs, would share the same cores
_BANDS, _RANGE_DB = 128, 80.0  # of the picture


@dataclasses.dataclass(frozen=True)
class Sound:
    """What is played and drawn."""

    wave: np.ndarray  # float32 [samples]
    picture: np.ndarray  # uint8 [frames, bands], 255 the loudest and 0 what is 80 dB below it


class Player:
    """A checkpoint that can be played. One sound is made at a time."""

    def __init__(self, loaded: Loaded, folder: pathlib.Path):
        """Takes a checkpoint from `mgen.training.checkpoint.load`, and the folder that it came from."""
        self.name, self.folder, self.step = folder.name, folder, loaded.step
        self._spec, self._experiment = loaded.spec, loaded.experiment
        self._variables = jax.device_put(averaged(loaded.state))
        model = loaded.experiment.model
        # A sound that is given is kept as long as a clip, and so is what an elastic model makes of it here.
        one_length = isinstance(model, Elastic)
        self.knobs = [knob for knob in model.controls(loaded.spec) if not (one_length and knob.name == "seconds")]
        self.sample_rate, self.samples = loaded.experiment.features.sample_rate, loaded.experiment.features.samples

    @property
    def size(self) -> str:
        """What a clip is cut to: runs of one rate and length share those that are uploaded."""
        return f"{self.sample_rate} {self.samples}"

    @functools.cached_property
    def _draft(self) -> Any:
        """The experiment with fewer iterations of the phase, where its features find one."""
        features = self._experiment.features
        if not hasattr(features, "n_iter"):
            return self._experiment
        fewer = dataclasses.replace(features, n_iter=min(features.n_iter, _DRAFT_ITERATIONS))
        return dataclasses.replace(self._experiment, features=fewer)

    @functools.cached_property
    def _listened(self) -> Callable[[str, str], controls.Clips]:
        """What the model sees of a control's sound, which stays the same while sliders are turned."""

        @functools.lru_cache(maxsize=8)
        def listen(name: str, text: str) -> controls.Clips:
            given = {name: np.array([text], object)}
            return listened(self._experiment, self._spec, self._variables, given)[name]

        return listen

    def describe(self) -> dict[str, Any]:
        """What the page needs to draw the controls."""
        return {
            "name": self.name,
            "step": self.step,
            "seconds": self.samples / self.sample_rate,
            "size": self.size,
            "controls": [{**dataclasses.asdict(knob), **_drawing(knob)} for knob in self.knobs],
            "start": self._start(),
        }

    def _start(self) -> dict[str, float | str]:
        """The defaults; where these are all off there would be nothing to hear, and the first switch is on."""
        start = {knob.name: knob.default for knob in self.knobs}
        if start and all(isinstance(knob, controls.Switch) and not knob.default for knob in self.knobs):
            start[self.knobs[0].name] = 1.0
        return {knob.name: knob.show(start[knob.name]) for knob in self.knobs}

    def check(self, values: Mapping[str, object]) -> None:
        """Raises ValueError for a control or a value that there is not, and where a sound is needed."""
        if lacks := panel.lacking(self.knobs, panel.settings_of(self.knobs, [values])):
            raise ValueError(f"{lacks.name}: {lacks.help}: choose a sound")

    def play(self, values: Mapping[str, object], *, seed: int, draft: bool) -> Sound:
        """Makes a sound.

        Args:
          values: control name to a number, to the name of an option, or to a sound; the rest is at its default.
          seed: of the model's noise and of the phase.
          draft: whether it is heard while a slider is held, and has to be quick.

        Raises:
          ValueError: as in `check`.
        """
        settings = panel.settings_of(self.knobs, [values])
        with _one_at_a_time:
            experiment = self._draft if draft else self._experiment
            for knob in self.knobs:
                if isinstance(knob, controls.Clip) and knob.name in settings:
                    settings[knob.name] = self._listened(knob.name, settings[knob.name][0])
                elif draft and isinstance(knob, controls.AsideSlider) and knob.draft is not None:
                    settings[knob.name] = np.minimum(settings[knob.name], np.float32(knob.draft))
            wave = generate(experiment, self._spec, self._variables, settings, seed=seed)[0]
            return Sound(wave, np.asarray(_picture(wave, self.sample_rate)))

    def export(self, values: Mapping[str, object], *, seed: int) -> bytes:
        """The wav file that `sample.py --settings` writes for the same settings, to the last bit."""
        return as_wav(self.play(values, seed=seed, draft=False).wave, self.sample_rate)

    def settings(self, values: Mapping[str, object], *, seed: int) -> dict[str, Any]:
        """What `sample.py --settings` reads, in the form of its own samples.json."""
        return {
            "workdir": str(self.folder),
            "step": self.step,
            "seed": seed,
            "samples": [{"file": "sample_000.wav", "settings": dict(values)}],
        }


def as_wav(wave: np.ndarray, sample_rate: int, subtype: str = "PCM_16") -> bytes:
    """The wav file that `audio.write` makes of a wave, float32 [samples]."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "sound.wav"
        audio.write(path, wave, sample_rate=sample_rate, subtype=subtype)
        return path.read_bytes()


def pack(sound: Sound, sample_rate: int) -> bytes:
    """Four little-endian uint32 (rate, samples, frames, bands), the samples as float32, and the picture as uint8."""
    head = np.array([sample_rate, len(sound.wave), *sound.picture.shape], "<u4")
    out = io.BytesIO()
    for part in (head, sound.wave.astype("<f4"), sound.picture):
        out.write(part.tobytes())
    return out.getvalue()


def _drawing(knob: controls.Control) -> dict[str, Any]:
    """What the page needs beside the fields; a semitone is a step, as on a keyboard, and so is a beat a minute."""
    aside = isinstance(knob, controls.Aside)
    if isinstance(knob, controls.Clip):
        return {"kind": "clip", "aside": aside, "default": knob.default}
    if isinstance(knob, controls.Choice):
        return {"kind": "choice", "aside": aside, "default": knob.options[knob.default]}
    kind = "switch" if isinstance(knob, controls.Switch) else "slider"
    step = 1.0 if len(knob.steps) else (knob.high - knob.low) / 200
    return {"kind": kind, "aside": aside, "low": knob.low, "high": knob.high, "unit": knob.unit, "step": step}


@functools.partial(jax.jit, static_argnums=1)
def _picture(wave: jax.Array, sample_rate: int) -> jax.Array:
    mel = dsp.mel_spectrogram(
        wave, sample_rate=sample_rate, n_fft=min(2048, len(wave)), hop_length=min(512, len(wave)), n_mels=_BANDS
    )
    decibels = dsp.power_to_decibels(mel, floor_db=-140.0)
    loudest = jax.numpy.maximum(decibels.max(), -60.0)
    return (255 * (1 + (decibels - loudest) / _RANGE_DB).clip(0, 1)).astype(jax.numpy.uint8)
