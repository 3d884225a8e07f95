"""Which upscale factor r should the pixel shuffle have: system 000's open question, by training every one.

    python benchmarks/upscale_factor.py SONGS [--steps 300] [--seconds 30]      # half an hour on two cores

`upscale_factor`: the decoder of switches (eight songs of the folder) and of sliders (the demo's: levels, brightness and
pattern of `Tones` at one tempo, key and pitch, because each further tempo would be a grid of its own) to 256 x 128
log-mel frames, for r of 2 to 64, each as wide as makes its parameters nearest to one number, over three seeds: the
error of held-out mixtures after equal steps and after equal time (stepping alone, compilation not counted), with half
of a 95 % interval; the same error of eight of the sounds that these are turned into ("heard", first seed; one sound of
each is written to --out); milliseconds a step, and the memory of one; and the checkerboard: how far the error's
spectrum stands out at the frequencies of the period r, over frames and over bands, in dB beside the frequencies next to
them. All decoders see the same pool of encoded clips in the same order.

`upscale_peaks`: the published estimate of r, the mean spacing of the peaks of mel spectra that were smoothed with a
Hann window as long as the root of the bands, for the songs and for white noise: if noise has the same "r", the
estimate measures its window.

Draws docs/figures/upscale_factor.png and docs/figures/upscale_factor_spectrograms.png.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import ROOT, markdown, record

FACTORS, SEEDS = (2, 4, 8, 16, 32, 64), (0, 1, 2)
PARAMETERS, BATCH, POOL, HEARD = 1_000_000, 8, 512, 8
BANDS = (128, 256, 376)  # of the published estimate
FIGURES = ROOT / "docs" / "figures"


def main() -> None:
    """Prints the tables, writes both results and draws the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", help="folder of songs")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs" / "upscale_factor", help="folder of sounds")
    asked = parser.parse_args()
    import jax
    import numpy as np

    from mgen import audio, parallel
    from mgen.data.mixtures import Mixtures
    from mgen.data.tones import Tones
    from mgen.features import LogMel

    features = LogMel(sample_rate=22_050, frames=256, n_mels=128)
    size = {"sample_rate": features.sample_rate, "samples": features.samples}
    tones = Tones(tempo=(122.0, 122.0), key=("A",), pitch=(72, 72))  # as in the demo
    sources = {"switches": Mixtures(path=asked.songs, songs=8).open(**size), "sliders": tones.open(**size)}
    rows, pictures = [], {}
    for name, corpus in sources.items():
        pools = {split: _pool(features, corpus, split, count) for split, count in (("train", POOL), ("validation", 64))}
        for factor in FACTORS:
            found, about, made = _trained(features, corpus, pools, factor, asked.steps, asked.seconds)
            row = {"data": name, "r": factor} | about
            for title in ("error, equal steps, dB", "error, equal time, dB"):
                errors = [numbers[title] for numbers in found]
                half = 4.303 * np.std(errors, ddof=1) / np.sqrt(len(errors))  # Student's t of two degrees of freedom
                row[title] = f"{np.mean(errors):.2f} ± {half:.2f}"
            row["steps in that time"] = round(float(np.mean([numbers["steps"] for numbers in found])))
            sounds = np.asarray(parallel.spread(features.decode, made, jax.random.split(jax.random.key(0), len(made))))
            heard = np.abs(
                np.asarray(parallel.spread(features.encode, sounds)) - pools["validation"]["features"][:HEARD]
            )
            row["heard, dB"] = round(-features.floor_db / 2 * float(heard.mean()), 2)
            audio.write(asked.out / f"{name}_r{factor}.wav", sounds[0], sample_rate=features.sample_rate)
            row["checkerboard, dB"] = round(float(np.mean([numbers["checkerboard"] for numbers in found])), 1)
            rows.append(row)
            pictures[name, factor] = made[0]
            print(markdown([row]), flush=True)
        pictures[name, "real"] = pools["validation"]["features"][0]
    about = (
        f"{asked.steps} steps, or {asked.seconds:g} s of stepping, of {BATCH} clips of {features.frames} frames; "
        f"held-out mixtures of two songs, or held-out settings; {len(SEEDS)} seeds"
    )
    print(record("upscale_factor", table=rows, seed=SEEDS[0], about=about))
    peaks = _peaks(sources["switches"].clips, features.sample_rate)
    print(markdown(peaks))
    print(record("upscale_peaks", table=peaks, seed=0, about="mean spacing of peaks over 4 bands, lower half of them"))
    _draw(rows, pictures)


