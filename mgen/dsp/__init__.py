"""Signal processing: pure functions of arrays, batched over leading axes, jit-able and differentiable.

    wave -> stft -> spectrum -> istft -> wave
    wave -> mel_spectrogram -> mel -> power_to_decibels -> what a model sees
    wave -> mdct -> coefficients -> imdct -> wave
    mel -> mel_to_magnitude -> magnitude -> griffin_lim -> wave
    batches and long files: invert, invert_mel; while the frames arrive: PhaseStream

Names, numbers and defaults are librosa's; only the axes differ, time coming before frequency.
"""

from mgen.dsp.decibels import amplitude_to_decibels, decibels_to_amplitude, decibels_to_power, power_to_decibels
from mgen.dsp.effects import distortion, low_pass, reverb, slow_attack, vibrato
from mgen.dsp.inversion import invert, invert_mel
from mgen.dsp.mdct import imdct, mdct
from mgen.dsp.mel import mel_filters, mel_frequencies, mel_spectrogram
from mgen.dsp.mel_inversion import mel_to_audio
from mgen.dsp.mel_solver import mel_to_magnitude
from mgen.dsp.phase import griffin_lim
from mgen.dsp.phase_gradient import phase_gradient
from mgen.dsp.phase_scan import ScanFrames, scan_frames, scan_phases, scan_step
from mgen.dsp.phase_tree import tree_phases
from mgen.dsp.stereo import widen
from mgen.dsp.stft import frame_count, istft, sample_count, stft, window
from mgen.dsp.streaming import PhaseStream, StreamState, stream_griffin_lim
from mgen.dsp.time_warp import resample_at, time_stretch

__all__ = [
    "PhaseStream",
    "ScanFrames",
    "StreamState",
    "amplitude_to_decibels",
    "decibels_to_amplitude",
    "decibels_to_power",
    "distortion",
    "frame_count",
    "griffin_lim",
    "imdct",
    "invert",
    "invert_mel",
    "istft",
    "low_pass",
    "mdct",
    "mel_filters",
    "mel_frequencies",
    "mel_spectrogram",
    "mel_to_audio",
    "mel_to_magnitude",
    "phase_gradient",
    "power_to_decibels",
    "resample_at",
    "reverb",
    "sample_count",
    "scan_frames",
    "scan_phases",
    "scan_step",
    "slow_attack",
    "stft",
    "stream_griffin_lim",
    "time_stretch",
    "tree_phases",
    "vibrato",
    "widen",
    "window",
]
