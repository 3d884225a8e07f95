"""What is heard where two clips meet: joined before the phase is found, and in the ways that leave a seam.

    python benchmarks/seams.py ../shared/audio/music

Three consecutive clips (5.9 s of log-mel frames) of each of eight real pieces are made one sound: joined by
`Features.joined` and decoded whole, as `sample.py --then` does; decoded one by one and faded into each other; and
decoded one by one and set end to end. Beside them the whole span decoded at once, without any clip. Around each place
where clips meet, an eighth of a clip long, and everywhere else: the distance of log-mel spectrograms to the recording,
and how much louder the loudest change from one frame to the next is than in the recording (a click is one).
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record

_CLIPS, _SONGS, _SEED = 3, 8, 0


def main() -> None:
    """Prints the table and writes benchmarks/results/seams.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", help="folder of songs")
    asked = parser.parse_args()
    import dataclasses

    import jax
    import numpy as np

    from mgen.data.mixtures import Mixtures
    from mgen.features import LogMel

    features = LogMel(sample_rate=22_050, frames=256, n_mels=128)
    overlap = features.frames // 8
    step = (features.frames - overlap) * features.hop_length
    size = {"sample_rate": features.sample_rate, "samples": 2 * step + features.samples}
    songs = Mixtures(path=asked.songs, songs=_SONGS).open(**size).clips
    clips = np.stack([songs[:, index * step : index * step + features.samples] for index in range(_CLIPS)], axis=1)
    keys = jax.random.split(jax.random.key(_SEED), _CLIPS)
    whole = dataclasses.replace(features, frames=2 * (features.frames - overlap) + features.frames)
    rows: dict[str, list] = {}
    for song, own in zip(songs, clips, strict=True):
        windows = features.encode(own)
        longer, joined = features.joined(windows, overlap=overlap)
        apart = np.stack([np.asarray(features.decode(window, key)) for window, key in zip(windows, keys, strict=True)])
        ways = {
            "no clips: the whole at once": whole.decode(whole.encode(song[: whole.samples]), keys[0]),
            "joined, one phase (ours)": longer.decode(joined, keys[0]),
            "faded as sound": _faded(apart, step),
            "end to end": np.concatenate([*(clip[:step] for clip in apart[:-1]), apart[-1]]),
        }
        for name, wave in ways.items():
            rows.setdefault(name, []).append(_heard(np.asarray(wave), song, features, step, overlap))
    table = [
        {"three clips": name} | {title: round(float(np.mean([row[title] for row in found])), 2) for title in found[0]}
        for name, found in rows.items()
    ]
    about = f"{len(songs)} real pieces, mean; {_CLIPS} clips of {features.samples / features.sample_rate:.1f} s each"
    print(markdown(table))
    print(record("seams", table=table, seed=_SEED, about=about))


def _faded(clips, step: int):
    """Clips [count, samples] whose sound is faded, by amplitude, where they overlap."""
    import numpy as np

    count, samples = clips.shape
    rise = np.linspace(0, 1, samples - step)
    made = np.zeros(step * (count - 1) + samples)
    for index, clip in enumerate(clips):
        weight = np.ones(samples)
        if index:
            weight[: samples - step] = rise
        if index < count - 1:
            weight[step:] = rise[::-1]
        made[index * step : index * step + samples] += weight * clip
    return made.astype(np.float32)


def _heard(wave, song, features, step: int, overlap: int) -> dict[str, float]:
    import numpy as np

    from mgen import dsp

    length = min(len(wave), len(song)) - features.n_fft
    made, real = (
        10
        * np.log10(
            1e-8
            + np.asarray(dsp.mel_spectrogram(sound[:length], sample_rate=22_050, n_fft=1024, hop_length=256, n_mels=64))
        )
        for sound in (wave, song)
    )
    made, real = np.maximum(made, real.max() - 60), np.maximum(real, real.max() - 60)
    near = np.zeros(len(real), bool)
    for index in range(1, _CLIPS):
        start = index * step // 256
        near[start - 8 : start + 2 * overlap + 8] = True
    apart = np.abs(made - real).mean(axis=1)
    rises = [np.maximum(np.diff(mel, axis=0), 0).mean(axis=1) for mel in (made, real)]
    excess = rises[0] - rises[1]
    return {
        "distance where they meet, dB": apart[near].mean(),
        "elsewhere, dB": apart[~near].mean(),
        "largest new onset where they meet, dB": excess[near[1:]].max(),
        "elsewhere": excess[~near[1:]].max(),
    }


if __name__ == "__main__":
    main()
