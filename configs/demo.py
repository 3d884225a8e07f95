"""Demo: sliders to twelve seconds of synthetic house music, trained in a few hundred steps.

    python train.py                                   # this experiment, into runs/demo
    python sample.py runs/demo --set drums=1 bass=0.5

A pixel-shuffle decoder (system 000) learns what the sliders of the built-in synthesiser do, from sound alone.
"""

import dataclasses

from mgen.data.tones import Tones
from mgen.features import LogMel
from mgen.models.switch_decoder import SwitchDecoder
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=Tones(tempo=(122.0, 122.0), key=("A",), pitch=(72, 72)),
    features=LogMel(sample_rate=22_050, frames=512, n_fft=2048, hop_length=512, n_mels=128),
    model=SwitchDecoder(upscale=4, width=32),
    optimisers={"decoder": Adam(rate=5e-3, warmup=20)},
    batch_size=8,
    steps=300,
    ema_decay=0.98,
    log_every=10,
    validate_every=100,
    checkpoint_every=150,
    preview_every=0,
)

smoke = dataclasses.replace(
    experiment,
    features=LogMel(sample_rate=8_000, frames=64, n_fft=512, hop_length=256, n_mels=32, n_iter=4),
    model=dataclasses.replace(experiment.model, width=8),
    steps=2,
    validation_batches=1,
)
