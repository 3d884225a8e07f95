"""Sound from magnitudes alone: a phase is found, then improved until the spectrogram is nearly that of a wave.

A start that follows the phase gradient (`phase_tree`, `phase_scan`) is worth more than a hundred iterations from random
phases. `benchmarks/phase_starts.py` measures it.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.arrays import check_shape
from mgen.dsp.phase_gradient import check_finite
from mgen.dsp.phase_scan import scan_phases
from mgen.dsp.phase_tree import tree_phases
from mgen.dsp.stft import check_bins, frame_count, istft, sample_count, stft

Array = jax.Array


def griffin_lim(
    magnitude: Array,
    *,
    rng: Array | None = None,
    n_fft: int,
    hop_length: int,
    win_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    n_iter: int = 32,
    momentum: float = 0.95,
    relaxation: float = 1.25,
    init: str | Array = "tree",
    length: int | None = None,
) -> Array:
    """A wave whose spectrogram is near `magnitude`, by the accelerated Griffin-Lim algorithm.

    With momentum 0.99, relaxation 1 and `init="random"` it is `librosa.griffinlim`, transposed, number for number. The
    defaults are better: see the table that `benchmarks/phase_starts.py` prints. It is jit-able and reverse-
    differentiable in `magnitude` and in an `init` that is an array. The phases that "tree" and "scan" find are constant
    to differentiation. The backward pass keeps a few spectrograms per iteration and recomputes the rest.

    Items are independent. Where `init` is "random" each has its own key: item i, counted over all leading axes in
    order, draws its starting phases from `jax.random.fold_in(rng, i)`, a lone `[frames, bins]` from `rng` itself. So
    `griffin_lim(m, rng=rng)[i]` is `griffin_lim(m[i], rng=jax.random.fold_in(rng, i))`.

    Args:
      magnitude: float32 [..., frames, bins], >= 0, of any scale.
      rng: key that the starting phases are drawn from; None will do where `init` is not "random".
      n_fft: samples per frame.
      hop_length: samples between frames.
      win_length: samples of the window; all of the frame if None.
      window: "hann" or "hamming".
      center: whether frames are centred, see `stft`.
      n_iter: iterations, each an inverse and a forward transform. 0 is the inverse transform of the start.
      momentum: how far each step overshoots, in [0, 1]; 0 is the algorithm of 1984. As in librosa, the part of the
        previous transform that is taken off is momentum / (1 + momentum).
      relaxation: how far each step goes towards the transform of a wave: 1 is onto it, 1.25 a quarter beyond.
      init: "tree" (see `tree_phases`, the best), "scan" (see `scan_phases`, the cheapest), "random", "zeros", or
        starting phases in radians, float32 of magnitude's shape.
      length: samples to return; it must make as many frames as there are. If None, `sample_count(frames)`.

    Returns:
      float32 [..., samples], in the scale of `magnitude`. Silence in gives silence out.

    Raises:
      ValueError: magnitude is complex, not of 1 + n_fft // 2 bins, or holds NaN or infinity (found only where it is not
        traced); there are too few frames; length does not fit them; init is unknown or not of magnitude's shape; rng is
        missing; n_iter is below 0, momentum outside [0, 1] or relaxation outside [1, 1.5]; or as in `stft`.

    Reference: Perraudin, Balazs & Sondergaard, "A fast Griffin-Lim algorithm", WASPAA 2013; Nenov, Nguyen,
      Balazs & Bot, "Accelerated Griffin-Lim algorithm: a fast and provably converging numerical method for phase
      retrieval", 2023, with alpha = beta = momentum and gamma = relaxation.
    """
    magnitude = jnp.asarray(magnitude)
    if not jnp.issubdtype(magnitude.dtype, jnp.floating):
        raise ValueError(f"magnitude: expected floats, got {magnitude.dtype}; take the abs of a complex spectrum first")
    check_bins(magnitude, n_fft, "magnitude")
    if n_iter < 0:
        raise ValueError(f"n_iter={n_iter}: expected 0 or more; 32 is usual")
    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum={momentum}: expected 0 to 1, beyond which it diverges; 0.99 is usual")
    length = _check_length(length, magnitude.shape[-2], n_fft, hop_length, center)
    if not 1 <= relaxation <= 1.5:
        raise ValueError(f"relaxation={relaxation}: expected 1 to 1.5, beyond which it diverges; 1.25 is usual")
    frame = {"n_fft": n_fft, "hop_length": hop_length, "win_length": win_length, "window": window}
    check_finite(magnitude)
    magnitude = magnitude.astype(jnp.float32)
    angles = _starting_phases(init, magnitude, rng, frame)
    scale = _scale(magnitude)
    wave = _iterate(
        magnitude / scale,
        angles,
        n_iter=n_iter,
        momentum=momentum,
        relaxation=relaxation,
        length=length,
        center=center,
        **frame,
    )
    return wave * scale[..., 0]


def _scale(magnitude: Array) -> Array:
    """A power of two near each item's largest magnitude [..., 1, 1], so that squares neither overflow nor vanish.

    Dividing by it rounds nothing. The wave is proportional to the magnitude, so the derivative is exact with it fixed.
    """
    _, exponent = jnp.frexp(lax.stop_gradient(magnitude).max(axis=(-2, -1), keepdims=True))
    return jnp.ldexp(jnp.float32(1), jnp.clip(exponent - 1, -120, 126))


def _check_length(length: int | None, frames: int, n_fft: int, hop_length: int, center: bool) -> int:
    """The samples to make, refused where `stft` would not make `frames` frames of them."""
    count = functools.partial(frame_count, n_fft=n_fft, hop_length=hop_length, center=center)
    shortest = n_fft // 2 + 1 if center else n_fft
    natural = sample_count(frames, n_fft=n_fft, hop_length=hop_length, center=center)
    if length is None:
        if natural < shortest:
            raise ValueError(
                f"magnitude: {frames} frames at hop_length={hop_length} make {natural} samples, fewer than the "
                f"{shortest} that n_fft={n_fft} needs; give more frames, or a length"
            )
        return natural
    if length < shortest or count(length) != frames:
        low, high = max(natural, shortest), natural + hop_length - 1
        way_out = f"give {low} to {high}, or None" if low <= high else "give more frames"
        raise ValueError(
            f"length={length}: does not make the {frames} frames of magnitude "
            f"(n_fft={n_fft}, hop_length={hop_length}); {way_out}"
        )
    return length


def _starting_phases(init: str | Array, magnitude: Array, rng: Array | None, frame: dict[str, Any]) -> Array:
    """Phases in radians, float32 of magnitude's shape."""
    shape = magnitude.shape
    if not isinstance(init, str):
        angles = jnp.asarray(init)
        if not jnp.issubdtype(angles.dtype, jnp.floating):
            raise ValueError(f"init: expected phases in radians as floats, got {angles.dtype}; take the angle first")
        sizes = {f"axis {axis}": size for axis, size in enumerate(shape[:-2])}
        check_shape(angles, {**sizes, "frames": shape[-2], "bins": shape[-1]}, "init")
        return angles.astype(jnp.float32)
    if init == "zeros":
        return jnp.zeros(shape, jnp.float32)
    if init in ("tree", "scan"):
        return {"tree": tree_phases, "scan": scan_phases}[init](magnitude, **frame)
    if init != "random":
        raise ValueError(f"init={init!r}: unknown, expected tree, scan, random, zeros or an array of phases in radians")
    if rng is None:
        raise ValueError("rng=None: random starting phases need a key; give jax.random.key(seed), or init='tree'")

    def draw(key: Array) -> Array:
        return jax.random.uniform(key, shape[-2:], maxval=2 * np.pi)

    if len(shape) == 2:
        return draw(rng)
    items = np.arange(np.prod(shape[:-2], dtype=int))
    return jax.vmap(lambda item: draw(jax.random.fold_in(rng, item)))(items).reshape(shape)


