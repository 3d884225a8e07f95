"""What a model sees of a waveform, and the way back: one frozen dataclass per representation, one file each.

Each is scaled to about [-1, 1] by a fixed rule for every item by itself, runs on the device inside the compiled step,
and says in its docstring what it loses.
"""

from mgen.features.complex_stft import ComplexStft
from mgen.features.fft_blocks import FftBlocks
from mgen.features.instantaneous_frequency import InstantaneousFrequency
from mgen.features.log_mel import LogMel
from mgen.features.log_stft import LogStft
from mgen.features.waveform import Waveform

__all__ = ["ComplexStft", "FftBlocks", "InstantaneousFrequency", "LogMel", "LogStft", "Waveform"]
