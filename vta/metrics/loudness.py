"""Loudness: how close the obtained curve is to the requested one, and peaks.

No public repository has a LUFS-curve error (metrics.md 3b); this one is ours:
momentary loudness per channel in blocks of 1/6 s (`vta.signals.loudness`).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import soxr
from jaxtyping import Float

from vta.signals import loudness as loudness_lib
from vta.signals import timing
from vta.signals.loudness import Loudness

AUDIBLE = -60.0  # LUFS


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LoudnessScore:
  """Left and right; NaN where there is nothing to measure.

  Attributes:
    error: mean absolute difference, LU.
    correlation: Pearson's; NaN also where a curve is constant.
    blocks: how many blocks were compared.
  """

  error: Float[np.ndarray, " 2"]
  correlation: Float[np.ndarray, " 2"]
  blocks: tuple[int, int]


def compare(requested: Loudness, obtained: Loudness) -> LoudnessScore:
  """Compares two curves at the stamps of the obtained one.

  Only blocks in which either curve is above `AUDIBLE` count: agreement on
  silence is easy and would hide everything else.
  """
  wanted = requested.resample(obtained.times).lufs
  got = obtained.lufs
  audible = np.maximum(wanted, got) > AUDIBLE
  error, correlation = np.full(2, np.nan), np.full(2, np.nan)
  for channel in range(2):
    here = audible[:, channel]
    x, y = wanted[here, channel], got[here, channel]
    if len(x):
      error[channel] = np.abs(x - y).mean()
    if len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0:
      correlation[channel] = np.corrcoef(x, y)[0, 1]
  left, right = audible.sum(axis=0)
  return LoudnessScore(
    error=error, correlation=correlation, blocks=(int(left), int(right))
  )


def integrated(
  wave: Float[np.ndarray, "t c"], *, rate: int = timing.SAMPLE_RATE
) -> float:
  """Integrated loudness of the whole wave, LUFS (BS.1770-4, both gates).

  Blocks of 0.4 s every 0.1 s, channels added in power; blocks below -70 LUFS
  do not count, nor those more than 10 LU below the mean of the rest. -inf when
  nothing is left or the wave is shorter than a block.
  """
  power = _block_power(wave, 0.4, rate)
  power = power[_lufs(power) >= loudness_lib.FLOOR]
  if not len(power):
    return -np.inf
  power = power[_lufs(power) > _lufs(power.mean()) - 10.0]
  return float(_lufs(power.mean()))


def loudness_range(
  wave: Float[np.ndarray, "t c"], *, rate: int = timing.SAMPLE_RATE
) -> float:
  """Loudness range, LU (EBU Tech 3342): between percentiles 10 and 95.

  Of short-term loudness, in blocks of 3 s every 0.1 s; blocks below -70 LUFS
  do not count, nor those more than 20 LU below the mean power of the rest. NaN
  when nothing is left or the wave is shorter than a block.
  """
  lufs = _lufs(_block_power(wave, 3.0, rate))
  lufs = lufs[lufs >= loudness_lib.FLOOR]
  if not len(lufs):
    return np.nan
  mean = 10 * np.log10(np.mean(10 ** (lufs / 10)))
  low, high = np.percentile(lufs[lufs >= mean - 20.0], [10, 95])
  return float(high - low)


def _block_power(wave, seconds, rate):
  """K-weighted power of whole blocks every 0.1 s, channels added."""
  weighted = loudness_lib.k_weight(wave, rate=rate)
  # A last block that is not whole does not count.
  count = math.floor((len(wave) / rate - seconds) / 0.1 + 1e-6) + 1
  starts = 0.1 * np.arange(max(count, 0))
  begin = (starts * rate).astype(np.int64)
  end = ((starts + seconds) * rate).astype(np.int64)
  return loudness_lib.mean_square(weighted, begin, end).sum(axis=1)


def _lufs(power):
  return -0.691 + 10.0 * np.log10(np.maximum(power, 1e-30))


def silence_rate(obtained: Loudness) -> float:
  """Share of blocks in which neither channel is above `AUDIBLE`."""
  return float(np.mean(obtained.lufs.max(axis=1) <= AUDIBLE))


def true_peak(wave: Float[np.ndarray, "t 2"]) -> float:
  """The wave's peak between its samples, dBTP: BS.1770 annex 2's 4x, by soxr.

  -inf for a wave of zeros.

  Raises:
    ValueError: the wave has no samples.
  """
  if not len(wave):
    raise ValueError("a wave without samples has no peak")
  # The resampler may miss a sample's own peak by its ripple.
  dense = soxr.resample(wave, 1, 4, quality="VHQ")
  peak = max(np.abs(wave).max(), np.abs(dense).max(initial=0.0))
  return float(20 * np.log10(peak)) if peak > 0 else -np.inf
