"""From settings to sound: the model samples features, and the experiment's features turn them into waveforms."""

from __future__ import annotations

import base64
import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from mgen import audio, controls, panel, parallel
from mgen.contracts import (
    Continuing,
    Control,
    Elastic,
    Joinable,
    Lasting,
    Levelled,
    Listening,
    Model,
    Settings,
    Spec,
    Variables,
    Warped,
    Windowed,
)
from mgen.training.experiment import Experiment

_AT_ONCE = 64  # sounds that a model makes together
_SLOWEST = 3  # clips of a sound that may be one clip of `Warped` data
_OVERLAP = 1 / 8  # of a clip with the next, where the data does not say


def generate(
    experiment: Experiment, spec: Spec, variables: Variables, settings: Settings, *, seed: int, windows: int = 1
) -> np.ndarray:
    """Makes one sound for each value in the settings, or for each `windows` of them.

    Args:
      experiment: whose model and features to use.
      spec: saved with it.
      variables: of the model, see `mgen.training.step.averaged`.
      settings: {control name: [count]}, of a `controls.Clip` texts or what `listened` gave for them; at least one
        control is of another kind.
      seed: of the model's noise and of the invented phase.
      windows: settings in a row that make one sound, of one draw of the noise: each clip overlaps the next by as much
        as those of `Windowed` data do, or an eighth.

    Returns:
      float32 [count / windows, samples]; where it can be, as long as the longest `seconds` that is asked for.

    Raises:
      mgen.audio.AudioError: a clip that was given cannot be read, or one that is needed was not given.
      ValueError: the features cannot be joined, or are of one length, or the settings are no multiple of `windows`.
    """
    features, duration_s = experiment.features, _duration_s(experiment.model, settings)
    if duration_s:
        if windows > 1:
            raise ValueError("seconds: clips that are joined are as long as a clip each; leave it at 0")
        if not isinstance(features, Lasting):
            raise ValueError(f"seconds: clips of {type(features).__name__} are of one length; leave it at 0")
        features = _lasting(features, duration_s)
        if isinstance(experiment.model, Elastic):  # what it is given is as long as what it makes
            experiment = dataclasses.replace(experiment, features=features)
            spec = dataclasses.replace(spec, shape=tuple(features.shape))
    if windows > 1 and not isinstance(features, Joinable):
        raise ValueError(f"clips of {type(features).__name__} cannot be joined to a longer sound")
    rng = jax.random.key(seed)
    seen = listened(experiment, spec, variables, settings)
    if lacks := panel.lacking(experiment.model.controls(spec), seen):
        raise audio.AudioError(f"{lacks.name}=", f"{lacks.help}: give a sound file, as in {lacks.name}=a.wav")
    rows = len(jax.tree.leaves(seen)[0])
    if rows % windows:
        raise ValueError(f"settings: {rows} are no whole sounds of {windows} windows")
    steps = features.shape[0] if duration_s and isinstance(experiment.model, Continuing) else None
    sample, made = _compiled(experiment.model, spec, steps), []
    for window in range(windows):
        own = jax.tree.map(lambda values, window=window: values[window::windows], seen)
        # A longer sound takes as much more memory.
        at_once = max(1, _AT_ONCE * spec.shape[0] // steps) if steps else _AT_ONCE
        made.append(_sampled(sample, variables, rng, own, rows // windows, min(at_once, _AT_ONCE)))
    clips = made[0]
    if windows > 1:
        share = experiment.data.overlap if isinstance(experiment.data, Windowed) else _OVERLAP
        overlap = features.frames - round((1 - share) * (features.frames - 1))
        features, clips = features.joined(np.stack(made, axis=1), overlap=overlap)
    keys = jax.random.split(jax.random.fold_in(rng, 1), len(clips))
    waves = np.asarray(parallel.spread(features.decode, np.asarray(clips), keys))
    if duration_s:
        waves = waves[:, : max(1, round(duration_s * features.sample_rate))]
    return heard(
        experiment, waves, labels_asked(spec, jax.tree.map(lambda values: values[::windows], seen), len(waves))
    )


@functools.lru_cache(maxsize=8)
def _lasting(features: Lasting, duration_s: float) -> Lasting:
    """One object for one length, so that what was compiled for it is found again."""
    return features.lasting(duration_s)


def _duration_s(model: Model, settings: Settings) -> float:
    """The longest sound that is asked for, or 0 where it is a clip's length."""
    any_length = isinstance(model, (Continuing, Elastic)) and "seconds" in settings
    return float(np.max(settings["seconds"])) if any_length else 0.0


def heard(experiment: Experiment, waves: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Clips of the data, or of a model, as they are to be heard: those of `Warped` data at the tempo of their labels.

    Args:
      experiment: whose data it is.
      waves: float32 [count, samples].
      columns: float32 [count, labels], in the order of the corpus's labels.
    """
    if not isinstance(experiment.data, Warped):
        return waves
    features = experiment.features
    unwarp = _unwarping(experiment.data, features.sample_rate, features.samples)
    return np.asarray(parallel.spread(unwarp, waves, np.asarray(columns, np.float32)))


@functools.lru_cache(maxsize=8)
def _unwarping(data: Warped, sample_rate: int, samples: int) -> Callable:
    return functools.partial(data.unwarp, sample_rate=sample_rate, samples=samples)


def labels_asked(spec: Spec, settings: Settings, count: int) -> np.ndarray:
    """Labels of sounds that are asked for, float32 [count, labels]; of those that the model does not ask, defaults."""
    asked = [settings.get(label.name, np.full(count, label.default)) for label in spec.labels]
    return np.stack(asked, axis=1).astype(np.float32) if asked else np.zeros((count, 0), np.float32)


def _sampled(
    sample: Callable, variables: Variables, rng: jax.Array, settings: Settings, count: int, at_once: int
) -> np.ndarray:
    """Features of each sound, [count, *shape]; the same noise at every call."""
    made = []
    for number, start in enumerate(range(0, count, at_once)):
        some = jax.tree.map(lambda values, start=start: values[start : start + at_once], settings)
        own = jax.random.fold_in(rng, 0) if not number else jax.random.fold_in(jax.random.fold_in(rng, 2), number)
        made.append(np.asarray(sample(variables, own, some)))
    return np.concatenate(made)


@functools.lru_cache(maxsize=8)
def _compiled(model: Model, spec: Spec, steps: int | None = None) -> Callable:
    """`model.sample`, or `go_on` for some steps, compiled and kept: models and specs are equal by what they hold."""
    if steps is None:
        return jax.jit(functools.partial(model.sample, spec=spec))
    return jax.jit(functools.partial(model.go_on, spec=spec, steps=steps))


def listened(experiment: Experiment, spec: Spec, variables: Variables, settings: Settings) -> dict[str, Any]:
    """Settings as the model sees them, {control name: [count]}: sound files have become `controls.Clips`.

    Args:
      experiment: whose features encode them, after its data, if it is `Levelled`, has said how loud they are.
      spec: saved with it.
      variables: of the model, which may be one that is `Listening`.
      settings: {control name: [count]}.

    Raises:
      mgen.audio.AudioError: a file cannot be read.
    """
    seen, knobs = {}, {knob.name: knob for knob in experiment.model.controls(spec)}
    for name, values in settings.items():
        if not isinstance(values, controls.Clips):
            values = np.asarray(values)
            if values.dtype.kind == "O":
                if not any(values):  # the same as not to name it
                    continue
                values = _clips(experiment, spec, variables, knobs[name], values)
        seen[name] = values
    return seen


def _clips(
    experiment: Experiment, spec: Spec, variables: Variables, knob: controls.Clip, texts: np.ndarray
) -> controls.Clips:
    different = sorted({text for text in texts if text})  # many sounds may be given one file
    waves = np.stack([_wave(experiment, knob, text) for text in different])
    encoded = parallel.spread(experiment.features.encode, waves)
    if isinstance(experiment.model, Listening):
        listen = _listening(experiment.model, spec)
        # One by one, so that a clip is heard alike whatever others there are.
        encoded = np.concatenate([np.asarray(listen(variables, features[None])) for features in encoded])
    given = texts != ""
    features = np.zeros((len(texts), *encoded.shape[1:]), np.float32)
    features[given] = encoded[[different.index(text) for text in texts[given]]]
    return controls.Clips(features, given)


def _wave(experiment: Experiment, knob: controls.Clip, text: str) -> np.ndarray:
    """The beginning of a sound file as the data would give it: at its level, and filled up with zeros."""
    features, data = experiment.features, experiment.data
    longest = (_SLOWEST if isinstance(data, Warped) else 1) * features.samples
    asked = {"sample_rate": features.sample_rate, "duration_s": longest / features.sample_rate}
    try:
        if text.startswith("data:"):
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "clip"
                path.write_bytes(_decoded(text))
                wave = audio.read(path, **asked)
        else:
            wave = audio.read(text, **asked)
    except audio.AudioError as error:
        raise audio.AudioError(f"{knob.name}={panel.brief(text)}", error.reason) from error
    if isinstance(data, Warped):
        return data.warp(wave, sample_rate=features.sample_rate, samples=features.samples)
    if isinstance(data, Levelled) and knob.levelled:
        wave = data.level(wave)
    return np.pad(wave, (0, features.samples - len(wave)))


def _decoded(text: str) -> bytes:
    """The bytes of a data URL (RFC 2397)."""
    head, _, body = text.partition(",")
    try:
        if head.endswith(";base64"):
            return base64.b64decode(body, validate=True)
    except ValueError:
        pass
    raise audio.AudioError(head, "expected data:audio/wav;base64, and the file in base64")


@functools.lru_cache(maxsize=8)
def _listening(model: Listening, spec: Spec) -> Callable:
    return jax.jit(functools.partial(model.listen, spec=spec))


def settings_like(knobs: Sequence[Control], labels: Sequence[Control], columns: np.ndarray) -> tuple[Settings, bool]:
    """Settings that ask a model for sounds like given real ones, and whether each is to be one of them.

    Args:
      knobs: the model's controls.
      labels: the data's.
      columns: float32 [count, labels], of the real sounds.

    Returns:
      {control: [count]}, from the labels where they say something, else the default, which is how a model is meant to
      be played; and whether labels and controls are the same, so that a setting says which real sound is meant.
    """
    settings = dict(panel.settle(knobs, {}, count=len(columns), rng=np.random.default_rng(0), vary=False))
    known = {label.name: columns[:, index] for index, label in enumerate(labels) if label.name in settings}
    return settings | known, bool(known) and len(known) == len(labels) == len(settings)
