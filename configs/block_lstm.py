"""A song continued: a recurrent network reads it in blocks of 23 ms and goes on from where it ends (system 002).

    python train.py configs/block_lstm.py --data.path FOLDER --workdir runs/blocks
    python sample.py runs/blocks --set seed_clip=a.mp3 seconds=60
    python sample.py runs/blocks --set seed_clip=a.mp3 seed_clip_to=b.mp3 mix=0.5 temperature=0.9

FOLDER holds songs (mp3, wav, flac, ogg), some of which are kept to validate with. A sound goes on from the last of the
first ten seconds of the clip that is given; without one it goes on from two clips of training at once.
"""

import dataclasses

from mgen.data.folder import Folder
from mgen.data.tones import Tones
from mgen.features import FftBlocks
from mgen.models.block_lstm import BlockLstm
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=Folder(),
    features=FftBlocks(sample_rate=22_050, blocks=432, block=512),
    model=BlockLstm(),
    optimisers={"blocks": Adam(rate=2e-3)},
    batch_size=8,
    steps=500,
    ema_decay=0.99,
    log_every=20,
    validate_every=100,
    checkpoint_every=100,
    preview_every=250,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=FftBlocks(sample_rate=8_000, blocks=17, block=128),
    model=dataclasses.replace(experiment.model, width=32, bands=16, truncate=8, recall=16, examples=2),
    optimisers={"blocks": Adam(rate=1e-2)},
    batch_size=4,
    steps=2,
    validation_batches=1,
    validation_sounds=0,
    preview_every=0,
)
