"""Sound from magnitudes while they arrive: one frame in, one hop of samples out, a fixed time later.

Only samples that were put out are fixed. Every frame that reaches over samples still to come keeps its phases free, and
is improved at every step with all the frames heard since. That, and a start that follows the phase gradient, is what
makes it good with little look-ahead. `benchmarks/streaming.py` measures it.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.arrays import check_shape
from mgen.dsp.phase_gradient import check_finite
from mgen.dsp.phase_scan import ScanFrames, scan_frames, scan_step
from mgen.dsp.stft import check_bins, istft, sample_count, stft
from mgen.dsp.stft import window as window_of

Array = jax.Array

#: The end of a stream that has not been stopped, in samples.
_OPEN = np.iinfo(np.int32).max


class StreamState(NamedTuple):
    """What a stream knows of its past; of fixed shapes, made by `PhaseStream.start`.

    `held` frames have phases, the newest has none yet. Sample 0 of the state is the first of the oldest of them.
    """

    magnitude: Array
    """float32 [..., held + 1, bins], the newest frame last."""
    spectrum: Array
    """complex64 [..., held, bins], magnitudes with the phases found so far."""
    rebuilt: Array
    """complex64 [..., held, bins], the transform of the last wave, from which the next step gets its momentum."""
    past: Array
    """float32 [..., samples], what was put out and still lies under a frame."""
    begin: Array
    """int32, where the sound begins, in samples of the state; 0 where it began earlier."""
    end: Array
    """int32, where the sound ends, in samples of the state; `_OPEN` where it goes on."""


@dataclasses.dataclass(frozen=True)
class PhaseStream:
    """Finds phases frame by frame, with a look at a few frames ahead.

    Step t is given the magnitudes of frame t, centred at sample t * hop_length as in `stft`, and returns hop_length
    samples of which the first is sample t * hop_length - `latency`; silence, where that lies before sample 0.

        stream = PhaseStream(n_fft=2048, hop_length=512)
        state = stream.start()
        for frame in frames:
            state, samples = stream.step(state, frame)

    `step` is pure and of fixed shapes: it can be the body of a `lax.scan`, and it is compiled where it is called alone.
    The newest frame only says how its neighbour's magnitudes change in time; it gets its own phases one step later.

    Args:
      n_fft: samples per frame.
      hop_length: samples between frames.
      win_length: samples of the window; all of the frame if None.
      window: "hann" or "hamming".
      look_ahead: frames known beyond the last that reaches a sample, when that sample is put out; each is hop_length
        samples of latency.
      n_iter: iterations at each step, over all frames that have samples to come. 0 is the start alone.
      momentum: how far each iteration overshoots, in [0, 1]; it is carried from step to step.

    Raises:
      ValueError: look_ahead or n_iter is below 0, momentum outside [0, 1], the frames overlap too little for a
        look_ahead of 0; or as in `stft`.

    Reference: Zhu, Beauregard & Wyse, "Real-time signal estimation from modified short-time Fourier transform magnitude
      spectra", IEEE TASLP 2007 (RTISI-LA), except that frames stay free until their last sample is out; Prusa &
      Sondergaard, "Real-time spectrogram inversion using phase gradient heap integration", DAFx 2016, for the start;
      Perraudin, Balazs & Sondergaard, "A fast Griffin-Lim algorithm", WASPAA 2013, for the momentum.
    """

    n_fft: int
    hop_length: int
    win_length: int | None = None
    window: str = "hann"
    look_ahead: int = 3
    n_iter: int = 4
    momentum: float = 0.9

    def __post_init__(self) -> None:
        sample_count(1, n_fft=self.n_fft, hop_length=self.hop_length)  # its refusal, as is the window's
        hops = np.pad(self._squared(), (0, -self.n_fft % self.hop_length)).reshape(-1, self.hop_length)
        if self.look_ahead < 0:
            raise ValueError(f"look_ahead={self.look_ahead}: expected 0 or more frames; 3 is usual")
        if self.n_iter < 0:
            raise ValueError(f"n_iter={self.n_iter}: expected 0 or more; 4 is usual")
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum={self.momentum}: expected 0 to 1, beyond which it diverges; 0.9 is usual")
        # Without the newest frame, samples put out need an eighth of their windows' squares: a hop up to 0.4 n_fft.
        if self.look_ahead == 0 and np.any(hops[1:].sum(axis=0) < hops.sum(axis=0) / 8):
            raise ValueError(
                f"look_ahead=0: frames overlap too little at hop_length={self.hop_length}; look ahead 1 frame, or take "
                f"a hop of n_fft // 4 = {self.n_fft // 4}"
            )

    @property
    def latency(self) -> int:
        """Samples from the first that a step returns to the centre of the frame it was given.

        Sound that must first be heard to be analysed comes out look_ahead * hop_length + n_fft samples late: a frame is
        known n_fft - n_fft // 2 samples after its centre.
        """
        return self.look_ahead * self.hop_length + self.n_fft // 2

    def start(self, *leading: int) -> StreamState:
        """The state before the first frame; `leading` are the sizes of the axes before the bins."""
        magnitude = jnp.zeros((*leading, self._held + 1, 1 + self.n_fft // 2), jnp.float32)
        spectrum = magnitude[..., 1:, :].astype(jnp.complex64)
        past = jnp.zeros((*leading, self._out * self.hop_length), jnp.float32)
        begin = (self._held + 1) * self.hop_length + self.n_fft // 2
        return StreamState(magnitude, spectrum, spectrum, past, jnp.int32(begin), jnp.int32(_OPEN))

    def step(self, state: StreamState, magnitude: Array) -> tuple[StreamState, Array]:
        """Takes the next frame, and puts out the next samples.

        Args:
          state: from `start` or the step before.
          magnitude: float32 [..., bins], >= 0, of any scale. It is not looked at once the stream has stopped.

        Returns:
          The next state, and float32 [..., hop_length] samples in the scale of `magnitude`.

        Raises:
          ValueError: magnitude is complex, not of the state's shape, or holds NaN or infinity (where it is not traced).
        """
        magnitude = _floats(magnitude)
        leading = {f"axis {axis}": size for axis, size in enumerate(state.magnitude.shape[:-2])}
        check_shape(magnitude, {**leading, "bins": 1 + self.n_fft // 2}, "magnitude")
        check_finite(magnitude)
        return _step(self, state, magnitude)

    def stop(self, state: StreamState, samples: int = 0) -> StreamState:
        """Says that the last frame was the last one; ceil(latency / hop_length) more steps put out what is left.

        Args:
          state: after the step of the last frame.
          samples: how many samples of sound there are from the centre of that frame on; behind them is silence.
        """
        return state._replace(end=jnp.int32(self._held * self.hop_length + self.n_fft // 2 + samples))

    @property
    def _out(self) -> int:
        """Frames that begin in samples already put out; at least enough to see how magnitudes change in time."""
        return max(-(-self.n_fft // self.hop_length) - 1, 1, 2 - self.look_ahead)

    @property
    def _held(self) -> int:
        """Frames that have phases."""
        return self._out + self.look_ahead

    @property
    def _transform(self) -> dict[str, int | str | None]:
        return {name: getattr(self, name) for name in ("n_fft", "hop_length", "win_length", "window")}

    def _squared(self) -> np.ndarray:
        return window_of(self.window, self.n_fft if self.win_length is None else self.win_length, self.n_fft) ** 2

    def _reach(self) -> np.ndarray:
        """The square of each held frame's window on the samples of the state, float32 [held, samples]."""
        reach = np.zeros((self._held, (self._held - 1) * self.hop_length + self.n_fft), np.float32)
        for frame, row in enumerate(reach):
            row[frame * self.hop_length :][: self.n_fft] = self._squared()
        return reach


