"""Notes: the deep autoencoder on the original's features and task, to compare with (system 003).

    python train.py configs/note_autoencoder_original.py --data.path NOTES --workdir runs/notes_original
    python sample.py runs/notes_original --count 8

Real and imaginary part of 128 frames of 128 bins (up to 2 kHz), one pitch, notes held out. A phase is different in
every note, and few numbers cannot tell it: configs/note_autoencoder.py is the one to use.
"""

import dataclasses

from mgen.data.nsynth import NSynth
from mgen.data.tones import Tones
from mgen.features import ComplexStft
from mgen.models.autoencoder import Autoencoder
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=NSynth(pitch=(60, 60), held_out="notes", peak=0.5),
    features=ComplexStft(sample_rate=16_000, frames=128, bins=128, n_fft=1000, hop_length=500),
    model=Autoencoder(latent=128, coordinates=512, within=(64, 192), width=512, components=2, floor=False),
    optimisers={"autoencoder": Adam(rate=5e-4, b2=0.99)},
    batch_size=64,
    steps=600,
    ema_decay=0.99,
    log_every=20,
    validate_every=100,
    checkpoint_every=200,
    preview_every=600,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=ComplexStft(sample_rate=8_000, frames=32, bins=64, n_fft=512, hop_length=128),
    model=dataclasses.replace(
        experiment.model, latent=2, coordinates=8, examples=8, width=256, depth=1, components=2, sliders=2
    ),
    batch_size=8,
    steps=2,
    validation_batches=1,
    validation_sounds=0,
    preview_every=0,
)
