"""Which kind of network suits music: an autoencoder of the wave, with and without beats, a GAN, a VAE and a flow.

    mgen render-tones SONGS --songs 48 --seconds 30 --tempo 112 136
    python benchmarks/families.py tones=SONGS --out runs/families [--jobs 4]
    python benchmarks/families.py pieces=PIECES --endings pieces --out runs/pieces --steps 300 --names flow VAE GAN

The same songs, a quarter of the files held out (or with `--endings` of each file), three seeds; how many clips each was
trained on, the table says. Of 128 sounds of each: how strong a rhythm they have, and how many have one that noise of
the same kind has not (p < 0.05); how noisy they are; how far from songs that were held out (Frechet and kernel
distance, all at one level); how near to training clips the median sound is, beside held-out ones; and how many are a
sum of training clips. "Any start" are clips of the same songs at the same tempo, level and labels, cut anywhere. PIECES
is a folder of loops and electronic pieces.
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import record as record_module
from benchmarks.record import markdown, record
from benchmarks.trials import GIVEN, SETS, Trial, main

#: The autoencoders learn from fewer clips at once, and from fewer in all: one costs several times as much.
FAMILIES = {
    "autoencoder, any start": {"config": "house_wave", "aligned": False, "batch_size": 2, "steps": 1_000},
    "autoencoder": {"config": "house_wave", "batch_size": 2, "steps": 1_000},
    "flow": {"config": "house_flow", "batch_size": 16, "steps": 1_500},
    "flow, twice the clips": {"config": "house_flow", "batch_size": 16, "steps": 3_000},
    "VAE, any start": {"config": "house_vae", "aligned": False, "steps": 750},
    "VAE": {"config": "house_vae", "steps": 750},
    "GAN": {"config": "house_gan", "steps": 750},
    "flow of latents": {"config": "house_latents", "base": "autoencoder", "batch_size": 16, "steps": 1_500},
}


#: What the autoencoder makes of clips that it is given, which is what it is trained for.
_THROUGH = {"held out, through the autoencoder": ("autoencoder", GIVEN)}

#: Clips cut on the beat, and anywhere.
PAIRS = (("autoencoder", "autoencoder, any start"), ("VAE", "VAE, any start"))


def trials(folders: list[str], steps: int | None) -> list[Trial]:
    """Every family on every folder; what they are compared with is measured beside the flow."""
    return [
        Trial(
            data=data,
            name=name,
            measured=SETS if name == "flow" else (*SETS[:1], GIVEN) if name == "autoencoder" else SETS[:1],
            **own | ({"steps": steps} if steps else {}),
        )
        for name, own in FAMILIES.items()
        for data in folders
    ]


def tabulate(rows: list[dict], record_as: str) -> None:
    """Prints the table and the tests, and writes benchmarks/results/families*.json, or what they are called.

    What was recorded earlier of other songs or families stays, so that the study can be made in parts.
    """
    before = [_before(record_as), _before(f"{record_as}_alignment")]
    remade = {(row["trial"]["data"], row["trial"]["name"]) for row in rows}
    details = [row for row in before[0]["details"] if (row["trial"]["data"], row["trial"]["name"]) not in remade]
    details = [row for row in details if row["trial"]["name"] in FAMILIES] + [_short(row) for row in rows]
    table, alignment = [], []
    for data in sorted({row["songs"] for row in before[0]["table"]} | {row["trial"]["data"] for row in rows}):
        own = [row for row in rows if row["trial"]["data"] == data]
        old = {row["sounds"]: row for row in before[0]["table"] if row["songs"] == data}
        for name in ("held out", "training", *FAMILIES, *_THROUGH, "mean features", "white noise"):
            owner, made = (name, "generated") if name in FAMILIES else _THROUGH.get(name, ("flow", name))
            some = [row for row in own if row["trial"]["name"] == owner]
            if not some:
                table += [old[name]] if name in old else []
                continue
            scores = [row["scores"][made] for row in some if made in row["scores"]]
            whole = [score for score in scores if "rhythm strength" in score]
            if not scores:
                table += [old[name]] if name in old else []
            elif whole:
                about = {"songs": data, "sounds": name, "clips trained on": "-", "seeds": len(some)}
                table.append(about | _row(whole))
            else:
                print(f"{data}, {name}: all sounds are broken or silent")
        for first, second in PAIRS:
            kept = [row for row in before[1]["table"] if (row["songs"], row["cut on the beat"]) == (data, first)]
            if {(data, first), (data, second)} & remade:
                found = _compared(data, first, second, details)
                kept = [found] if found else []
            alignment += kept
    for entry in table:
        entry |= _cost(entry["songs"], entry["sounds"], details)
    cut = " and ".join(sorted({row["trial"]["data"] for row in details if row.get("endings")}))
    about = "128 sounds a seed: means over seeds, with the mean 95 % interval of a seed's Frechet distance; "
    about += f"of {cut} the last quarter of each file is held out; " if cut else ""
    about += "times are beside other work; what begins from an autoencoder has its clips and minutes too."
    devices = sorted({row["where"]["device"] for row in details})
    where = rows[0]["where"] | {"device": " and ".join(devices)}
    record(record_as, table=table, seed=0, about=about, where=where, details=details)
    if alignment:
        about = "128 sounds a seed: means over seeds; Welch's t-test over seeds, one-sided."
        record(f"{record_as}_alignment", table=alignment, seed=0, about=about, where=rows[0]["where"])
        print(markdown(alignment))
    used = _used(details)
    if used:
        about = "Clips of what is held out, 64 a seed, dropout off; means over seeds."
        record(f"{record_as}_vae", table=used, seed=0, about=about, where=rows[0]["where"])
        print(markdown(used))
    print(markdown(table))


def _cost(data: str, name: str, details: list[dict]) -> dict[str, Any]:
    """Clips and minutes of a family's training, with those of what it begins from, and how long a sound takes."""
    own = [row for row in details if (row["trial"]["data"], row["trial"]["name"]) == (data, name)]
    if not own:
        return {"minutes to train": "-", "ms a sound": "-"}
    trial = own[0]["trial"]
    clips, minutes = trial["steps"] * trial["batch_size"], float(np.mean([row["train_s"] for row in own])) / 60
    if trial.get("base"):
        base = _cost(data, trial["base"], details)
        clips, minutes = clips + base["clips trained on"], minutes + base["minutes to train"]
    sound_s = float(np.mean([row["sample_s"] for row in own]))
    return {"clips trained on": clips, "minutes to train": round(minutes, 1), "ms a sound": round(1_000 * sound_s)}