def stream_griffin_lim(
    magnitude: Array,
    *,
    n_fft: int,
    hop_length: int,
    win_length: int | None = None,
    window: str = "hann",
    look_ahead: int = 3,
    n_iter: int = 4,
    momentum: float = 0.9,
    length: int | None = None,
) -> Array:
    """What a `PhaseStream` makes of a whole spectrogram, in one `lax.scan`.

    Each sample depends on the frames up to look_ahead beyond the last that reaches it and on none after, and is in the
    place where `griffin_lim` has it. The numbers are those of `PhaseStream.step` called frame by frame, to rounding.

    Args:
      magnitude: float32 [..., frames, bins], >= 0, of any scale.
      n_fft: samples per frame.
      hop_length: samples between frames, which are centred.
      win_length: samples of the window; all of the frame if None.
      window: "hann" or "hamming".
      look_ahead: frames known beyond the last that reaches a sample.
      n_iter: iterations at each step.
      momentum: how far each iteration overshoots, in [0, 1].
      length: samples to return; it must make as many frames as there are. If None, `sample_count(frames)`.

    Returns:
      float32 [..., samples], in the scale of `magnitude`. Silence in gives silence out.

    Raises:
      ValueError: magnitude is complex, not of 1 + n_fft // 2 bins, or holds NaN or infinity (where it is not traced);
        length does not fit its frames; or as in `PhaseStream`, where the references are.
    """
    stream = PhaseStream(n_fft, hop_length, win_length, window, look_ahead, n_iter, momentum)
    magnitude = _floats(magnitude)
    check_bins(magnitude, n_fft, "magnitude")
    check_finite(magnitude)
    frames = magnitude.shape[-2]
    natural = sample_count(frames, n_fft=n_fft, hop_length=hop_length)
    low, high, wanted = max(natural, 1), natural + hop_length - 1, natural if length is None else length
    if not low <= wanted <= high:
        way_out = f"give a length of {low} to {high}" if low <= high else "give more frames"
        raise ValueError(
            f"length={length}: {wanted} samples do not make the {frames} frames of magnitude "
            f"(n_fft={n_fft}, hop_length={hop_length}); {way_out}"
        )
    return _stream(stream, wanted, magnitude)


