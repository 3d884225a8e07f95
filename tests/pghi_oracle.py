"""Phase-gradient heap integration in its published form, a heap and one point at a time: the oracle of the starts."""

import heapq

import numba
import numpy as np

#: gamma / win_length ** 2 of each window, from the paper's toolbox (LTFAT, PHASERET).
GAMMA = {"hann": 0.25645, "hamming": 0.29794}


def heap_phases(magnitude, *, n_fft, hop_length, win_length=None, window="hann", tolerance=1e-6, seed=0):
    """Phases float64 [frames, bins] of one magnitude spectrogram, in the convention of `librosa.stft`.

    From the loudest point outwards: the loudest point whose neighbours are not all known hands its phase on, by the
    trapezoid rule. Points below `tolerance` times the largest get random phases.
    """
    win_length = win_length or n_fft
    gamma = GAMMA[window] * win_length**2
    largest = max(float(np.max(magnitude)), np.finfo(np.float32).tiny)
    relative = np.asarray(magnitude, np.float64) / largest
    logs = np.log(np.maximum(relative, 1e-10))
    bins = np.arange(logs.shape[1])
    by_bin = np.gradient(logs, axis=1)
    by_bin[:, [0, -1] if n_fft % 2 == 0 else [0]] = 0
    by_frame = np.gradient(logs, axis=0) if len(logs) > 1 else np.zeros_like(logs)
    centre = (n_fft - win_length) // 2 + win_length / 2
    along_time = 2 * np.pi * hop_length * bins / n_fft + hop_length * n_fft / gamma * by_bin
    along_bins = -2 * np.pi * centre / n_fft - gamma / (hop_length * n_fft) * by_frame
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, logs.shape)
    order = np.argsort(-relative, axis=None, kind="stable")
    _integrate(relative, along_time, along_bins, phases, order[relative.ravel()[order] > tolerance])
    return phases


@numba.njit
def _integrate(magnitude, along_time, along_bins, phases, order):
    frames, bins = magnitude.shape
    known = np.ones((frames, bins), np.bool_)
    for index in order:
        known[index // bins, index % bins] = False
    for index in order:  # loudest first; each that is still unknown starts an island of its own
        t, k = index // bins, index % bins
        if known[t, k]:
            continue
        known[t, k] = True
        phases[t, k] = 0
        heap = [(-magnitude[t, k], t, k)]
        while heap:
            _, t, k = heapq.heappop(heap)
            if t + 1 < frames and not known[t + 1, k]:
                phases[t + 1, k] = phases[t, k] + (along_time[t, k] + along_time[t + 1, k]) / 2
                known[t + 1, k] = True
                heapq.heappush(heap, (-magnitude[t + 1, k], t + 1, k))
            if t > 0 and not known[t - 1, k]:
                phases[t - 1, k] = phases[t, k] - (along_time[t, k] + along_time[t - 1, k]) / 2
                known[t - 1, k] = True
                heapq.heappush(heap, (-magnitude[t - 1, k], t - 1, k))
            if k + 1 < bins and not known[t, k + 1]:
                phases[t, k + 1] = phases[t, k] + (along_bins[t, k] + along_bins[t, k + 1]) / 2
                known[t, k + 1] = True
                heapq.heappush(heap, (-magnitude[t, k + 1], t, k + 1))
            if k > 0 and not known[t, k - 1]:
                phases[t, k - 1] = phases[t, k] - (along_bins[t, k] + along_bins[t, k - 1]) / 2
                known[t, k - 1] = True
                heapq.heappush(heap, (-magnitude[t, k - 1], t, k - 1))
