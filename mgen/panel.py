"""Controls as a person meets them: `name=value` typed, settings drawn or left at their defaults, and shown again."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import numpy as np

from mgen.controls import Choice, Clip, Clips, Control, Settings, Slider, Switch, few_digits


def parse(controls: Sequence[Control], assignments: Sequence[str]) -> dict[str, float | str]:
    """Reads `name=value` as a person types it.

    Raises:
      ValueError: a word has no `=`, a name is unknown (the nearest and all names are given), or a value is refused.
    """
    known, values = {control.name: control for control in controls}, {}
    for word in assignments:
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"{word}: expected name=value, for example {next(iter(known), 'name')}=1")
        values[name] = _named(known, name).parse(text)
    return values


def _named(known: Mapping[str, Control], name: str) -> Control:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        guess = f"; did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"no control is named '{name}'{guess} The controls are: {', '.join(known) or 'none'}")
    return known[name]


def settings_of(controls: Sequence[Control], rows: Sequence[Mapping[str, object]]) -> dict[str, np.ndarray]:
    """Settings from what `shown` gave, or a page: for each sound, controls with numbers, names of options or files.

    Returns:
      `Settings` of as many sounds as rows; what a row does not name is at its default.

    Raises:
      ValueError: as in `parse`.
    """
    known = {control.name: control for control in controls}
    settled = []
    for row in rows:
        values = {name: control.default for name, control in known.items()}
        for name, value in row.items():
            control = _named(known, name)
            if isinstance(control, Clip) and not isinstance(value, str):
                raise ValueError(f"{name}={value!r}: expected text, the path of a sound file, or '' for none")
            values[name] = control.parse(value if isinstance(value, str) else repr(value))
        settled.append(values)
    return _settings(controls, settled)


def _settings(controls: Sequence[Control], rows: Sequence[Mapping[str, float | str]]) -> dict[str, np.ndarray]:
    found = {}
    for control in controls:
        values = [row[control.name] for row in rows]
        if not isinstance(control, Clip):
            found[control.name] = np.asarray(values, np.float32)
        elif any(values):
            found[control.name] = np.asarray(values, object)
    return found


def settle(
    controls: Sequence[Control], fixed: Mapping[str, float | str], *, count: int, rng: np.random.Generator, vary: bool
) -> dict[str, np.ndarray]:
    """Settings for `count` sounds: what is fixed stays, the rest is at its default, or is drawn where `vary` is true.

    Of many switches two at most are drawn on, one fully and one part of the way: all at once would be a crowd.
    Fixing a switch turns the others off, so that one switch alone is heard alone.

    Returns:
      `Settings` of `count` sounds.
    """
    switches = [control.name for control in controls if isinstance(control, Switch)]
    default = {control.name: control.default for control in controls}
    if set(switches) & set(fixed):
        default |= dict.fromkeys(switches, 0.0)
    rows = []
    for _ in range(count):
        row = dict(default)
        if vary:
            row |= {control.name: control.draw(rng) for control in controls}
            row |= dict.fromkeys(switches, 0.0)
            on = rng.permutation(len(switches))[:2]
            row |= {switches[i]: level for i, level in zip(on, (1.0, few_digits(rng.uniform(0.2, 1.0))), strict=False)}
        rows.append(row | dict(fixed))
    return _settings(controls, rows)


def lacking(controls: Sequence[Control], settings: Settings) -> Clip | None:
    """The first clip that is needed and that not every sound is given, as texts or as `controls.Clips`."""
    for control in controls:
        if isinstance(control, Clip) and control.needed:
            values = settings.get(control.name)
            given = values.given if isinstance(values, Clips) else values is not None and np.asarray(values) != ""
            if not np.all(given):
                return control
    return None


def caption(values: Mapping[str, float | str]) -> str:
    """Settings in one line, what is off or none left out: `pattern=house drums=1 bass=0.5`."""
    return " ".join(
        f"{name}={brief(value) if isinstance(value, str) else f'{value:g}'}"
        for name, value in values.items()
        if value and value != "none"
    )


def brief(text: str) -> str:
    """What a person types, short enough for a line: of a sound that is given whole, only its kind."""
    return text.partition(",")[0] if text.startswith("data:") else text


def shown(controls: Sequence[Control], settings: Settings, index: int) -> dict[str, float | str]:
    """The settings of sound number `index` as a person would type them."""
    return {
        control.name: control.show(settings[control.name][index] if control.name in settings else control.default)
        for control in controls
    }


def describe(control: Control) -> str:
    """One line for a person: name, range or options, default and meaning."""
    match control:
        case Slider() | Switch():
            span = f"{control.low:g} to {control.high:g} {control.unit}".rstrip()
            what = f"{span}, default {control.default:g}"
        case Choice():
            what = f"one of {', '.join(control.options)}, default {control.options[control.default]}"
        case Clip():
            what = "a sound file, " + ("which is needed" if control.needed else "default none")
    return f"{control.name}: {what}" + (f". {control.help}" if control.help else "")
