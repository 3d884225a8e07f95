"""House and techno: a rectified flow of the latents of a waveform autoencoder (system 001, beyond it).

    python train.py configs/house_wave.py --data.path FOLDER --workdir runs/house_wave
    python train.py configs/house_latents.py --data.path FOLDER --base runs/house_wave --workdir runs/house_latents
    python sample.py runs/house_latents --set tempo=124 --count 8
    python sample.py runs/house_latents --set clip=my.wav change=0.5 tempo=124

The first run learns to tell eight beats by 3,072 numbers and to make the wave of them again; the second which numbers
go together. What it makes are waves: no phase has to be found. Data is that of configs/house_wave.py.
"""

import dataclasses

from mgen.data.beats import Beats
from mgen.data.tones import Tones
from mgen.features import Waveform
from mgen.models.flow import Flow
from mgen.models.latent_flow import LatentFlow
from mgen.models.wave_autoencoder import WaveAutoencoder
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=Beats(beats=8),
    features=Waveform(sample_rate=10_000, samples=49_152),
    model=LatentFlow(),
    base="runs/house_wave",
    optimisers={"flow": Adam(rate=5e-4, b2=0.99)},
    batch_size=32,
    steps=3_000,
    ema_decay=0.998,
    log_every=20,
    validate_every=500,
    checkpoint_every=500,
    preview_every=1_000,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed, of an autoencoder at its beginning.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=Waveform(sample_rate=8_000, samples=2_048),
    model=LatentFlow(
        autoencoder=WaveAutoencoder(layers=2, stride=64, width=64, windows=(256, 64)),
        flow=Flow(patch=4, coordinates=1, within=(32, 4), examples=8, width=128, depth=1, heads=2, steps=2),
    ),
    base="",
    optimisers={"flow": Adam(rate=5e-3)},
    batch_size=8,
    steps=2,
    validation_batches=1,
    validation_sounds=0,
    preview_every=0,
)
