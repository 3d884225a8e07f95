"""Sound from magnitudes alone: a phase is found, then improved until the spectrogram is nearly that of a wave.

A start that follows the phase gradient (`phase_tree`, `phase_scan`) is worth more than a hundred iterations from random
phases. `benchmarks/phase_starts.py` measures it.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.arrays import check_shape
from mgen.dsp.iteration import MOST_RELAXED, Frame, Steps, iterate, sample_weights, with_magnitude
from mgen.dsp.phase_gradient import check_finite, check_not_negative
from mgen.dsp.phase_scan import scan_phases
from mgen.dsp.phase_tree import tree_phases
from mgen.dsp.stft import check_bins, frame_count, hops_to_wave, margin, sample_count

Array = jax.Array

#: Starts that follow the phase gradient: name to function of magnitudes and the settings of `Frame`.
STARTS = {"tree": tree_phases, "scan": scan_phases}


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
    init: str | Array | None = None,
    length: int | None = None,
) -> Array:
    """A wave whose spectrogram is near `magnitude`, by the accelerated Griffin-Lim algorithm.

    With momentum 0.99, relaxation 1 and `init="random"` it is `librosa.griffinlim`, transposed, number for number. The
    defaults are better: see the table that `benchmarks/phase_starts.py` prints. It is jit-able and reverse-
    differentiable in `magnitude` and in an `init` that is an array. The phases that "tree" and "scan" find are constant
    to differentiation. The backward pass keeps three waves per iteration and recomputes the rest.

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
        starting phases in radians, float32 of magnitude's shape. None is "scan" on a CPU, where the time that the tree
        takes is better spent on iterations, and "tree" elsewhere (not measured there: say which, where it matters).
      length: samples to return; it must make as many frames as there are. If None, `sample_count(frames)`.

    Returns:
      float32 [..., samples], in the scale of `magnitude`. Silence in gives silence out.

    Raises:
      ValueError: magnitude is complex, not of 1 + n_fft // 2 bins, or holds NaN, infinity or less than 0 (found only
        where it is not traced), and so for an init that is an array; there are too few frames (a single one that is
        centred is of no wave); length does not fit them; init is unknown or not of magnitude's shape; rng is
        missing; n_iter is below 0, momentum outside [0, 1] or relaxation outside [1, 1.3]; or as in `stft`.

    Reference: Perraudin, Balazs & Sondergaard, "A fast Griffin-Lim algorithm", WASPAA 2013; Nenov, Nguyen,
      Balazs & Bot, "Accelerated Griffin-Lim algorithm: a fast and provably converging numerical method for phase
      retrieval", 2023, with alpha = beta = momentum and gamma = relaxation.
    """
    magnitude = check_magnitude(magnitude, n_fft)
    steps = check_steps(n_iter, momentum, relaxation)
    length = check_length(length, magnitude.shape[-2], n_fft, hop_length, center)
    init = default_start() if init is None else init
    angles = check_init(init, magnitude.shape, rng)
    return _griffin_lim(
        magnitude,
        angles,
        rng,
        init=init if angles is None else "given",
        frame=Frame(n_fft, hop_length, win_length, window),
        center=center,
        length=length,
        steps=steps,
    )


@functools.partial(jax.jit, static_argnames=("init", "frame", "center", "length", "steps"))
def _griffin_lim(
    magnitude: Array,
    angles: Array | None,
    rng: Array | None,
    *,
    init: str,
    frame: Frame,
    center: bool,
    length: int,
    steps: Steps,
) -> Array:
    if angles is None:
        angles = starting_phases(init, magnitude, rng, frame)
    scale = jnp.ldexp(jnp.float32(1), exponent_of(lax.stop_gradient(magnitude).max(axis=(-2, -1), keepdims=True)))
    weight = sample_weights(frame, magnitude.shape[-2], center, length)
    hops = hold_magnitude(magnitude / scale, angles, weight, frame=frame, steps=steps)
    return hops_to_wave(hops, margin(frame.n_fft, center), length) * scale[..., 0]


def hold_magnitude(magnitude: Array, angles: Array, weight: Array, *, frame: Frame, steps: Steps) -> Array:
    """Hops of the wave after the steps from phases `angles` under magnitudes of up to about 1, see `iterate`."""
    start = magnitude * lax.complex(jnp.cos(angles), jnp.sin(angles))
    wanted = functools.partial(with_magnitude, magnitude=magnitude)
    return iterate(wanted, start, weight, frame=frame, steps=steps)


def exponent_of(largest: Array) -> Array:
    """The power of two, as its exponent, that an item is divided by so that squares neither overflow nor vanish.

    Dividing by it rounds nothing. The wave is proportional to the magnitude, so the derivative is exact with it fixed.
    """
    return jnp.clip(jnp.frexp(largest)[1] - 1, -120, 126)


def starting_phases(init: str, magnitude: Array, rng: Array | None, frame: Frame, first: Array | None = None) -> Array:
    """Phases in radians, float32 of magnitude's shape; `first` are those of the first frame, where known."""
    shape = magnitude.shape
    if init == "zeros":
        return jnp.zeros(shape, jnp.float32)
    if init in STARTS:
        return STARTS[init](magnitude, first=first, **frame._asdict())

    def draw(key: Array) -> Array:
        return jax.random.uniform(key, shape[-2:], maxval=2 * np.pi)

    if len(shape) == 2:
        return draw(rng)
    items = np.arange(np.prod(shape[:-2], dtype=int))
    return jax.vmap(lambda item: draw(jax.random.fold_in(rng, item)))(items).reshape(shape)


