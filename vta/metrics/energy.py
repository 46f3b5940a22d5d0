"""Energy over time, frame by frame: two published errors.

Both hear mono at 16 kHz and neither hears pitch or sides.
"""

from __future__ import annotations

import numpy as np
import soxr
from jaxtyping import Float

from vta.signals import timing

_RATE = 16_000
# AudioLDM's mel: FFT and window, hop, bands up to 8 kHz.
_SIZE, _HOP, _BANDS = 1024, 160, 64


def rms_error(
  truth: Float[np.ndarray, "t c"],
  generated: Float[np.ndarray, "s c"],
  *,
  rate: int = timing.SAMPLE_RATE,
) -> float:
  """Video-Foley's E-L1: mean absolute difference of RMS, of full scale.

  Frames of 512 samples every 128, ends reflected (evaluate_v2s.py in
  jnwnlee/video-foley).

  Raises:
    ValueError: the waves differ in shape.
  """
  one, other = _mono(truth, generated, rate)
  return float(np.abs(_rms(one) - _rms(other)).mean())


def mel_error(
  truth: Float[np.ndarray, "t c"],
  generated: Float[np.ndarray, "s c"],
  *,
  rate: int = timing.SAMPLE_RATE,
) -> float:
  """ReWaS's energy MAE: of each frame's mean log mel magnitude, nepers.

  AudioLDM's 64 bands to 8 kHz, frames of 1024 samples every 160, magnitudes at
  least 1e-5 (eval_MAE.py in naver-ai/rewas). Ours: the waves as they are,
  where its loader also brings each to half of full scale, which hides gain.

  Raises:
    ValueError: the waves differ in shape.
  """
  one, other = _mono(truth, generated, rate)
  return float(np.abs(_log_mel(one) - _log_mel(other)).mean())


def _mono(truth, generated, rate):
  if truth.shape != generated.shape:
    raise ValueError(f"shapes {truth.shape} and {generated.shape} differ")
  return [
    soxr.resample(wave.mean(axis=1), rate, _RATE) for wave in (truth, generated)
  ]


def _frames(wave, size, hop, pad):
  padded = np.pad(wave, pad, mode="reflect")
  return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]


def _rms(wave):
  padded = np.pad(wave, 256, mode="reflect")
  # A frame is four hops: each hop's squares are added once.
  hops = padded[: len(padded) // 128 * 128].reshape(-1, 128)
  power = np.square(hops, dtype=np.float64).sum(axis=1)
  frames = np.lib.stride_tricks.sliding_window_view(power, 4)
  return np.sqrt(frames.sum(axis=1) / 512)


def _log_mel(wave):
  import librosa  # 1 s to import

  window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_SIZE) / _SIZE)
  frames = _frames(wave, _SIZE, _HOP, (_SIZE - _HOP) // 2)
  magnitude = np.abs(np.fft.rfft(frames * window, axis=1))
  bands = librosa.filters.mel(
    sr=_RATE, n_fft=_SIZE, n_mels=_BANDS, fmin=0, fmax=8000
  )
  mel = magnitude @ bands.T
  return np.log(np.maximum(mel, 1e-5)).mean(axis=1)