_TRANSFORM = ("n_fft", "hop_length", "win_length", "window", "center")


@functools.partial(jax.jit, static_argnames=("n_iter", "momentum", "relaxation", "length", *_TRANSFORM))
def _iterate(
    magnitude: Array, angles: Array, *, n_iter: int, momentum: float, relaxation: float, length: int, **transform: Any
) -> Array:
    """The wave after `n_iter` iterations from phases `angles`; `transform` goes to `stft` and `istft`."""
    forward = functools.partial(stft, **transform)
    inverse = functools.partial(istft, length=length, **transform)
    tiny = np.finfo(np.float32).tiny

    def with_magnitude(target: Array) -> Array:
        # The phase of `target` under the given magnitude. Where there is none (below 1e-19) nothing stays nothing:
        # librosa adds tiny to the divisor, this bounds it from below, which is the same with a finite gradient.
        squared = jnp.square(target.real) + jnp.square(target.imag)
        return target * (magnitude / jnp.sqrt(jnp.maximum(squared, tiny)))

    def step(carry: tuple[Array, Array, Array], overshoot: Array) -> tuple[tuple[Array, Array, Array], None]:
        spectrum, target, previous = carry
        rebuilt = forward(inverse(spectrum))
        relaxed = rebuilt if relaxation == 1 else target + relaxation * (rebuilt - target)
        target = relaxed + overshoot * (relaxed - previous)
        return (with_magnitude(target), target, relaxed), None

    start = magnitude * lax.complex(jnp.cos(angles), jnp.sin(angles))
    overshoot = np.full(n_iter, momentum, np.float32)
    overshoot[:1] = 0  # nothing comes before the first
    body = jax.checkpoint(step, prevent_cse=False)
    (spectrum, _, _), _ = lax.scan(body, (start, start, jnp.zeros_like(start)), overshoot)
    return inverse(spectrum)
