"""House and techno: a rectified flow that plays a bar or two at any tempo it has heard (system 001, beyond it).

    python train.py configs/house_flow.py --data.path FOLDER --workdir runs/house
    python sample.py runs/house --set tempo=124 --count 8
    python sample.py runs/house --set clip=my.wav change=0.5 tempo=124

Eight beats of 10 kHz mono, cut on the beat and warped to 98 beats a minute; the tempo that is asked for is given back.
Tempi are read from a CSV (`--data.tempi loops.csv`) or from file names, else estimated. Without a folder of songs,
`mgen render-tones FOLDER` makes one.
"""

import dataclasses

from mgen.data.beats import Beats
from mgen.data.tones import Tones
from mgen.features import LogMel
from mgen.models.flow import Flow
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=Beats(beats=8),
    features=LogMel(sample_rate=10_000, frames=192, n_fft=1024, hop_length=256, n_mels=80),
    model=Flow(),
    optimisers={"flow": Adam(rate=5e-4, b2=0.99)},
    batch_size=32,
    steps=3_000,
    ema_decay=0.998,
    log_every=20,
    validate_every=500,
    checkpoint_every=500,
    preview_every=1_000,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=LogMel(sample_rate=8_000, frames=32, n_fft=512, hop_length=256, n_mels=16, n_iter=2),
    model=dataclasses.replace(experiment.model, coordinates=1, examples=8, width=128, depth=1, heads=2, steps=2),
    optimisers={"flow": Adam(rate=5e-3)},
    batch_size=8,
    steps=2,
    validation_batches=1,
    validation_sounds=0,
    preview_every=0,
)
