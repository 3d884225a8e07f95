"""Notes: a deep autoencoder of single notes, whose decoder makes new ones (system 003).

    mgen render-notes FluidR3_GM.sf2 notes --also TimGM6mb.sf2 MuseScore_General_Lite.sf3 OPL-3_FM_128M.sf2
    python train.py configs/note_autoencoder.py --data.path notes --workdir runs/notes
    python sample.py runs/notes --set axis_1=2 --count 8
    python sample.py runs/notes --set clip=my.wav clip_to=other.wav mix=0.5

NSynth itself will do as well. The features are decibels of the lowest 4 kHz; the phase is found again.
`--data.pitch 60 60 --data.held-out notes --data.blend 0 --model.loudness 2` is the original's own task, one pitch.
"""

import dataclasses

from mgen.data.nsynth import NSynth
from mgen.data.tones import Tones
from mgen.features import LogStft
from mgen.models.autoencoder import Autoencoder
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=NSynth(peak=0.5, blend=0.3),
    features=LogStft(sample_rate=16_000, frames=128, bins=512, n_fft=2048, hop_length=512),
    model=Autoencoder(latent=128, coordinates=1024),
    optimisers={"autoencoder": Adam(rate=5e-4, b2=0.99)},
    batch_size=64,
    steps=4_000,
    ema_decay=0.998,
    log_every=20,
    validate_every=500,
    checkpoint_every=1_000,
    preview_every=4_000,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=LogStft(sample_rate=8_000, frames=32, bins=64, n_fft=512, hop_length=128, n_iter=2),
    model=dataclasses.replace(
        experiment.model, latent=2, coordinates=8, examples=8, width=256, depth=1, components=2, sliders=2
    ),
    batch_size=8,
    steps=2,
    validation_batches=1,
    validation_sounds=0,
    preview_every=0,
)
