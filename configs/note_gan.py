"""Notes: a conditional GAN, that plays a wanted pitch of a wanted family, as hard and in as large a room as wanted.

    mgen render-notes FluidR3_GM.sf2 notes --also TimGM6mb.sf2 MuseScore_General_Lite.sf3 OPL-3_FM_128M.sf2
    python train.py configs/note_gan.py --data.path notes --workdir runs/note_gan
    python sample.py runs/note_gan --set pitch=60 family=flute velocity=0.8 reverb=0.5 --count 8

System 003. NSynth itself will do as well, if the effect that it has a word for is left out:
`--data.effects low_pass slow_attack`.
The features are decibels up to 8 kHz; the phase is found again. In the end the discriminator learns notes by heart: on
the soundfonts above `--step 3000` plays the wanted pitch more often than the last step.
"""

import dataclasses

from mgen.data.nsynth import NSynth
from mgen.data.tones import Tones
from mgen.features import LogStft
from mgen.models.gan import Gan
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=NSynth(peak=None, effects=("low_pass", "slow_attack", "reverb")),
    features=LogStft(sample_rate=16_000, frames=128, bins=1024, n_fft=2048, hop_length=512),
    model=Gan(),
    optimisers={
        "discriminator": Adam(rate=5e-4, b1=0.0, b2=0.99, clip=0.0),
        "generator": Adam(rate=5e-4, b1=0.0, b2=0.99, clip=0.0),
    },
    batch_size=64,
    steps=4_000,
    ema_decay=0.999,
    log_every=20,
    validate_every=500,
    checkpoint_every=500,
    preview_every=1_000,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=LogStft(sample_rate=8_000, frames=32, bins=64, n_fft=512, hop_length=128, n_iter=2),
    model=dataclasses.replace(experiment.model, latent=4, coordinates=6, examples=8, width=16, depth=1),
    batch_size=8,
    steps=2,
    validation_batches=1,
    validation_sounds=0,
    preview_every=0,
)