def _pool(features, corpus, split: str, most: int) -> dict:
    """The first items of a split, encoded."""
    import numpy as np

    from mgen import parallel

    count = min(most, corpus.size(split))
    items = [corpus.item(split, index, np.random.default_rng(index)) for index in range(count)]
    waves, labels = (np.stack([item[key] for item in items]) for key in ("wave", "labels"))
    return {"features": parallel.spread(features.encode, waves), "labels": labels}


def _trained(features, corpus, pools, factor: int, steps: int, seconds: float):
    """Numbers for each seed, what is alike for all of them, and the first clips that the first seed made."""
    import jax
    import numpy as np

    from mgen import parallel
    from mgen.contracts import Spec
    from mgen.models.switch_decoder import SwitchDecoder
    from mgen.training.optimisers import Adam
    from mgen.training.step import averaged, create_state, make_step

    spec = Spec(shape=features.shape, labels=tuple(corpus.labels))

    def parameters(width: int) -> int:
        shapes = jax.eval_shape(
            lambda: SwitchDecoder(upscale=factor, width=width).init(jax.random.key(0), spec)["decoder"]["params"]
        )
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    width = min(range(1, 257), key=lambda width: abs(parameters(width) - PARAMETERS))
    model = SwitchDecoder(upscale=factor, width=width)
    optimisers = {"decoder": Adam(rate=5e-3, decay="none").build(steps)}
    losses = model.losses(spec)
    step = parallel.replicate(
        make_step(losses, optimisers, encode=lambda batch: batch["wave"], ema_decay=0.99), donate=True
    )
    held_out = pools["validation"]
    sample = jax.jit(lambda variables, labels: model.sample(variables, jax.random.key(0), _named(spec, labels), spec))
    scale = -features.floor_db / 2  # dB of one unit of the features

    def judged(state):
        made = np.asarray(sample(jax.device_get(averaged(state)), held_out["labels"]))
        return made, scale * float(np.mean(np.abs(made - held_out["features"])))

    found, first, taken = [], None, []
    for seed in SEEDS:
        state = parallel.place(create_state(model.init(jax.random.key(seed), spec), optimisers))
        rng, numbers, number, stepped = np.random.default_rng(seed), {}, 0, 0.0
        while number < steps or stepped < seconds:
            chosen = rng.integers(len(pools["train"]["labels"]), size=BATCH)
            batch = parallel.split(
                {"wave": pools["train"]["features"][chosen], "labels": pools["train"]["labels"][chosen]}
            )
            before = time.perf_counter()
            state, metrics = step(state, jax.random.key(seed + 1), batch)
            jax.block_until_ready(metrics)
            if number or seed:  # the very first is compilation
                taken.append(time.perf_counter() - before)
                stepped += taken[-1]
            number += 1
            if number == steps:
                made, numbers["error, equal steps, dB"] = judged(state)
                numbers["checkerboard"] = _checkerboard(made - held_out["features"], factor)
                first = made[:HEARD] if first is None else first
            if "steps" not in numbers and stepped >= seconds:
                numbers["error, equal time, dB"], numbers["steps"] = judged(state)[1], number
        found.append(numbers)
    params = model.init(jax.random.key(0), spec)
    batch = {"features": pools["train"]["features"][:BATCH], "labels": pools["train"]["labels"][:BATCH]}
    descent = jax.jit(jax.grad(lambda variables: losses["decoder"](variables, jax.random.key(0), batch, train=True)[0]))
    memory = descent.lower(params).compile().memory_analysis().temp_size_in_bytes
    about = {"width": width, "parameters": parameters(width)}
    about |= {"ms a step": round(1e3 * float(np.median(taken)), 1), "MiB a step": round(memory / 2**20)}
    return found, about, first


