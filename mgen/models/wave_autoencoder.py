"""System 001: an autoencoder of the waveform itself, and how many layers it wants.

    wave [batch, samples] -> layers of strided convolutions -> latent [batch, samples / stride, channels] -> mirrored

The original (whose text names no layer: these are of our design) added layers one by one and heard loud distorted noise
with a quiet rhythm behind it. Here the bottleneck stays what it is, `channels` numbers for every `stride` samples,
however many layers lead to it: so what another layer is worth can be measured. The loss is that of the wave and that of
its spectrograms at several sizes: the first alone gives the mean of all phases that a sound might have, which is
silence where it is high.

The latents of training clips are remembered as one Gaussian of the whole clip, all places and channels with each other,
so that the decoder can be asked for new ones: a beat that is at the same place in all clips is in its mean, and what
goes with what in its covariance. It is no music: what a clip is beyond its Gaussian, this prior does not know.

Reference: Defossez et al., "High fidelity neural audio compression", TMLR 2023, and Zeghidour et al., "SoundStream",
  TASLP 2021 (the shape, without quantisation); Yamamoto, Song & Kim, "Parallel WaveGAN", ICASSP 2020 (the loss).
"""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls, losses
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables
from mgen.layers import sub_pixel_init

_MOST = 4096  # numbers of a clip's latent: their covariance has the square of that
_RIDGE = 1e-3  # of the mean variance, added to every number of a latent
_KERNEL = 7  # of a residual block