def check_magnitude(magnitude: Array, n_fft: int) -> Array:
    """The magnitudes as an array, or a refusal of what is complex, of other sizes or (where not traced) not finite."""
    magnitude = magnitude if isinstance(magnitude, np.ndarray) else jnp.asarray(magnitude)
    if not jnp.issubdtype(magnitude.dtype, jnp.floating):
        raise ValueError(f"magnitude: expected floats, got {magnitude.dtype}; take the abs of a complex spectrum first")
    check_bins(magnitude, n_fft, "magnitude")
    magnitude = magnitude.astype(jnp.float32)  # before it is looked at: a larger number of float64 is infinite here
    check_finite(magnitude)
    check_not_negative(magnitude, "magnitude")
    return magnitude


def check_steps(n_iter: int, momentum: float, relaxation: float) -> Steps:
    """The settings of `iterate`, or a refusal of those that it would diverge with."""
    if n_iter < 0:
        raise ValueError(f"n_iter={n_iter}: expected 0 or more; 32 is usual")
    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum={momentum}: expected 0 to 1, beyond which it diverges; 0.95 is usual")
    if not 1 <= relaxation <= MOST_RELAXED:
        raise ValueError(
            f"relaxation={relaxation}: expected 1 to {MOST_RELAXED}, beyond which it diverges; 1.25 is usual"
        )
    return Steps(n_iter, float(momentum), float(relaxation))


def default_start() -> str:
    """The start that is to give the better sound in the same time; measured on CPUs, by `benchmarks/inversion.py`."""
    return "scan" if jax.default_backend() == "cpu" else "tree"


def check_init(init: str | Array, shape: tuple[int, ...], rng: Array | None) -> Array | None:
    """The phases if they are given, None if they are to be found; or a refusal."""
    if not isinstance(init, str):
        angles = jnp.asarray(init)
        if not jnp.issubdtype(angles.dtype, jnp.floating):
            raise ValueError(f"init: expected phases in radians as floats, got {angles.dtype}; take the angle first")
        sizes = {f"axis {axis}": size for axis, size in enumerate(shape[:-2])}
        check_shape(angles, {**sizes, "frames": shape[-2], "bins": shape[-1]}, "init")
        check_finite(angles, "init")
        return angles.astype(jnp.float32)
    if init not in (*STARTS, "random", "zeros"):
        raise ValueError(f"init={init!r}: unknown, expected tree, scan, random, zeros or an array of phases in radians")
    if init == "random" and rng is None:
        raise ValueError("rng=None: random starting phases need a key; give jax.random.key(seed), or init='tree'")
    return None


def check_length(length: int | None, frames: int, n_fft: int, hop_length: int, center: bool) -> int:
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