def _floats(magnitude: Array) -> Array:
    magnitude = jnp.asarray(magnitude)
    if not jnp.issubdtype(magnitude.dtype, jnp.floating):
        raise ValueError(f"magnitude: expected floats, got {magnitude.dtype}; take the abs of a complex spectrum first")
    return magnitude.astype(jnp.float32)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _stream(stream: PhaseStream, length: int, magnitude: Array) -> Array:
    *leading, frames, _ = magnitude.shape
    behind_last = length - (frames - 1) * stream.hop_length
    steps = -(-(length + stream.latency) // stream.hop_length)
    in_time = jnp.pad(jnp.moveaxis(magnitude, -2, 0), [(0, steps - frames)] + [(0, 0)] * (magnitude.ndim - 1))

    def step(state: StreamState, now: tuple[Array, Array]) -> tuple[StreamState, Array]:
        state, samples = stream.step(state, now[0])
        return state._replace(end=jnp.where(now[1], stream.stop(state, behind_last).end, state.end)), samples

    _, hops = lax.scan(step, stream.start(*leading), (in_time, np.arange(steps) == frames - 1))
    return jnp.moveaxis(hops, 0, -2).reshape(*leading, -1)[..., stream.latency : stream.latency + length]


@functools.partial(jax.jit, static_argnums=0)
def _step(stream: PhaseStream, state: StreamState, frame: Array) -> tuple[StreamState, Array]:
    held, hop, out = stream._held, stream.hop_length, stream._out * stream.hop_length
    begin = jnp.maximum(state.begin - hop, 0)
    end = jnp.where(state.end == _OPEN, _OPEN, jnp.maximum(state.end - hop, -1))
    centres = np.arange(held + 1) * hop + stream.n_fft // 2
    there = (begin <= centres) & (centres <= end)
    magnitude = _shift(state.magnitude, jnp.where(there[-1], frame, 0))

    # The frame before the newest gets its starting phases. A neighbour that is not there counts as its equal.
    before, middle, after = (magnitude[..., held + place, :] for place in (-2, -1, 0))
    three = [jnp.where(there[-3], before, middle), middle, jnp.where(there[-1], after, middle)]
    known = ScanFrames(*(values[..., 1, :] for values in scan_frames(jnp.stack(three, axis=-2), **stream._transform)))
    last = state.spectrum[..., -1, :]
    phases, _ = scan_step(jnp.where(last == 0, 0, jnp.angle(last)), known)  # the angle of -0 is pi
    start = middle * lax.complex(jnp.cos(phases), jnp.sin(phases))

    # istft divides by the windows of all frames; at the ends of the sound, only some of them are there.
    reach = stream._reach()
    present = there[:-1].astype(jnp.float32) @ reach
    place = np.arange(reach.shape[1])
    inside = (begin <= place) & (place < end) & (present > np.finfo(np.float32).tiny)
    gain = jnp.where(inside, reach.sum(axis=0) / jnp.where(inside, present, 1), 0)[out:]

    def wave_of(spectrum: Array) -> Array:
        wave = istft(spectrum, center=False, **stream._transform)
        return jnp.concatenate([state.past, wave[..., out:] * gain], axis=-1)

    def iterate(_: int, found: tuple[Array, Array]) -> tuple[Array, Array]:
        spectrum, previous = found
        rebuilt = stft(wave_of(spectrum), center=False, **stream._transform)
        target = rebuilt + stream.momentum * (rebuilt - previous)
        # abs neither overflows nor vanishes as squares do, and nothing stays nothing.
        unit = target * (1 / jnp.maximum(jnp.abs(target), np.finfo(np.float32).tiny))
        return unit * magnitude[..., :-1, :], rebuilt

    both = _shift(state.spectrum, start), _shift(state.rebuilt, start)
    spectrum, rebuilt = lax.fori_loop(0, stream.n_iter, iterate, both)
    past = wave_of(spectrum)[..., hop : out + hop]
    return StreamState(magnitude, spectrum, rebuilt, past, begin, end), past[..., out - hop :]


def _shift(frames: Array, newest: Array) -> Array:
    """Frames [..., frames, bins] without the oldest, and with the newest."""
    return jnp.concatenate([frames[..., 1:, :], newest[..., None, :]], axis=-2)