def _used(details: list[dict]) -> list[dict[str, Any]]:
    """Of every VAE, how much of its latent held-out clips use."""
    table = []
    names = sorted({(row["trial"]["data"], row["trial"]["name"]) for row in details})
    for data, name in names:
        some = [row for row in details if (row["trial"]["data"], row["trial"]["name"]) == (data, name)]
        held_out = [row["held out"] for row in some if "vae/used" in row.get("held out", {})]
        if held_out:
            table.append({
                "songs": data,
                "VAE": name,
                "seeds": len(held_out),
                "dimensions above 0.1 nat, %": round(100 * float(np.mean([h["vae/used"] for h in held_out]))),
                "nats in all": round(float(np.mean([h["vae/divergence"] for h in held_out])), 1),
                "variance lost, %": round(100 * float(np.mean([h["vae/error"] for h in held_out])), 1),
            })  # fmt: skip
    return table


def _before(name: str) -> dict:
    """What the last tabulation recorded; of a first one nothing."""
    path = record_module.RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {"table": [], "details": []}


def _compared(data: str, first: str, second: str, details: list[dict]) -> dict[str, Any] | None:
    """Rhythm strength of clips cut on the beat beside those cut anywhere; None where these were not trained alike."""
    from scipy import stats

    both = [
        [
            row
            for row in details
            if (row["trial"]["data"], row["trial"]["name"]) == (data, name)
            and "rhythm strength" in row["scores"]["generated"]
        ]
        for name in (first, second)
    ]
    budgets = {(row["trial"]["steps"], row["trial"]["batch_size"]) for rows in both for row in rows}
    if min(map(len, both)) < 2 or len(budgets) > 1:
        return None
    strengths = [[row["scores"]["generated"]["rhythm strength"] for row in rows] for rows in both]
    return {
        "songs": data,
        "cut on the beat": first,
        "rhythm strength": round(float(np.mean(strengths[0])), 3),
        "cut anywhere": second,
        "its rhythm strength": round(float(np.mean(strengths[1])), 3),
        "p, over seeds": f"{stats.ttest_ind(*strengths, equal_var=False, alternative='greater').pvalue:.2g}",
        "seeds": len(strengths[0]),
    }


def _row(scores: list[dict]) -> dict[str, str | float]:
    def mean(read, digits: int = 2) -> float | str:
        found = [value for value in (read(score) for score in scores) if value is not None]
        return round(float(np.mean(found)), digits) if found else "-"

    return {
        "rhythm strength": mean(lambda score: np.mean(score["rhythm strength"])),
        "rhythmic, %": mean(lambda score: 100 * score["rhythmic"], 0),
        "tempo within 2 %, %": mean(lambda score: _percent(score.get("tempo right")), 0),
        "flatness": mean(lambda score: np.nanmean(score["flatness"]), 3),
        "harmonic to noise, dB": mean(lambda score: score["harmonic to noise"], 1),
        "clipping, %": mean(lambda score: 100 * score["clipping"], 2),
        "Frechet": _interval([score["frechet to held out"] for score in scores if "frechet to held out" in score]),
        "kernel distance": mean(lambda score: score.get("kernel to held out")),
        "nearest, of held out": mean(
            lambda score: (
                score["nearest"] / score["nearest of held out, lower quartile"] if "nearest" in score else None
            )
        ),
        "copies, %": mean(lambda score: _percent(score.get("copies")), 0),
        "superposed, %": mean(lambda score: _percent(score.get("superposed")), 0),
    }


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _interval(estimates: list[list[float]]) -> str:
    """Mean over seeds, and the mean interval of one seed."""
    if not estimates:
        return "-"
    value, low, high = np.mean(estimates, axis=0)
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def _short(row: dict) -> dict:
    """A row whose lists of a number a clip are their means."""

    def one(value):
        return float(np.nanmean(value)) if isinstance(value, list) and len(value) > 3 else value

    return row | {"scores": {name: {key: one(v) for key, v in own.items()} for name, own in row["scores"].items()}}


if __name__ == "__main__":
    main(__file__, trials, tabulate, __doc__)
