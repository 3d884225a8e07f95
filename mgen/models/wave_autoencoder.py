"""System 001: an autoencoder of the waveform itself, and how many layers it wants.

    wave [batch, samples] -> strided convolution -> layers -> latent [batch, samples / stride, channels] -> mirrored

The original (whose text names no layer: these are of our design) added layers one by one and heard loud distorted noise
with a quiet rhythm behind it. Here the bottleneck stays what it is, `channels` numbers for every `stride` samples,
however many layers lead to it: so what another layer is worth can be measured. The loss is that of the wave and that of
its spectrograms at several sizes: the first alone gives the mean of all phases that a sound might have, which is
silence where it is high.

The first convolution takes all of the stride, and the layers are at the rate of the latent: at the wave's own rate each
would take many times as long. It begins as a lapped cosine transform, whose lowest bands are the latent at first, and
the last one as its inverse: no gradient is spent on finding them, and the layers learn what is above.

The latents of training clips are remembered as a mixture of Gaussians of whole clips, all places and channels with each
other, so that the decoder can be asked for new ones: a beat that is at the same place in all clips is in their means,
and what goes with what in their covariances. One Gaussian of several pieces lies between them all. It is no music: what
a clip is beyond its Gaussian, this prior does not know. `latent_flow` learns it.

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

from mgen import controls, dsp, losses, sketches
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables

_SKETCH = 4  # times as many directions as axes are wanted
_CLIPS = 400  # that the mixture is of; while the encoder still moves, those long ago had other latents
_KERNEL = 7  # of a residual block
_DILATIONS = (1, 3, 9)  # of the blocks, in turn: ten, thirty and ninety milliseconds to either side, and more
_TILT = 2.5  # of the lowest band, where music at the usual level has coefficients of about 0.4


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
    """Waves to latents: [batch, samples] to [batch, samples / stride, channels]."""

    layers: int
    stride: int
    width: int
    channels: int

    @nn.compact
    def __call__(self, wave: Array) -> Array:
        """Encodes waves; the first convolution takes the stride, and none is done at the wave's own rate."""
        bands = functools.partial(_analysis, self.stride)
        x = nn.Conv(self.width, (2 * self.stride,), self.stride, kernel_init=bands)(wave[..., None])
        for layer in range(self.layers):
            x = Residual(_DILATIONS[layer % len(_DILATIONS)])(x)  # [batch, places, width]
        return nn.Conv(self.channels, (3,), kernel_init=_passed_on)(x)


class Decoder(nn.Module):
    """Latents and conditions to waves: [batch, places, channels], [batch, conditions] to [batch, samples]."""

    layers: int
    stride: int
    width: int

    @nn.compact
    def __call__(self, latent: Array, conditions: Array) -> Array:
        """Decodes latents."""
        told = nn.Dense(self.width, kernel_init=nn.initializers.normal(0.03))(conditions)
        x = nn.Conv(self.width, (3,), kernel_init=_passed_on)(latent) + told[:, None]
        for layer in reversed(range(self.layers)):
            x = Residual(_DILATIONS[layer % len(_DILATIONS)])(x)
        x = nn.Conv(self.stride, (3,), kernel_init=_synthesis)(x)
        return x.reshape(len(x), -1)


@functools.lru_cache(maxsize=8)
def lapped(stride: int) -> np.ndarray:
    """What `dsp.mdct` makes of each sample of one frame: orthonormal rows, float32 [stride bands, 2 * stride]."""
    with jax.ensure_compile_time_eval():  # also where a network is being traced it is a constant
        frames = dsp.mdct(jnp.eye(2 * stride), block=stride)  # [samples, 3 blocks, bands]; the middle one is whole
        return np.asarray(frames)[:, 1].T


def _tilt(stride: int) -> np.ndarray:
    """What bands are multiplied by so that all of music's are about as large: they fall as one over the frequency."""
    return (_TILT * np.arange(1, stride + 1)).astype(np.float32)


