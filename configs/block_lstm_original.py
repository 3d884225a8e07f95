"""A song continued: the original's network of 53,574,178 parameters on its own features (system 002), to compare with.

    python train.py configs/block_lstm_original.py --data.path FOLDER --workdir runs/blocks_original
    python sample.py runs/blocks_original --set seed_clip=a.mp3

Forty blocks of a quarter of a second, each told by the real and the imaginary part of all its Fourier transform as it
comes; squared error, RMSprop, one clip at a time, silence asked for after the last block. It learns little:
configs/block_lstm.py is the one to use.
"""

import dataclasses

from mgen.data.folder import Folder
from mgen.data.tones import Tones
from mgen.features import FftBlocks
from mgen.models.block_lstm import BlockLstm
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam, RmsProp

experiment = Experiment(
    data=Folder(crop="grid"),
    features=FftBlocks(sample_rate=44_100, blocks=40, block=11_025, layout="full", scale=105.0, tilt=0.0),
    model=BlockLstm(width=1024, head="point", loss="l2", own=0.0, truncate=0, silence_after=True, examples=4),
    optimisers={"blocks": RmsProp()},
    batch_size=1,
    steps=2_000,
    ema_decay=0.0,
    validate_every=500,
    checkpoint_every=1_000,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=FftBlocks(sample_rate=8_000, blocks=10, block=101, layout="full", scale=10.0, tilt=0.0),
    model=dataclasses.replace(experiment.model, width=64),
    optimisers={"blocks": Adam(rate=1e-2)},
    batch_size=4,
    steps=2,
    validation_batches=1,
    validation_sounds=0,
    preview_every=0,
)
