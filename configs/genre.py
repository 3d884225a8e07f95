"""Genres, and the style of one sound on the music of another (system 004).

    python train.py configs/genre.py --data.path FOLDER --workdir runs/genre
    python sample.py runs/genre --count 1 --set content=a.mp3 style=b.ogg iterations=200

FOLDER has a folder for each genre, or is GTZAN, or fma_small with --data.table fma_metadata/tracks.csv. Without any
`mgen render-tones SONGS --songs 128 --tempo 80 150 --pattern house lofi breakbeat techno reggae ambient bossa rock`
makes songs of eight genres: --data.path SONGS --data.table songs.csv --data.column pattern.
"""

import dataclasses

from mgen.data.genres import Genres
from mgen.data.tones import Tones
from mgen.features import LogMel
from mgen.models.genre import Genre
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam, Plateau

experiment = Experiment(
    data=Genres(crop="random"),
    features=LogMel(sample_rate=22_050, frames=431, n_fft=2048, hop_length=256, n_mels=128),
    model=Genre(),
    optimisers={"genre": Plateau(rate=1e-3, weight_decay=1e-2)},
    batch_size=32,
    steps=1_000,
    ema_decay=0.99,
    log_every=10,
    validate_every=50,
    validation_batches=32,
    validation_sounds=0,  # it plays only what a person gives it
    checkpoint_every=100,
    preview_every=0,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=LogMel(sample_rate=8_000, frames=32, n_fft=512, hop_length=256, n_mels=16, n_iter=2),
    model=dataclasses.replace(experiment.model, widths=(4, 4), kernels=(3, 3), strides=(2, 2), hidden=8, masks=1),
    optimisers={"genre": Adam(rate=5e-3)},
    batch_size=8,
    steps=2,
    validation_batches=1,
)
