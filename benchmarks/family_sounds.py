"""A picture and a page of what each family of a study made, to look at and to listen to.

    python benchmarks/family_sounds.py runs/families/families --songs tones --page runs/families/page

Of the first seed: three sounds of each family beside recordings that were held out, the mean of the features and white
noise, as docs/figures/FIGURE.png; and on a page of its own, with players, six of each.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.trials import GIVEN

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHOWN, HEARD = 3, 6
RATE = 10_000


def sounds(folder: pathlib.Path, songs: str) -> dict[str, np.ndarray]:
    """Name of a family, or of what it is compared with, to float32 [count, samples]."""
    made, others = {}, {}
    for path in sorted(folder.glob("*_0.json")):
        row = json.loads(path.read_text())
        if row["trial"]["data"] != songs:
            continue
        with np.load(folder / path.stem / "sounds.npz") as kept:
            waves = {name: kept[name].astype(np.float32) / 32_767 for name in kept.files}
        made[row["trial"]["name"]] = waves["generated"]
        compared = ("held out", "mean features", "white noise") if row["trial"]["name"] == "flow" else ("held out",)
        others |= {name: waves[name] for name in compared}
        if GIVEN in waves:
            made["through the autoencoder"] = waves[GIVEN]
    if not made:
        raise SystemExit(f"{folder}: holds no trial of {songs} with sounds")
    return {name: others[name] for name in ("held out",) if name in others} | made | others


def main() -> None:
    """Writes the picture and, if asked for, the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="of the study: OUT/families")
    parser.add_argument("--songs", default="tones")
    parser.add_argument("--figure", help="name of the picture, if not families_SONGS")
    parser.add_argument("--page", type=pathlib.Path)
    asked = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    from mgen import dsp
    from mgen.evaluation import sheet

    found = sounds(asked.folder, asked.songs)
    figure, axes = plt.subplots(len(found), SHOWN, figsize=(12, 1.5 * len(found)), sharex=True, sharey=True)
    for row, (name, waves) in zip(axes, found.items(), strict=True):
        for axis, wave in zip(row, waves, strict=False):
            mel = np.asarray(dsp.mel_spectrogram(wave, sample_rate=RATE, n_fft=1024, hop_length=256, n_mels=80))
            decibels = 10 * np.log10(np.maximum(mel, 1e-8 * mel.max()) / mel.max())
            seconds = len(wave) / RATE
            axis.imshow(
                decibels.T, origin="lower", aspect="auto", vmin=-70, vmax=0, cmap="magma", extent=(0, seconds, 0, 80)
            )
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
        row[0].set_yticks([])
    axes[-1][1].set_xlabel("seconds; 80 mel bands up to 5 kHz, 70 dB")
    figure.tight_layout(pad=0.3)
    path = ROOT / "docs" / "figures" / f"{asked.figure or f'families_{asked.songs}'}.png"
    figure.savefig(path, dpi=60)
    Image.open(path).convert("RGB").quantize(48).save(path, optimize=True)  # a quarter of the bytes
    print(f"wrote {path}")
    if asked.page:
        note = f"The first sounds of each family on {asked.songs}, first seed, at the tempo that was asked for."
        clips = {name: waves[:HEARD] for name, waves in found.items()}
        page = sheet.write(
            asked.page,
            title=f"Families on {asked.songs}",
            notes=[note],
            tables={},
            clips=clips,
            captions={},
            sample_rate=RATE,
        )
        print(f"wrote {page}")


if __name__ == "__main__":
    main()