def _named(spec, labels):
    return {label.name: labels[:, index] for index, label in enumerate(spec.labels)}


def _checkerboard(error, period: int) -> float:
    """How far an error's power [clips, frames, bands] at multiples of 1 / period stands out beside its neighbours, dB.

    0 where nothing repeats. Over frames and bands alike, their mean.
    """
    import numpy as np

    found = []
    for axis in (1, 2):
        size = error.shape[axis]
        power = np.square(np.abs(np.fft.rfft(error - error.mean(axis=axis, keepdims=True), axis=axis)))
        power = power.mean(axis=tuple(other for other in range(3) if other != axis))
        at = np.arange(size // period, size // 2, size // period)  # without the highest, which has one neighbour
        if len(at):
            found.append(10 * np.log10(power[at].sum() / (0.5 * (power[at - 1] + power[at + 1])).sum()))
        else:  # of a period of 2 the highest is all there is
            found.append(10 * np.log10(power[-1] / power[-2]))
    return float(np.mean(found))


def _peaks(clips, rate: int) -> list[dict]:
    """The published estimate for songs, for white noise, and for noise under one window whatever the bands."""
    import numpy as np

    noise = np.random.default_rng(0).normal(0, 0.1, clips.shape).astype(np.float32)
    rows = []
    for bands in BANDS:
        row = {"bands": bands, "window": round(np.sqrt(bands))}
        row["songs"] = _spacing(clips, rate, bands, row["window"])
        row["white noise"] = _spacing(noise, rate, bands, row["window"])
        row["white noise, window 11"] = _spacing(noise, rate, bands, 11)
        rows.append(row)
    return rows


def _spacing(waves, rate: int, bands: int, window: int) -> float:
    import numpy as np

    from mgen import dsp

    hann, spacings = np.hanning(window + 2)[1:-1], []
    for wave in waves:
        mel = np.asarray(dsp.mel_spectrogram(wave, sample_rate=rate, n_fft=2048, hop_length=512, n_mels=bands, power=1))
        for frame in mel:
            smooth = np.convolve(frame, hann / hann.sum(), mode="same")
            inside = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] > smooth[2:])
            places = np.flatnonzero(inside)[np.flatnonzero(inside) < bands // 2]
            spacing = np.diff(places)
            spacings.extend(spacing[spacing > 4])
    return round(float(np.mean(spacings)), 2)


def _draw(rows, pictures) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), sharey=False)
    for axis, name in zip(axes, ("switches", "sliders"), strict=True):
        own = [row for row in rows if row["data"] == name]
        for title in ("error, equal steps, dB", "error, equal time, dB"):
            values = [[float(part) for part in row[title].split(" ± ")] for row in own]
            axis.errorbar(
                [row["r"] for row in own],
                [value for value, _ in values],
                [half for _, half in values],
                marker="o",
                label=title.split(", ")[1],
            )
        axis.set(xscale="log", xlabel="upscale factor r", ylabel="held-out error, dB", title=name)
        axis.set_xticks(FACTORS, [str(factor) for factor in FACTORS])
        axis.minorticks_off()
        axis.legend()
    figure.tight_layout()
    figure.savefig(FIGURES / "upscale_factor.png", dpi=100)
    shown = ("real", 2, 8, 64)
    figure, axes = plt.subplots(2, len(shown), figsize=(10, 5), sharex=True, sharey=True)
    for line, name in zip(axes, ("switches", "sliders"), strict=True):
        for axis, factor in zip(line, shown, strict=True):
            axis.imshow(pictures[name, factor].T, origin="lower", aspect="auto", vmin=-1, vmax=1, cmap="magma")
            axis.set(title=f"{name}, {factor if factor == 'real' else f'r = {factor}'}")
    figure.tight_layout()
    figure.savefig(FIGURES / "upscale_factor_spectrograms.png", dpi=80)


if __name__ == "__main__":
    main()
