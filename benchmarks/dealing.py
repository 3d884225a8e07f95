"""Which sounds of a folder a study trains on, and which it only compares with: whole files, or the end of each."""

from __future__ import annotations

import csv
import pathlib
import shutil

HELD_OUT = 0.25  # of the files, or of each
BEATS = 8  # of a fragment: a file that has none in both parts is of no use
_RATE = 10_000  # Hz, at which files are listened to


def deal(folder: pathlib.Path, out: pathlib.Path, *, endings: bool = False) -> pathlib.Path:
    """Puts the sounds of a folder into OUT/train and OUT/held_out, with a tempi.csv of those whose tempo is known.

    Of many songs a quarter of the files is held out, as links. Of a few, no one of which is like another, that would
    only say which files they were: then the last quarter of each is held out (`endings`), as files that are cut there.
    What is held out is so the same music as what is trained on, a later passage of it. A file of which either part is
    too short for a fragment is in neither.

    Args:
      folder: of sound files, without its subfolders; a CSV file in it with the columns file and bpm says tempi.
      out: is written to; what was dealt there before is taken away.
      endings: whether the end of each file is held out, and not whole files.

    Returns:
      OUT.

    Raises:
      ValueError: no file has a fragment in either part.
    """
    for split in ("train", "held_out"):
        shutil.rmtree(out / split, ignore_errors=True)
        (out / split).mkdir(parents=True)
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _suffixes())
    tempi = _tempi(folder)
    if endings:
        tempi = _cut(folder, names, tempi, out)
    else:
        _link(folder, names, out)
    if tempi:
        with (out / "tempi.csv").open("w", newline="") as lines:
            csv.writer(lines).writerows([("file", "bpm"), *tempi.items()])
    return out


def _suffixes() -> frozenset[str]:
    from mgen.audio import SUFFIXES

    return frozenset(SUFFIXES)


def _tempi(folder: pathlib.Path) -> dict[str, str]:
    """What tables in the folder say of how fast its files are."""
    found = {}
    for table in sorted(folder.glob("*.csv")):
        with table.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        if rows and {"file", "bpm"} <= set(rows[0]):
            found |= {row["file"]: row["bpm"] for row in rows}
    return found


def _link(folder: pathlib.Path, names: list[str], out: pathlib.Path) -> None:
    from mgen.data.scan import validation_files

    kept = validation_files(names, HELD_OUT, 0)
    for name in names:
        (out / ("held_out" if name in kept else "train") / name).symlink_to((folder / name).resolve())


def _cut(folder: pathlib.Path, names: list[str], tempi: dict[str, str], out: pathlib.Path) -> dict[str, str]:
    """Cuts every file in two, and says how fast each is as a whole: a part by itself may be heard at another tempo."""
    from mgen import audio
    from mgen.data.beat_tracks import listen

    said = {pathlib.Path(name).stem: float(bpm) for name, bpm in tempi.items()}
    found = {}
    for name in names:
        stem = pathlib.Path(name).stem
        asked = {"sample_rate": _RATE, "beats": BEATS, "tempo": (80.0, 160.0), "estimator": "onsets"}
        whole = audio.read(folder / name, sample_rate=_RATE)
        track = listen(whole, **asked, known=said.get(stem))
        if isinstance(track, str):
            continue
        bpm = said.get(stem, round(track.pulse.bpm, 2))
        place = round(len(whole) * (1 - HELD_OUT))
        if any(isinstance(listen(part, **asked, known=bpm), str) for part in (whole[:place], whole[place:])):
            continue
        rate = audio.info(folder / name).sample_rate
        wave = audio.read(folder / name, sample_rate=rate)
        place = round(len(wave) * (1 - HELD_OUT))
        for split, part in (("train", wave[:place]), ("held_out", wave[place:])):
            audio.write(out / split / f"{stem}.wav", part, sample_rate=rate)
        found[f"{stem}.wav"] = str(bpm)
    if not found:
        raise ValueError(f"{folder}: no file has {BEATS} beats before and in its last quarter")
    return found
