"""Stereo: is the sound on the side where it should be."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from vta.signals import loudness, timing

# Level difference from which a block of the truth has a side, dB. Equal-power
# panning reaches it at 7 % of the way from the centre.
_SIDED = 1.0
_BLOCK = 1 / 6  # s


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
  found = np.pad(found, (0, max(0, len(right) - len(found))))[: len(right)]
  sided = np.abs(right) > _SIDED
  if not sided.any():
    return PanScore(accuracy=float("nan"), blocks=0)
  agree = np.sign(right) == np.sign(found)
  return PanScore(
    accuracy=float(np.average(agree[sided], weights=weight[sided])),
    blocks=int(sided.sum()),
  )


def level_difference(wave: Float[np.ndarray, "t 2"]) -> float:
  """Right minus left, dB, energy of the whole wave; within +-60.

  Positive is right. 0 for silence.
  """
  return float(_decibel_ratio(np.square(wave, dtype=np.float64).sum(axis=0)))


def _levels(wave, rate):
  """Each block's level difference, dB, and its energy."""
  size = _BLOCK * rate
  count = max(1, round(len(wave) / size))
  edges = np.minimum(np.round(np.arange(count + 1) * size), len(wave))
  edges = edges.astype(np.int64)
  edges[-1] = len(wave)
  lengths = np.diff(edges)
  energy = loudness.mean_square(wave, edges[:-1], edges[1:]) * lengths[:, None]
  return _decibel_ratio(energy), energy.sum(axis=1)


def _decibel_ratio(energy):
  """Right over left, dB, of [..., 2]; the floor keeps silence at 0."""
  safe = np.maximum(energy, 1e-12)
  return np.clip(10 * np.log10(safe[..., 1] / safe[..., 0]), -60.0, 60.0)
