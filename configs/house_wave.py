"""House and techno: an autoencoder of the waveform, of any number of layers (system 001).

    python train.py configs/house_wave.py --data.path FOLDER --workdir runs/house_wave
    python sample.py runs/house_wave --set tempo=124 --count 8
    python sample.py runs/house_wave --set clip=a.wav clip_to=b.wav mix=0.5 tempo=124

Eight beats of 10 kHz mono as 3,072 numbers, and back. However many `--model.layers` there are they lead to the same
bottleneck: `python benchmarks/wave_layers.py songs=FOLDER --out runs/layers` measures what each is worth. What it makes
of nothing is drawn from a mixture of Gaussians of latents: a rhythm that is learnt, in a haze, as the original heard
it; configs/house_latents.py goes on from here. Two clips a step: many small steps take it further in the same time
than few large ones.
"""

import dataclasses

from mgen.data.beats import Beats
from mgen.data.tones import Tones
from mgen.features import Waveform
from mgen.models.wave_autoencoder import WaveAutoencoder
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=Beats(beats=8),
    features=Waveform(sample_rate=10_000, samples=49_152),
    model=WaveAutoencoder(),
    optimisers={"autoencoder": Adam(rate=1e-3, b2=0.99)},
    batch_size=2,
    steps=3_000,
    ema_decay=0.995,
    log_every=20,
    validate_every=500,
    checkpoint_every=500,
    preview_every=2_000,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=Waveform(sample_rate=8_000, samples=2_048),
    model=dataclasses.replace(experiment.model, layers=2, stride=16, width=16, windows=(256, 64)),
    batch_size=8,
    steps=2,
    validation_batches=1,
    validation_sounds=0,
    preview_every=0,
)