class Residual(nn.Module):
    """x + convolutions over `_KERNEL` places, `dilation` apart: [batch, places, channels]; at first it adds little."""

    dilation: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Refines x."""
        channels = x.shape[-1]
        y = nn.Conv(channels, (_KERNEL,), kernel_dilation=self.dilation)(nn.gelu(nn.LayerNorm()(x)))
        return x + nn.Conv(channels, (1,), kernel_init=nn.initializers.normal(0.01))(nn.gelu(y))


class Encoder(nn.Module):
    """Waves to latents: [batch, samples] to [batch, samples / product of strides, channels]."""

    strides: tuple[int, ...]
    width: int
    channels: int

    @nn.compact
    def __call__(self, wave: Array) -> Array:
        """Encodes waves; each layer has the root of its stride more channels than the one before."""
        x, width = wave[..., None], float(self.width)
        for stride in self.strides:
            width *= stride**0.5
            x = nn.Conv(round(width), (2 * stride,), stride)(x)  # [batch, places / stride, width]
            x = Residual(3)(Residual(1)(x))
        return nn.Conv(self.channels, (3,))(nn.gelu(x))


class Decoder(nn.Module):
    """Latents and conditions to waves: [batch, places, channels], [batch, conditions] to [batch, samples]."""

    strides: tuple[int, ...]
    width: int

    @nn.compact
    def __call__(self, latent: Array, conditions: Array) -> Array:
        """Decodes latents."""
        width = self.width * float(np.prod(self.strides)) ** 0.5
        x = nn.Conv(round(width), (3,))(latent) + nn.Dense(round(width))(conditions)[:, None]
        for layer, stride in enumerate(reversed(self.strides), 1):
            x = Residual(3)(Residual(1)(x))
            width /= stride**0.5
            # The last layer makes samples: nothing is computed for each of them but the wave itself.
            count = 1 if layer == len(self.strides) else round(width)
            x = nn.Conv(count * stride, (3,), kernel_init=sub_pixel_init(stride, power=1))(nn.gelu(x))
            x = x.reshape(len(x), -1, count)  # [batch, places * stride, count]: a pixel shuffle in one dimension
        return x[..., 0]


@dataclasses.dataclass(frozen=True)
class WaveAutoencoder:
    """Convolutional autoencoder of one clip's waveform (system 001)."""

    layers: int = 3
    """Strided convolutions on either side."""
    stride: int = 64
    """Samples for each place of the latent, a power of two; all layers together."""
    channels: int = 4
    """Numbers at each place."""
    width: int = 12
    """Channels of a layer are this times the root of the samples at each of its places."""
    spectral: float = 1.0
    """What the error of the spectrograms counts, beside that of the wave."""
    windows: tuple[int, ...] = (1024, 512, 128)
    """Frames of these spectrograms, samples; they overlap by three quarters."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        for name, least in {"layers": 1, "stride": 2, "channels": 1, "width": 1, "spectral": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"model.{name}: expected at least {least}, got {getattr(self, name)}")
        doublings = self.stride.bit_length() - 1
        if self.stride != 1 << doublings or self.layers > doublings:
            raise ValueError(
                f"model.stride: expected a power of two, at least 2**layers={2**self.layers}, got {self.stride}"
            )
        if not self.windows or min(self.windows) < 4:
            raise ValueError(f"model.windows: expected some of 4 samples or more, got {self.windows}")

    @property
    def strides(self) -> tuple[int, ...]:
        """Of each layer, powers of two as equal as can be; the larger ones at the wave."""
        doublings, more = divmod(self.stride.bit_length() - 1, self.layers)
        return tuple(2 ** (doublings + (number < more)) for number in range(self.layers))

    def _networks(self) -> tuple[Encoder, Decoder]:
        return Encoder(self.strides, self.width, self.channels), Decoder(self.strides, self.width)

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the features are no waves, or these are no whole strides."""
        if len(spec.shape) != 1 or spec.shape[0] % self.stride:
            raise ValueError(
                f"model: expected features of samples, a multiple of model.stride={self.stride}, such as Waveform's; "
                f"they are {spec.shape}"
            )
        size = spec.shape[0] // self.stride * self.channels
        if size > _MOST:
            raise ValueError(
                f"model.channels: a clip's latent would be {size} numbers, and {_MOST} are the most; "
                "take fewer, a longer model.stride or shorter clips"
            )
        if max(self.windows) // 2 >= spec.shape[0]:
            raise ValueError(f"model.windows: {max(self.windows)} samples are too long for clips of {spec.shape[0]}")
        encoder, decoder = self._networks()
        first, second = jax.random.split(rng)
        conditions = controls.encode(spec.labels, jnp.zeros((1, len(spec.labels))))
        latent = jnp.zeros((1, size // self.channels, self.channels))
        params = {
            "encoder": encoder.init(first, jnp.zeros((1, *spec.shape)))["params"],
            "decoder": decoder.init(second, latent, conditions)["params"],
        }
        memory = {"step": jnp.zeros(()), "mean": jnp.zeros(size), "covariance": jnp.eye(size)}
        return {"autoencoder": {"params": params, "memory": memory}}

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player, descending the error of the wave and of its spectrograms."""
        return {"autoencoder": functools.partial(self._loss, spec)}

    def _loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        wave = batch["features"]
        latent = self.encode(variables, wave, spec)
        rebuilt = self.decode(variables, latent, controls.encode(spec.labels, batch["labels"]))
        of_wave = losses.l1(rebuilt, wave)
        of_spectra = losses.multi_resolution_stft(rebuilt, wave, sizes=self.windows)
        metrics = {
            "wave": of_wave,
            "spectra": of_spectra,
            "signal_to_noise_db": losses.signal_to_noise_db(rebuilt, wave),
        }
        updates = {"memory": _seen(variables["autoencoder"]["memory"], latent)} if train else {}
        # A wave's own loudness is what its error is measured by, so that quiet clips count as much as loud ones.
        loudness = jnp.mean(jnp.abs(wave)) + 1e-4
        return LossOutput(of_wave / loudness + self.spectral * of_spectra, metrics, updates)

    def encode(self, variables: Variables, features: Array, spec: Spec) -> Array:
        """float32 [batch, samples] to latents, float32 [batch, places, channels]."""
        return self._networks()[0].apply({"params": variables["autoencoder"]["params"]["encoder"]}, features)

    listen = encode  # a clip that a person gives is its latent

    def decode(self, variables: Variables, latent: Array, conditions: Array) -> Array:
        """Latents, and conditions as `controls.encode` gives them, to waves, float32 [batch, samples]."""
        params = variables["autoencoder"]["params"]["decoder"]
        return self._networks()[1].apply({"params": params}, latent, conditions)

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """The data's labels, how far a sound may be from the middle of all, and clips to begin from."""
        return (
            *spec.labels,
            controls.variety("0 is the mean of all latents, 1 any that may be drawn"),
            *controls.two_clips(),
        )

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, samples]: decodes a draw from the remembered Gaussian, a clip, or between two."""
        memory = variables["autoencoder"]["memory"]
        conditions = controls.encode(spec.labels, controls.columns(spec.labels, settings))
        variety = jnp.asarray(settings["variety"], jnp.float32)[:, None]
        noise = jax.random.normal(rng, (len(variety), len(memory["mean"])))
        drawn = memory["mean"] + variety * noise @ _root(memory).T
        latent = controls.between_clips(settings, drawn.reshape(len(variety), -1, self.channels))
        return jnp.clip(self.decode(variables, latent, conditions), -1, 1)


def _seen(memory: dict[str, Array], latent: Array, decay: float = 0.995) -> dict[str, Array]:
    """Running mean and covariance of latents [batch, places, channels], which are constant to differentiation."""
    rows = jax.lax.stop_gradient(latent).reshape(len(latent), -1)
    rate = jnp.maximum(1 - decay, 1 / (1 + memory["step"]))
    mean = jnp.mean(rows, axis=0)
    # Of batches apart and between them, as Chan, Golub & LeVeque, 1983: nothing large is taken from anything large.
    apart, between = rows - mean, mean - memory["mean"]
    covariance = apart.T @ apart / len(rows) + (1 - rate) * jnp.outer(between, between)
    return {
        "step": memory["step"] + 1,
        "mean": memory["mean"] + rate * between,
        "covariance": memory["covariance"] + rate * (covariance - memory["covariance"]),
    }


def _root(memory: dict[str, Array]) -> Array:
    """Cholesky factor of the covariance, float32 [size, size]."""
    covariance = memory["covariance"]
    ridge = _RIDGE * jnp.mean(jnp.diagonal(covariance)).clip(1e-12)
    root = jnp.linalg.cholesky(covariance + ridge * jnp.eye(len(covariance)))
    # Of rounding alone it may have no root: then each number is drawn by itself.
    alone = jnp.diag(jnp.sqrt(jnp.diagonal(covariance).clip(0) + ridge))
    return jnp.where(jnp.all(jnp.isfinite(root)), root, alone)
