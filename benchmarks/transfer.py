"""Style transfer of real pairs: what is kept, what is taken, beside linear mixes; losses from every start; seconds.

    python benchmarks/transfer.py RUN MUSIC AMBIENCE [--iterations 100] [--hard 1000] [--sounds DIR]
    python benchmarks/transfer.py RUN MUSIC AMBIENCE --extractors     # what extracts features: six pairs, other layers
    python benchmarks/transfer.py RUN MUSIC AMBIENCE --picture docs/figures/transfer.png     # four pairs to look at

RUN is of configs/genre.py; MUSIC and AMBIENCE are folders that hold PIECES and STYLES, of which the first five seconds
are heard. Each of the 36 pairs is transferred with the default settings, from every start, and by the closed map alone;
so are 36 other pairs, of which nothing was looked at while the defaults were chosen. All are judged by
`mgen/metrics/transfer.py`:

    kept     chroma nearer to the content's than that of the linear mix whose MFCC statistics are as far from the style
    taken    MFCC statistics, and the Gram matrix of bands, at most half as far from the style as the content's are
    no mix   a sum of content and style explains at most 70 % of it
    clean    spectral flatness no higher than that of the noisier of the two; of a tonal style below 0.22 too, which is
             the median of the original's outputs

(Longer than 300 lines: the criteria, and the tables and picture that they are of, are read together.)
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import sys
import time
from collections.abc import Sequence

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record
from mgen import audio, panel, parallel
from mgen.metrics.timbre import timbre
from mgen.metrics.transfer import chroma_similarity, mfcc_statistics_distance, transfer_report
from mgen.models import style
from mgen.training.checkpoint import Loaded, load
from mgen.training.sampling import generate, listened
from mgen.training.step import averaged

PIECES = (
    *("rhodes_demo.mp3", "vibe_ace.ogg", "brahms_hungarian_dance_5_mono22k.ogg"),
    *("nutcracker_sugar_plum_fairy.ogg", "country.mp3", "lofi_cat_caffe.mp3"),
)
STYLES = ("rain.ogg", "waves.ogg", "train.ogg", "synthdrone_long.mp3", "crowd1.mp3", "fireplace.ogg")
OTHER_PIECES = (
    *("arpeggio_crazy_mono.mp3", "chip_8bit_battle_loop.ogg", "cosmo_blast.mp3", "danse_macabre_finale.mp3"),
    *("lofi_oceanside.mp3", "adventure_loop_16k_mono.ogg"),
)
OTHER_STYLES = (
    *("esc10_rain_2-82367-a.ogg", "esc10_sea_waves_2-133863-a.ogg", "esc10_helicopter_2-37806-a.ogg"),
    *("ambi_drone.flac", "coffee-shop.ogg", "esc10_fire_crackling_1-17742-a.ogg"),
)
TONAL = ("synthdrone_long.mp3", "ambi_drone.flac")
_STEP_DB = 4.0
_MIXES_DB = np.arange(-40, 61, _STEP_DB)  # of the style beside the content
_AT_ONCE = 9  # pairs
_SHOWN = (9, 26, 0, 19)  # pairs in the picture, each of another piece and style
_FAR = 0.05  # rate of a descent that begins where the closed map does not lead, and has further to go


def pairs_of(
    music: pathlib.Path,
    ambience: pathlib.Path,
    pieces: Sequence[str] = PIECES,
    styles: Sequence[str] = STYLES,
) -> list[tuple[str, str]]:
    """Every piece with every style, as paths."""
    return [(str(music / piece), str(ambience / own)) for piece in pieces for own in styles]


class Transfers:
    """A run that transfers pairs and says what its losses were."""

    def __init__(self, loaded: Loaded):
        """Takes what `checkpoint.load` gives."""
        self.experiment, self.spec = loaded.experiment, loaded.spec
        self.variables = averaged(loaded.state)
        self.knobs = self.experiment.model.controls(self.spec)
        self.fresh = self.experiment.model.init(jax.random.key(1), self.spec)
        self._run = jax.jit(functools.partial(self.experiment.model.transfer, spec=self.spec))

    def __call__(self, pairs: list[tuple[str, str]], *, fresh: bool = False, **values: float | str) -> tuple:
        """Features [pairs, ...], and losses before and after [pairs]."""
        made = []
        for first in range(0, len(pairs), _AT_ONCE):
            some = pairs[first : first + _AT_ONCE]
            named = panel.settle(self.knobs, {}, count=len(some), rng=np.random.default_rng(0), vary=False)
            named |= {name: np.full(len(some), value, np.float32) for name, value in values.items()}
            named |= {
                name: np.array([pair[side] for pair in some], object) for side, name in enumerate(("content", "style"))
            }
            seen = listened(self.experiment, self.spec, self.variables, named)
            found = self._run(self.fresh if fresh else self.variables, jax.random.key(first), seen)
            made.append(jax.device_get(found))
        return tuple(np.concatenate(parts) for parts in zip(*made, strict=True))

    def heard(self, features: np.ndarray) -> np.ndarray:
        """Waves of features."""
        keys = jax.random.split(jax.random.key(0), len(features))
        return np.asarray(parallel.spread(self.experiment.features.decode, features, keys))

    def clip(self, path: str) -> np.ndarray:
        """The wave of a file as the transfer hears it; what is short is repeated."""
        features, data = self.experiment.features, self.experiment.data
        wave = audio.read(path, sample_rate=features.sample_rate, duration_s=features.samples / features.sample_rate)
        return np.resize(data.level(wave), features.samples)


def judged(content: np.ndarray, own: np.ndarray, result: np.ndarray, *, rate: int, tonal: bool) -> dict:
    """The criteria of one pair, with their numbers."""
    report = transfer_report(content, own, result, sample_rate=rate)
    apart = mfcc_statistics_distance(content, own, sample_rate=rate)

    def mix(db: float) -> np.ndarray:
        return content + 10 ** (db / 20) * own

    def short(db: float) -> bool:
        """Whether a mix is further from the style than the result is."""
        return mfcc_statistics_distance(mix(db), own, sample_rate=rate) / apart > report.mfcc

    # The first that is as near to the style, and then more finely: one with more of it has less of the content.
    above = next((db for db in _MIXES_DB if not short(db)), _MIXES_DB[-1])
    below = above - _STEP_DB
    for _ in range(6):
        middle = (above + below) / 2
        above, below = (above, middle) if short(middle) else (middle, below)
    mixed = float(chroma_similarity(mix(above), content, sample_rate=rate))
    half = (content + own) / 2
    flatness = np.asarray(timbre(np.stack([content, own, result]), sample_rate=rate).flatness)
    clean = flatness[2] <= max(flatness[:2]) and (not tonal or flatness[2] < 0.22)
    met = {
        "kept": report.chroma > mixed,
        "taken": max(report.mfcc, report.gram) <= 0.5,
        "no mix": report.mix.share <= 0.7,
        "clean": bool(clean),
    }
    return {
        "chroma": report.chroma,
        "chroma of the mix as near to the style": mixed,
        "chroma of the 50/50 mix": float(chroma_similarity(half, content, sample_rate=rate)),
        "onsets": report.onsets,
        "mfcc": report.mfcc,
        "gram": report.gram,
        "mix share": report.mix.share,
        "flatness": float(flatness[2]),
        "flatness of content and style": [float(value) for value in flatness[:2]],
        **{name: bool(value) for name, value in met.items()},
        "passed": bool(all(met.values())),
    }


def row(name: str, rows: list[dict]) -> dict[str, str | float]:
    """One line of the table from the pairs of a style, or of all."""

    def median(key: str) -> float:
        return round(float(np.median([one[key] for one in rows])), 2)

    def share(key: str) -> str:
        return f"{sum(one[key] for one in rows)} of {len(rows)}"

    return {
        "style": name,
        "chroma": median("chroma"),
        "of the mix": median("chroma of the mix as near to the style"),
        "MFCC distance": median("mfcc"),
        "Gram distance": median("gram"),
        "mix share": median("mix share"),
        "flatness": round(float(np.median([one["flatness"] for one in rows])), 3),
        **{key: share(key) for key in ("kept", "taken", "no mix", "clean", "passed")},
    }


def main() -> None:
    """Prints and records the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("music", type=pathlib.Path)
    parser.add_argument("ambience", type=pathlib.Path)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--hard", type=int, default=1000, help="iterations of transfers that seek NaN; 0 has none")
    parser.add_argument("--extractors", action="store_true")
    parser.add_argument("--picture", type=pathlib.Path)
    parser.add_argument("--sounds", type=pathlib.Path, help="folder for the results as wav files")
    asked = parser.parse_args()
    transfers = Transfers(load(asked.run))
    if asked.extractors:
        extractors(transfers, pairs_of(asked.music, asked.ambience)[:: len(STYLES) + 1], asked.iterations)
        return
    if asked.picture:
        picture(
            transfers,
            [pairs_of(asked.music, asked.ambience)[number] for number in _SHOWN],
            asked.iterations,
            asked.picture,
        )
        return
    sets = {
        "tuned on": pairs_of(asked.music, asked.ambience),
        "others": pairs_of(asked.music, asked.ambience, OTHER_PIECES, OTHER_STYLES),
    }
    ways = {
        "closed map": {"iterations": 0},
        "descent from it": {"iterations": asked.iterations},
        "descent from content": {"iterations": asked.iterations, "start": style.STARTS.index("content"), "rate": _FAR},
    }
    transfers(sets["tuned on"][:_AT_ONCE], iterations=0)  # compiled before anything is timed
    table, details = [], []
    for of, pairs in sets.items():
        for way, values in ways.items():
            began = time.perf_counter()
            features, _, _ = transfers(pairs, **values)
            seconds = (time.perf_counter() - began) / len(pairs)
            rows = judge(transfers, pairs, features, asked.sounds if way == "descent from it" else None)
            table.append({"pairs": of, "way": way, **row("", rows), "seconds a pair": round(seconds, 3)})
            del table[-1]["style"]
            details += [{"pairs": of, "way": way, **one} for one in rows]
            if (of, way) == ("tuned on", "descent from it"):
                by_style = [row(name, [one for one in rows if one["style"] == name]) for name in STYLES]
                about = f"36 pairs of 5 s, {asked.iterations} iterations of Adam; medians over pairs."
                record("transfer", table=[*by_style, row("all", rows)], seed=0, about=about)
                print(markdown([*by_style, row("all", rows)]))
    print(markdown(table))
    about = f"36 pairs of 5 s each, {asked.iterations} iterations where it descends; medians over pairs; seconds of "
    about += "nine pairs at once, with reading and without compilation and phase."
    record("transfer_ways", table=table, seed=0, about=about, details=details)
    starts(transfers, sets["tuned on"], asked.iterations, asked.hard)
    seconds_of_long_pair(transfers, asked.music / "country.mp3", asked.ambience / "train.ogg", asked.iterations)


