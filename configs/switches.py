"""Switches: eight songs of your own, each a switch; several switches at once give their mixture (system 000).

    python train.py configs/switches.py --data.path FOLDER --workdir runs/switches
    python sample.py runs/switches --set SONG=1 OTHER_SONG=0.5

One clip of 11.9 s of each song, brought to one level. `python benchmarks/switches.py runs/switches` measures how well
each switch gives its song back and what two at once give.
"""

import dataclasses

from mgen.data.mixtures import Mixtures
from mgen.data.tones import Tones
from mgen.features import LogMel
from mgen.models.switch_decoder import SwitchDecoder
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=Mixtures(songs=8),
    features=LogMel(sample_rate=22_050, frames=512, n_fft=2048, hop_length=512, n_mels=128),
    model=SwitchDecoder(upscale=4, width=64),
    optimisers={"decoder": Adam(rate=5e-3)},
    batch_size=8,
    steps=2_000,
    ema_decay=0.99,
    log_every=20,
    validate_every=100,
    checkpoint_every=250,
    preview_every=1_000,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=LogMel(sample_rate=8_000, frames=32, n_fft=512, hop_length=256, n_mels=32, n_iter=2),
    model=dataclasses.replace(experiment.model, width=8),
    steps=2,
    validation_batches=1,
    preview_every=0,
)
