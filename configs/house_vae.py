"""House and techno: a variational autoencoder of eight beats (system 001).

    python train.py configs/house_vae.py --data.path FOLDER --workdir runs/house_vae
    python sample.py runs/house_vae --set tempo=124 --count 8
    python sample.py runs/house_vae --set clip=a.wav clip_to=b.wav mix=0.5 tempo=124

Data and features are those of configs/house_flow.py.
"""

import dataclasses

from mgen.data.beats import Beats
from mgen.data.tones import Tones
from mgen.features import LogMel
from mgen.models.vae import Vae
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam

experiment = Experiment(
    data=Beats(beats=8),
    features=LogMel(sample_rate=10_000, frames=192, n_fft=1024, hop_length=256, n_mels=80),
    model=Vae(),
    optimisers={"vae": Adam(rate=5e-4, b2=0.99)},
    batch_size=32,
    steps=3_000,
    ema_decay=0.998,
    log_every=20,
    validate_every=500,
    checkpoint_every=500,
    preview_every=3_000,
)

# Two tiny steps for the tests, on the synthetic music so that no folder is needed.
smoke = dataclasses.replace(
    experiment,
    data=Tones(clips=8, validation_clips=4),
    features=LogMel(sample_rate=8_000, frames=32, n_fft=512, hop_length=256, n_mels=16, n_iter=2),
    model=dataclasses.replace(
        experiment.model, latent=2, coordinates=6, examples=8, width=32, depth=1, components=2, warmup=0
    ),
    optimisers={"vae": Adam(rate=5e-3)},
    batch_size=8,
    steps=2,
    validation_batches=1,
    validation_sounds=0,
    preview_every=0,
)