def judge(
    transfers: Transfers, pairs: list[tuple[str, str]], features: np.ndarray, sounds: pathlib.Path | None = None
) -> list[dict]:
    """The criteria of every pair, whose sounds are written into a folder if one is given."""
    rate, found = transfers.experiment.features.sample_rate, []
    waves = {path: transfers.clip(path) for pair in pairs for path in pair}
    for (piece, own), result in zip(pairs, transfers.heard(features), strict=True):
        names = {"content": pathlib.Path(piece).name, "style": pathlib.Path(own).name}
        tonal = names["style"] in TONAL
        found.append(names | judged(waves[piece], waves[own], result, rate=rate, tonal=tonal))
        if sounds:
            stem = f"{pathlib.Path(piece).stem}_as_{pathlib.Path(own).stem}.wav"
            audio.write(sounds / stem, result, sample_rate=rate)
    return found


def picture(transfers: Transfers, pairs: list[tuple[str, str]], iterations: int, path: pathlib.Path) -> None:
    """Draws content, style, and what the closed map and a descent from it make of them, a pair a row."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    from mgen import dsp

    rate = transfers.experiment.features.sample_rate
    ways = [transfers.heard(transfers(pairs, iterations=count)[0]) for count in (0, iterations)]
    figure, axes = plt.subplots(len(pairs), 4, figsize=(12, 2.2 * len(pairs)), sharex=True, sharey=True)
    for row, pair, *made in zip(axes, pairs, *ways, strict=True):
        names = [pathlib.Path(name).stem for name in pair]
        waves = dict(zip((*names, "closed map", "descent"), (*map(transfers.clip, pair), *made), strict=True))
        for axis, (name, wave) in zip(row, waves.items(), strict=True):
            mel = np.asarray(dsp.mel_spectrogram(wave, sample_rate=rate, n_fft=2048, hop_length=256, n_mels=128))
            level = 10 * np.log10(np.maximum(mel / mel.max(), 1e-8))
            axis.imshow(level.T, origin="lower", aspect="auto", cmap="magma", vmin=-80, vmax=0)
            axis.set_title(name, fontsize=8)
            axis.set_xticks([])
            axis.set_yticks([])
    figure.tight_layout()
    figure.savefig(path, dpi=70)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


def extractors(transfers: Transfers, pairs: list[tuple[str, str]], iterations: int) -> None:
    """What extracts the style: layers that nothing was trained for, a network as it began, and as it was trained."""
    blocks = len(transfers.experiment.model.widths)
    content = {"start": style.STARTS.index("content"), "rate": _FAR}
    none = {"style_bands": 0.0, "style_timbre": 0.0, **content}
    network = none | {f"style_conv{number}": 1.0 for number in range(1, blocks + 1)}
    ways = {
        "bands and timbre": content,
        "texture, random": none | {"style_texture": 1.0},
        "network, as it began": network | {"fresh": True},
        "network, trained": network,
    }
    table, details = [], []
    for name, values in ways.items():
        features, _, _ = transfers(pairs, iterations=iterations, **values)
        rows = judge(transfers, pairs, features)
        details.append({"layers": name, "pairs": rows})
        own = row(name, rows)
        table.append({"layers of the style": own.pop("style"), **own})
    print(markdown(table))
    about = f"Six pairs of 5 s, {iterations} iterations from the content."
    record("transfer_extractors", table=table, seed=0, about=about, details=details)


def starts(transfers: Transfers, pairs: list[tuple[str, str]], iterations: int, hard: int) -> None:
    """How far the loss falls from every start, and whether all stays finite for long."""
    table = []
    asked = [("transport", {"iterations": iterations})]
    asked += [(name, {"iterations": 2 * iterations, "rate": _FAR}) for name in style.STARTS if name != "transport"]
    if hard:
        asked.append(("random", {"iterations": hard, "rate": 0.2}))
    for name, values in asked:
        features, before, after = transfers(pairs, start=style.STARTS.index(name), **values)
        ratio = after / before
        table.append({
            "start": name,
            "iterations": values["iterations"],
            "loss falls by, median %": round(100 * float(1 - np.median(ratio)), 1),
            "least %": round(100 * float(1 - np.max(ratio)), 1),
            "by half or more": f"{int(np.sum(ratio <= 0.5))} of {len(ratio)}",
            "finite": f"{int(np.sum(np.isfinite(features).all(axis=(1, 2))))} of {len(ratio)}",
        })  # fmt: skip
    print(markdown(table))
    about = (
        "36 pairs; from transport at the default rate of 0.02, from others at 0.05, the long descent at 0.2. Losses "
    )
    about += "are before what is hardly above the floor is silenced."
    record("transfer_starts", table=table, seed=0, about=about)


def seconds_of_long_pair(transfers: Transfers, piece: pathlib.Path, own: pathlib.Path, iterations: int) -> None:
    """How long half a minute takes from two files to a wave, the first time and once it was compiled."""
    asked = panel.settle(transfers.knobs, {}, count=1, rng=np.random.default_rng(0), vary=False)
    asked |= {"content": np.array([str(piece)], object), "style": np.array([str(own)], object)}
    asked |= {"seconds": np.array([30.0], np.float32), "iterations": np.array([iterations], np.float32)}
    took = []
    for _ in range(2):
        began = time.perf_counter()
        made = generate(transfers.experiment, transfers.spec, transfers.variables, asked, seed=0)
        took.append(round(time.perf_counter() - began, 1))
    table = [{"seconds of sound": made.shape[1] / transfers.experiment.features.sample_rate, "iterations": iterations,
              "first, s": took[0], "again, s": took[1]}]  # fmt: skip
    print(markdown(table))
    record(
        "transfer_time", table=table, seed=0, about="One pair, with reading and phase; other work on the same cores."
    )


if __name__ == "__main__":
    main()
