"""The published genre network's twin on 40 MFCCs: 49,422 numbers (system 004), to compare with.

    python train.py configs/genre_mfcc.py --data.path GTZAN --workdir runs/genre_mfcc
    python sample.py runs/genre_mfcc --count 1 --set content=a.mp3 style=b.ogg style_conv1=1

A transfer goes through its MFCCs, which are a matrix times decibels, so its gradient is a true one.
"""

import dataclasses

from mgen.data.genres import Genres
from mgen.data.tones import Tones
from mgen.features import LogMel
from mgen.models.genre import Genre
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam, Plateau

experiment = Experiment(
    data=Genres(level_db=None),
    features=LogMel(sample_rate=22_050, frames=431, n_fft=1024, hop_length=256, n_mels=128),
    model=Genre(
        sees="mfcc",
        cepstral=40,
        widths=(32,) * 5,
        kernels=(3, 3, 2, 2, 2),
        strides=(2,) * 5,
        padded=False,
        over_time=False,
        masks=0,
        momentum=0.99,
    ),
    optimisers={"genre": Plateau(rate=1e-3, clip=0.0)},
    batch_size=32,
    steps=30 * 169,
    ema_decay=0.0,
    validate_every=169,
    validation_batches=32,
    validation_sounds=0,
    preview_every=0,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=LogMel(sample_rate=8_000, frames=32, n_fft=512, hop_length=256, n_mels=16, n_iter=2),
    model=dataclasses.replace(experiment.model, cepstral=8, widths=(4, 4), kernels=(3, 2), strides=(2, 2), hidden=8),
    optimisers={"genre": Adam(rate=1e-2)},
    batch_size=8,
    steps=2,
    validation_batches=1,
)
