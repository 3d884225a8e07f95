"""Sliders: six seconds of synthetic house whose tempo, brightness and levels can be turned (system 000).

    python train.py configs/sliders.py --workdir runs/sliders
    python sample.py runs/sliders --set tempo=135 bass=1 brightness=0.2

What the sliders should do is known, so `mgen evaluate runs/sliders` says whether they do it.
"""

import dataclasses

from mgen.data.tones import Tones
from mgen.features import LogMel
from mgen.models.switch_decoder import SwitchDecoder
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=Tones(pattern=("house",), tempo=(110.0, 140.0), key=("A",), pitch=(72, 72), clips=4_096),
    features=LogMel(sample_rate=22_050, frames=256, n_fft=2048, hop_length=512, n_mels=128),
    model=SwitchDecoder(upscale=4, width=32),
    optimisers={"decoder": Adam(rate=5e-3, warmup=20)},
    batch_size=16,
    steps=1_500,
    ema_decay=0.98,
    log_every=20,
    validate_every=250,
    checkpoint_every=500,
    preview_every=0,
)

# Two tiny steps for the tests.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=LogMel(sample_rate=8_000, frames=32, n_fft=512, hop_length=256, n_mels=32, n_iter=2),
    model=dataclasses.replace(experiment.model, width=4),
    batch_size=8,
    steps=2,
    validation_batches=1,
)
