"""From a mel spectrogram to sound that has that mel spectrogram."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax

from mgen.dsp.iteration import Frame, Steps, iterate, sample_weights, squared_magnitude, with_magnitude
from mgen.dsp.mel import safe_power
from mgen.dsp.mel_solver import Bands, bands_of, check_mel, check_updates, loudest, solve, update
from mgen.dsp.phase import check_init, check_length, check_steps, starting_phases
from mgen.dsp.stft import hops_to_wave, margin

Array = jax.Array

#: Frames this far below the loudest of their item (-120 dB) are settled in this scale, not in their own.
_QUIETEST = 1e-12


def mel_to_audio(
    mel: Array,
    *,
    rng: Array | None = None,
    sample_rate: float,
    n_fft: int,
    hop_length: int,
    win_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    fmin: float = 0.0,
    fmax: float | None = None,
    power: float = 2.0,
    n_iter: int = 32,
    momentum: float = 0.95,
    relaxation: float = 1.15,
    init: str | Array = "scan",
    length: int | None = None,
    nnls_iter: int = 16,
) -> Array:
    """A wave whose mel spectrogram is near `mel`.

    It starts as `griffin_lim(mel_to_magnitude(mel), n_iter=0)`. The iterations that follow are those of `griffin_lim`
    but for one thing: the magnitudes are not held. The mel leaves the fine structure within a band open, so each
    iteration takes the magnitudes that the wave has come to and brings them to the mel by two updates of
    `mel_to_magnitude`. Magnitudes and phases then settle together on what a wave can have, where held magnitudes, which
    no wave has, leave an error that no phase removes. `benchmarks/mel_inversion.py` measures it.

    It is jit-able and reverse-differentiable in `mel` (the phases of "scan" and "tree" are constant to it); the
    backward pass keeps three waves per iteration and recomputes the rest. A batch equals its items.

    Args:
      mel: float32 [..., frames, bands], >= 0.
      rng: key of the starting phases where init is "random"; each item has its own, see `griffin_lim`.
      sample_rate: Hz.
      n_fft: samples per frame.
      hop_length: samples between frames.
      win_length: samples of the window; all of the frame if None.
      window: "hann" or "hamming".
      center: whether frames are centred, see `stft`.
      fmin: Hz, lower edge of the first band.
      fmax: Hz, upper edge of the last; half the sample rate if None.
      power: exponent of the magnitudes before the filters, as in `mel_spectrogram`.
      n_iter: iterations, each a transform, a correction and an inverse transform.
      momentum: how far each step goes on, in [0, 1], see `griffin_lim`.
      relaxation: how far each step goes towards a wave, see `griffin_lim`; with power 1, 1.25 diverges slowly.
      init: starting phases, see `griffin_lim`. Here "scan" is as good as "tree", and cheaper.
      length: samples to return, see `griffin_lim`.
      nnls_iter: updates of `mel_to_magnitude` before the start.

    Returns:
      float32 [..., samples].

    Raises:
      ValueError: nnls_iter is below 0, or as in `mel_to_magnitude` and `griffin_lim`.

    Reference: see `griffin_lim` and `mel_to_magnitude`.
    """
    mel = check_mel(mel, power)
    check_updates(nnls_iter, "nnls_iter")
    steps = check_steps(n_iter, momentum, relaxation)
    angles = check_init(init, (*mel.shape[:-1], 1 + n_fft // 2), rng)
    return _mel_to_audio(
        mel.astype(jnp.float32),
        angles,
        rng,
        init=init if angles is None else "given",
        frame=Frame(n_fft, hop_length, win_length, window),
        center=center,
        length=check_length(length, mel.shape[-2], n_fft, hop_length, center),
        bands=bands_of(sample_rate, n_fft, mel.shape[-1], fmin, fmax),
        power=power,
        nnls_iter=nnls_iter,
        steps=steps,
    )


@functools.partial(
    jax.jit, static_argnames=("init", "frame", "center", "length", "bands", "power", "nnls_iter", "steps")
)
def _mel_to_audio(
    mel: Array,
    angles: Array | None,
    rng: Array | None,
    *,
    init: str,
    frame: Frame,
    center: bool,
    length: int,
    bands: Bands,
    power: float,
    nnls_iter: int,
    steps: Steps,
) -> Array:
    # The wave's `power` is proportional to the mel, so its derivative is exact with the scale held fixed.
    mel = jnp.maximum(mel, 0) * bands.seen
    scale = loudest(mel, (-2, -1))
    mel = mel / scale
    magnitude = solve(mel, None, bands=bands, power=power, n_iter=nnls_iter)
    if angles is None:
        angles = starting_phases(init, magnitude, rng, frame)
    weight = sample_weights(frame, mel.shape[-2], center, length)
    hops = hold_mel(mel, magnitude, angles, weight, frame=frame, bands=bands, power=power, steps=steps)
    return hops_to_wave(hops, margin(frame.n_fft, center), length) * scale[..., 0] ** (1 / power)


def hold_mel(
    mel: Array,
    magnitude: Array,
    angles: Array,
    weight: Array,
    *,
    frame: Frame,
    bands: Bands,
    power: float,
    steps: Steps,
) -> Array:
    """Hops of the wave after iterations towards a mel whose loudest band is about 1, see `iterate`."""
    # A frame far below its neighbours is filled by them at first, and in its own scale that would be infinite.
    scale = jnp.maximum(loudest(mel, -1), _QUIETEST)
    mel = mel / scale

    def wanted(spectrum: Array) -> Array:
        values = safe_power(squared_magnitude(spectrum), power / 2) / scale
        for twice in (True, False):
            values = update(values, mel, bands, twice)
        return with_magnitude(spectrum, safe_power(values * scale, 1 / power))

    start = magnitude * lax.complex(jnp.cos(angles), jnp.sin(angles))
    return iterate(wanted, start, weight, frame=frame, steps=steps)
