"""Switches as they began: the published dense network from switches to two seconds of waveform, to compare with.

    python train.py configs/switches_original.py --data.path FOLDER --workdir runs/switches_original
    python sample.py runs/switches_original --set SONG=1

605 million parameters for 100 songs: 10 GB to train, and checkpoints of 7 GB. The original saw single songs, fully on,
for 1600 epochs, which are 11,200 steps of 16; here they are mixed as for configs/switches.py, which is the one to use.
"""

import dataclasses

from mgen.data.mixtures import Mixtures
from mgen.data.tones import Tones
from mgen.features import Waveform
from mgen.models.original_switches import OriginalSwitches
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Sgd

experiment = Experiment(
    data=Mixtures(songs=100),
    features=Waveform(sample_rate=16_000, samples=32_768),
    model=OriginalSwitches(),
    optimisers={"decoder": Sgd(rate=0.05, momentum=0.9)},
    batch_size=16,
    steps=11_200,
    ema_decay=0.0,
    log_every=20,
    validate_every=200,
    checkpoint_every=800,
    preview_every=0,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=Waveform(sample_rate=8_000, samples=2_048),
    model=dataclasses.replace(experiment.model, widths=(8, 16, 32)),
    batch_size=8,
    steps=2,
    validation_batches=1,
)
