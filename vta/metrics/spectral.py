"""Spectra: distances to the true sound, and which source is heard.

The multi-resolution distance is that of Parallel WaveGAN (Yamamoto et al.
2020, arXiv 1910.11480) with auraloss's resolutions, per channel.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.optimize
import scipy.signal
from jaxtyping import Float

from vta.signals import timing

# (FFT, hop, window) in samples: auraloss.freq.MultiResolutionSTFTLoss.
_RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
_EPSILON = 1e-8  # power below which all is silence: -80 dB of a magnitude
_BANDS = 40
_FLOOR = 1e-6  # of a band's power: below it the band is taken for empty
# What all bins of a full sine's 2048 Hann-windowed samples hold: half of its
# square is in the positive frequencies, 3/8 is the window's mean square.
_SINE = 2048**2 * 0.5 * 0.375 / 2


def log_spectral_distance(
  truth: Float[np.ndarray, "t c"], generated: Float[np.ndarray, "s c"]
) -> float:
  """RMS over frequency of the difference of log power, mean over time, dB.

  Windows of 2048 samples every 512. Gray and Markel 1976.
  """
  _check_same(truth, generated)
  total = 0.0
  for x, y in zip(truth.T, generated.T, strict=True):
    difference = 20 * np.log10(
      _magnitude(y, 2048, 512, 2048) / _magnitude(x, 2048, 512, 2048)
    )
    total += np.sqrt(np.square(difference).mean(axis=1)).mean()
  return float(total / truth.shape[1])


def multi_resolution_distance(
  truth: Float[np.ndarray, "t c"], generated: Float[np.ndarray, "s c"]
) -> float:
  """Spectral convergence plus L1 of log magnitudes, mean over resolutions.

  Not symmetric: the convergence is relative to the truth's magnitude.
  """
  _check_same(truth, generated)
  total = 0.0
  for x, y in zip(truth.T, generated.T, strict=True):
    for fft, hop, window in _RESOLUTIONS:
      right = _magnitude(x, fft, hop, window)
      found = _magnitude(y, fft, hop, window)
      total += np.linalg.norm(right - found) / np.linalg.norm(right)
      total += np.abs(np.log(right / found)).mean()
  return float(total / (truth.shape[1] * len(_RESOLUTIONS)))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SourceEnergies:
  """Attributes:
  energy: of each stem in the generated sound: mean power of the frames.
  explained: 1 - |residual|^2 / |power|^2, at most 1; NaN for silence.
  overlap: largest cosine between two stems' envelopes; near 1 the sources
    sound alike and their energies cannot be told apart.
  """

  energy: Float[np.ndarray, " k"]
  explained: float
  overlap: float

  def ratio_db(self, first: int, second: int) -> float:
    """Energy of one stem relative to another, dB, within +-60."""
    one, other = np.maximum(self.energy[[first, second]], 1e-12)
    return float(np.clip(10 * np.log10(one / other), -60.0, 60.0))


def source_energies(
  stems: Float[np.ndarray, "k t 2"],
  generated: Float[np.ndarray, "s 2"],
  *,
  rate: int = timing.SAMPLE_RATE,
) -> SourceEnergies:
  """How much of each true stem is heard in a generated sound.

  The test of a mask: the source that is masked out must fall against the one
  that is kept. A generated wave never matches a stem sample by sample, so it
  is projected on spectral envelopes:

    e_k(b) = mean power of stem k in mel band b, scaled to sum_b e_k(b) = 1;
    p(b) = mean power of the generated sound in band b;
    energy = argmin_{a >= 0} sum_b (p(b) - sum_k a_k e_k(b))^2.

  Frames of 2048 samples every 1024, 40 mel bands of 20 Hz to rate / 2, both
  channels added in power. Powers are averaged before the fit: fitted frame by
  frame, the randomness of each frame's spectrum would be heard as sources that
  are not there. A stem's timing plays no part. A silent stem has an empty
  envelope and energy 0.
  """
  bands = _mel_bands(rate)
  envelopes = np.stack([_band_power(s, bands).mean(axis=0) for s in stems])
  totals = envelopes.sum(axis=1, keepdims=True)
  envelopes = envelopes / np.where(totals > 0, totals, 1.0)
  power = _band_power(generated, bands).mean(axis=0)
  # The solver's tolerance is absolute: it gets numbers around one.
  scale = power.max() or 1.0
  energy = scipy.optimize.nnls(envelopes.T, power / scale)[0] * scale
  left = np.square(power - energy @ envelopes).sum()
  whole = np.square(power).sum()
  norms = np.linalg.norm(envelopes, axis=1, keepdims=True)
  unit = envelopes / np.where(norms > 0, norms, 1.0)
  cosines = (unit @ unit.T)[~np.eye(len(stems), dtype=bool)]
  return SourceEnergies(
    energy=energy,
    explained=float(1 - left / whole) if whole else float("nan"),
    overlap=float(cosines.max(initial=0.0)),
  )


def band_levels(
  wave: Float[np.ndarray, "t 2"],
  *,
  seconds: float | None = None,
  rate: int = timing.SAMPLE_RATE,
) -> Float[np.ndarray, "n 40"]:
  """Mean power in each of 40 mel bands, dB; at least -60.

  Both channels added in power. A sine of full scale in one channel is at 0.

  Args:
    wave: the sound.
    seconds: of each row, what is left over falling away; None is one row for
      everything.
    rate: of the wave, Hz.
  """
  power = _band_power(wave, _mel_bands(rate)) / _SINE
  count = len(power) if seconds is None else round(seconds * rate / 1024)
  rows = power[: len(power) // count * count].reshape(-1, count, _BANDS)
  return 10.0 * np.log10(np.maximum(rows.mean(axis=1), _FLOOR))


def _check_same(truth, generated):
  if truth.shape != generated.shape:
    raise ValueError(f"shapes {truth.shape} and {generated.shape} differ")


def _magnitude(x, fft, hop, window):
  """Magnitudes [frames, bins] as torch.stft's: centred, reflected ends."""
  return np.sqrt(np.maximum(_power(x, fft, hop, window), _EPSILON))


def _power(x, fft, hop, window):
  shape = scipy.signal.get_window("hann", window)
  left = (fft - window) // 2
  shape = np.pad(shape, (left, fft - window - left))
  padded = np.pad(x.astype(np.float64), fft // 2, mode="reflect")
  frames = np.lib.stride_tricks.sliding_window_view(padded, fft)[::hop]
  found = np.fft.rfft(frames * shape, axis=1)
  # Not np.abs: its square root would be squared again.
  return np.square(found.real) + np.square(found.imag)


def _band_power(wave, bands):
  power = sum(_power(channel, 2048, 1024, 2048) for channel in wave.T)
  return power @ bands


def _mel_bands(rate):
  """Which of 1025 bins fall into which of 40 bands of equal mel width."""
  mel = 2595 * np.log10(1 + np.array([20.0, rate / 2]) / 700)
  edges = 700 * (10 ** (np.linspace(*mel, _BANDS + 1) / 2595) - 1)
  band = np.searchsorted(edges, np.fft.rfftfreq(2048, 1 / rate), "right") - 1
  return (band[:, None] == np.arange(_BANDS)[None]).astype(np.float64)
