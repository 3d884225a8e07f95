"""System 001, beyond the original: a rectified flow of what an autoencoder of the waveform makes of clips.

    noise -> flow -> latent [batch, samples / stride, channels] -> decoder -> wave [batch, samples]

The autoencoder has phases in its latent, and no Gaussian knows which go together: what it draws by itself is a haze. A
flow does, and so the two together make waves with no phase left to be found. The autoencoder was trained before, in a
run of its own (`base`), and stays as it is; a checkpoint of this model holds it too.

Reference: Rombach et al., "High-resolution image synthesis with latent diffusion models", CVPR 2022; Evans et al.,
  "Fast timing-conditioned latent audio diffusion", ICML 2024; and those of `flow` and `wave_autoencoder`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables
from mgen.models.flow import Flow
from mgen.models.wave_autoencoder import WaveAutoencoder


@dataclasses.dataclass(frozen=True)
class LatentFlow:
    """Rectified flow of the latents of one clip's waveform (system 001)."""

    autoencoder: WaveAutoencoder = WaveAutoencoder()
    """Of the sizes that the run had which is begun from."""
    flow: Flow = Flow(patch=8, within=(768, 4), examples=2048, guidance=2.5, variety=0.7)
    """Of its latents: frames are their places, and bins their channels. It is led, and begins with less noise than in
    training: what is wrong with a latent is heard as haze."""

    @property
    def examples(self) -> int:
        """Training clips that the flow's components are taken from."""
        return self.flow.examples

    def _inner(self, spec: Spec) -> Spec:
        """What the flow sees."""
        return Spec(shape=(spec.shape[0] // self.autoencoder.stride, self.autoencoder.channels), labels=spec.labels)

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables, those of the autoencoder too. Raises ValueError as the two of them do."""
        first, second = jax.random.split(rng)
        with _fields_of("autoencoder"):
            coder = self.autoencoder.init(first, spec)["autoencoder"]
        with _fields_of("flow"):
            own = self.flow.init(second, self._inner(spec))["flow"]
        return {"flow": {**own, "autoencoder": {"params": coder["params"]}}}

    def based(self, variables: Variables, base: Variables) -> Variables:
        """Fresh variables with the autoencoder of another run.

        Raises:
          ValueError: that is no run of such an autoencoder.
        """
        own, coder = variables["flow"], base.get("autoencoder", {}).get("params")
        if jax.tree.map(jnp.shape, coder) != jax.tree.map(jnp.shape, own["autoencoder"]["params"]):
            sizes = ("layers", "stride", "channels", "width")
            sizes = ", ".join(f"{name}={getattr(self.autoencoder, name)}" for name in sizes)
            raise ValueError(f"expected a WaveAutoencoder of {sizes}, which is what model.autoencoder says")
        return {"flow": {**own, "autoencoder": {"params": coder}}}

    def fit(self, variables: Variables, examples: np.ndarray, spec: Spec) -> Variables:
        """Takes the principal components from the latents of training clips, float32 [clips, samples]."""
        latents = self.autoencoder.encode_all(self._coder(variables), examples, spec)
        return self.flow.fit(variables, latents, self._inner(spec))

    def _coder(self, variables: Variables) -> Variables:
        return {"autoencoder": variables["flow"]["autoencoder"]}

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player: the flow, on latents."""
        return {"flow": functools.partial(self._loss, spec)}

    def _loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        latents = self.listen(variables, batch["features"], spec)
        return self.flow.losses(self._inner(spec))["flow"](variables, rng, batch | {"features": latents}, train=train)

    def listen(self, variables: Variables, features: Array, spec: Spec) -> Array:
        """Waves, float32 [batch, samples], to latents, float32 [batch, places, channels]."""
        return self.autoencoder.encode(self._coder(variables), features, spec)

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """Those of the flow."""
        return self.flow.controls(self._inner(spec))

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, samples]: decodes latents that the flow comes to, from noise or from a clip."""
        latents = self.flow.arrived(variables, rng, settings, self._inner(spec))
        conditions = controls.encode(spec.labels, controls.columns(spec.labels, settings))
        return jnp.clip(self.autoencoder.decode(self._coder(variables), latents, conditions), -1, 1)


@contextlib.contextmanager
def _fields_of(part: str) -> Iterator[None]:
    """What is refused is named as it is called here: model.patch is model.flow.patch."""
    try:
        yield
    except ValueError as error:
        raise ValueError(re.sub(r"\bmodel\b", f"model.{part}", str(error))) from error
