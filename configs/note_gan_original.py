"""Notes: the conditional GAN of system 003 in its published sizes, to compare with.

    python train.py configs/note_gan_original.py --data.path NSYNTH --workdir runs/note_gan_original
    python sample.py runs/note_gan_original --count 8

Keyboards and organs, real and imaginary part of 127 frames of 127 bins (up to 2 kHz). configs/note_gan.py is the one to
use.
"""

import dataclasses

from mgen.data.nsynth import NSynth
from mgen.data.tones import Tones
from mgen.features import ComplexStft
from mgen.models.original_note_gan import OriginalNoteGan
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=NSynth(families=("keyboard", "organ")),
    features=ComplexStft(sample_rate=16_000, frames=127, bins=127, n_fft=1000, hop_length=500),
    model=OriginalNoteGan(latent=100),
    optimisers={
        "discriminator": Adam(rate=3e-4, decay="none", warmup=0, clip=0.0),
        "generator": Adam(rate=3e-4, decay="none", warmup=0, clip=0.0),
    },
    batch_size=128,
    steps=500,
    ema_decay=0.0,
    log_every=5,
    validate_every=50,
    checkpoint_every=100,
    preview_every=100,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed; the spectra have the published size.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=ComplexStft(sample_rate=8_000, frames=127, bins=127, n_fft=254, hop_length=127),
    model=dataclasses.replace(experiment.model, width=4),
    batch_size=8,
    steps=2,
    validation_batches=1,
    validation_sounds=0,
    preview_every=0,
)
