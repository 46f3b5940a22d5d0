"""Stereo: is the sound on the side where it should be, and by which cues."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import scipy.fft
from jaxtyping import Float

from vta.signals import loudness, timing

# Level difference from which a block of the truth has a side, dB. Equal-power
# panning reaches it at 7 % of the way from the centre.
_SIDED = 1.0
_BLOCK = 1 / 6  # s
_SILENT = 1e-6  # mean square of a block, -60 dB of full scale
_FARTHEST = 1e-3  # s: more than a head is wide
_FINER = 4  # lags per sample


@dataclasses.dataclass(frozen=True, kw_only=True)
class PanScore:
  """Attributes:
  accuracy: share of the truth's sided energy with the right sign; NaN when
    no block of the truth has a side.
  blocks: how many blocks of the truth have one.
  """

  accuracy: float
  blocks: int


def pan_sign(
  truth: Float[np.ndarray, "t 2"],
  generated: Float[np.ndarray, "s 2"],
  *,
  rate: int = timing.SAMPLE_RATE,
) -> PanScore:
  """Whether the louder channel is the right one, in blocks of 1/6 s.

  Blocks weigh as much as the truth's energy in them, so that a loud impact
  counts and the noise between impacts does not. A block that is silent or
  centred in `generated` is wrong, one beyond its end too.
  """
  right, weight = _levels(truth, rate)
  found, _ = _levels(generated, rate)
  found = _fit(found, len(right))
  sided = np.abs(right) > _SIDED
  if not sided.any():
    return PanScore(accuracy=float("nan"), blocks=0)
  agree = np.sign(right) == np.sign(found)
  return PanScore(
    accuracy=float(np.average(agree[sided], weights=weight[sided])),
    blocks=int(sided.sum()),
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InterauralScore:
  """Mean absolute differences, blocks weighing as the truth's energy.

  Attributes:
    time: of the interaural time difference, ms; NaN where the truth is silent.
    level: of the interaural level difference, dB; likewise.
    blocks: how many blocks of the truth sound.
  """

  time: float
  level: float
  blocks: int


def interaural_error(
  truth: Float[np.ndarray, "t 2"],
  generated: Float[np.ndarray, "s 2"],
  *,
  rate: int = timing.SAMPLE_RATE,
) -> InterauralScore:
  """How far the cues by which ears find a side are from the truth's.

  In blocks of 1/6 s in which the truth is above -60 dB of full scale. Where
  the generated sound is silent or over, both its differences are zero. The
  error is ours: public code (SoundReactor's stereo FAD) makes a Frechet
  distance of time differences, which asks nothing of the single clip.
  """
  level, energy = _levels(truth, rate)
  sounds = energy / (2 * _BLOCK * rate) > _SILENT
  if not sounds.any():
    return InterauralScore(time=np.nan, level=np.nan, blocks=0)
  found = _fit(_levels(generated, rate)[0], len(level))
  early = time_differences(truth, rate=rate)
  late = _fit(time_differences(generated, rate=rate), len(level))

  def error(one, other):
    apart = np.abs(one - other)[sounds]
    return float(np.average(apart, weights=energy[sounds]))

  return InterauralScore(
    time=error(early, late),
    level=error(level, found),
    blocks=int(sounds.sum()),
  )


def time_differences(
  wave: Float[np.ndarray, "t 2"], *, rate: int = timing.SAMPLE_RATE
) -> Float[np.ndarray, " n"]:
  """By how much the right channel leads, ms, in blocks of 1/6 s.

  The highest peak within 1 ms of the channels' cross-correlation with the
  phase transform (GCC-PHAT, Knapp and Carter 1976), on a grid of a quarter of
  a sample. A sound that is panned by level alone has 0, silence too; channels
  that have nothing in common have anything.
  """
  edges = _edges(len(wave), rate)
  wave = wave.astype(np.float64)
  # The last block may be half as long again; twice that wraps nothing around.
  size = scipy.fft.next_fast_len(round(3 * _BLOCK * rate), real=True)
  reach = int(_FARTHEST * rate * _FINER)
  lags = np.arange(-reach, reach + 1)
  found = np.zeros(len(edges) - 1)
  for i, (begin, end) in enumerate(itertools.pairwise(edges)):
    left, right = scipy.fft.rfft(wave[begin:end].T, size)
    cross = left * right.conj()
    strength = np.abs(cross)
    # Bins 60 dB below the loudest hold rounding, whose phase says nothing.
    cross /= strength + 1e-6 * strength.max() + 1e-30
    correlation = scipy.fft.irfft(cross, size * _FINER)[lags]
    # Of equal peaks, as in silence, the one nearest to the centre.
    best = np.flatnonzero(correlation >= correlation.max() - 1e-12)
    lag = lags[best[np.argmin(np.abs(lags[best]))]]
    found[i] = 1000 * lag / (_FINER * rate)
  return found


def _fit(values, count):
  """As many blocks as the truth has; what is missing is centred."""
  return np.pad(values, (0, max(0, count - len(values))))[:count]


def _edges(samples, rate):
  size = _BLOCK * rate
  count = max(1, round(samples / size))
  edges = np.minimum(np.round(np.arange(count + 1) * size), samples)
  edges = edges.astype(np.int64)
  edges[-1] = samples
  return edges


def _levels(wave, rate):
  """Each block's level difference, dB, and its energy."""
  edges = _edges(len(wave), rate)
  lengths = np.diff(edges)
  energy = loudness.mean_square(wave, edges[:-1], edges[1:]) * lengths[:, None]
  return _decibel_ratio(energy), energy.sum(axis=1)


def _decibel_ratio(energy):
  """Right over left, dB, of [..., 2]; the floor keeps silence at 0."""
  safe = np.maximum(energy, 1e-12)
  return np.clip(10 * np.log10(safe[..., 1] / safe[..., 0]), -60.0, 60.0)