def _analysis(stride: int, rng: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
    """Kernel [2 * stride, 1, width] that gives the bands of `lapped`; further channels begin as they may."""
    bands = (_tilt(stride)[:, None] * lapped(stride))[: shape[-1]]
    kernel = nn.initializers.lecun_normal()(rng, shape, dtype)
    return kernel.at[:, 0, : len(bands)].set(bands.T)


def _synthesis(rng: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
    """Kernel [3, width, stride] that makes a wave of the bands: a place's samples are of windows of three places."""
    _, width, stride = shape
    bands = (lapped(stride) / _tilt(stride)[:, None])[:width]
    kernel = np.zeros(shape, np.float32)
    for place in range(3):
        heard = np.arange(stride) + stride // 2 - stride * (place - 1)  # samples of the window
        inside = (heard >= 0) & (heard < 2 * stride)
        kernel[place, : len(bands), inside] = bands[:, heard[inside]].T
    return jnp.asarray(kernel, dtype)


def _passed_on(rng: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
    """Kernel [3, channels in, channels out] that passes the first channels on, and a little of all others."""
    kernel = 0.1 * nn.initializers.lecun_normal()(rng, shape, dtype)
    both = np.arange(min(shape[1:]))
    return kernel.at[shape[0] // 2, both, both].add(1.0)


@dataclasses.dataclass(frozen=True)
class WaveAutoencoder:
    """Convolutional autoencoder of one clip's waveform (system 001)."""

    layers: int = 3
    """Residual blocks on either side, beside the convolution that takes the stride."""
    stride: int = 64
    """Samples for each place of the latent, an even number."""
    channels: int = 4
    """Numbers at each place."""
    width: int = 96
    """Channels of a layer."""
    spectral: float = 2.0
    """What the error of the spectrograms counts, beside that of the wave."""
    windows: tuple[int, ...] = (1024, 512, 128)
    """Frames of these spectrograms, samples; they overlap by three quarters."""
    axes: int = 32
    """Of all latents' covariance, along which new ones are drawn; narrower ones are of too few clips to be known."""
    components: int = 16
    """Gaussians that new latents are drawn from."""
    examples: int = 512
    """Training clips that these begin with."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        ones = dict.fromkeys(("layers", "channels", "width", "axes", "components"), 1)
        for name, least in (ones | {"stride": 2, "examples": 2, "spectral": 0}).items():
            if getattr(self, name) < least:
                raise ValueError(f"model.{name}: expected at least {least}, got {getattr(self, name)}")
        if self.stride % 2:
            raise ValueError(f"model.stride: expected an even number, got {self.stride}")
        if not self.windows or min(self.windows) < 4:
            raise ValueError(f"model.windows: expected some of 4 samples or more, got {self.windows}")

    def _networks(self) -> tuple[Encoder, Decoder]:
        encoder = Encoder(self.layers, self.stride, self.width, self.channels)
        return encoder, Decoder(self.layers, self.stride, self.width)

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the features are no waves, or these are no whole strides."""
        if len(spec.shape) != 1 or spec.shape[0] % self.stride:
            raise ValueError(
                f"model: expected features of samples, a multiple of model.stride={self.stride}, such as Waveform's; "
                f"they are {spec.shape}"
            )
        size = spec.shape[0] // self.stride * self.channels
        if max(self.windows) // 2 >= spec.shape[0]:
            raise ValueError(f"model.windows: {max(self.windows)} samples are too long for clips of {spec.shape[0]}")
        encoder, decoder = self._networks()
        first, second, third = jax.random.split(rng, 3)
        conditions = controls.encode(spec.labels, jnp.zeros((1, len(spec.labels))))
        latent = jnp.zeros((1, size // self.channels, self.channels))
        params = {
            "encoder": encoder.init(first, jnp.zeros((1, *spec.shape)))["params"],
            "decoder": decoder.init(second, latent, conditions)["params"],
        }
        memory = sketches.fresh(third, size, min(_SKETCH * self.axes, size), self.components)
        return {"autoencoder": {"params": params, "memory": memory}}

    def fit(self, variables: Variables, examples: np.ndarray, spec: Spec) -> Variables:
        """Begins the mixture with the latents that training clips have at first, float32 [clips, samples]."""
        own, coded = variables["autoencoder"], self.encode_all(variables, examples, spec)
        return {"autoencoder": {**own, "memory": sketches.fitted(own["memory"], coded.reshape(len(coded), -1))}}

    def encode_all(self, variables: Variables, clips: np.ndarray, spec: Spec) -> np.ndarray:
        """As `encode`, of any number of clips, float32 [clips, samples]: a few at a time, whatever memory there is."""
        encode = jax.jit(functools.partial(self.encode, spec=spec))
        return np.concatenate([encode(variables, clips[start : start + 64]) for start in range(0, len(clips), 64)])

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
        updates = (
            {"memory": sketches.seen(variables["autoencoder"]["memory"], latent.reshape(len(latent), -1), clips=_CLIPS)}
            if train
            else {}
        )
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
        """float32 [count, samples]: decodes a draw from the remembered mixture, a clip, or between two."""
        memory = variables["autoencoder"]["memory"]
        conditions = controls.encode(spec.labels, controls.columns(spec.labels, settings))
        variety = jnp.asarray(settings["variety"], jnp.float32)[:, None]
        drawn = memory["middle"] + variety * sketches.draw(memory, rng, len(variety), self.axes)
        latent = controls.between_clips(settings, drawn.reshape(len(variety), -1, self.channels))
        return jnp.clip(self.decode(variables, latent, conditions), -1, 1)
