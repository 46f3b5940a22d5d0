"""The noise that stands for what a codec with a lapped transform does not say.

Every sound is decoded with the same noise, as vta was trained to: JAX's
jax.random.normal(jax.random.key(0), shape). To sound the same without JAX it is
computed again here: Threefry-2x32 (Salmon et al. 2011) of each element's
position, 23 bits of it as a uniform number, the inverse of the error function.
Since an element depends on its position alone, a longer sound begins with a
shorter one's noise.
"""

from __future__ import annotations

import math

import numpy as np
import torch

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_KEY = (0, 0, 0x1BD11BDA)  # of seed 0: high, low, and their parity
_LOWEST = np.nextafter(np.float32(-1), np.float32(0))


def _threefry(high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, ...]:
  """20 rounds on pairs of uint32."""
  key = [np.uint32(word) for word in _KEY]
  high, low = high + key[0], low + key[1]
  for i in range(5):
    for rotation in _ROTATIONS[i % 2]:
      high = high + low
      low = (low << np.uint32(rotation)) | (low >> np.uint32(32 - rotation))
      low = low ^ high
    high = high + key[(i + 1) % 3]
    low = low + key[(i + 2) % 3] + np.uint32(i + 1)
  return high, low


def normal(rows: int, columns: int) -> torch.Tensor:
  """Standard normal numbers, float32 [rows, columns]."""
  position = np.arange(rows * columns, dtype=np.uint64)
  high, low = _threefry(
    (position >> np.uint64(32)).astype(np.uint32), position.astype(np.uint32)
  )
  # 23 bits behind the exponent of 1: a number from 1 to 2.
  bits = ((high ^ low) >> np.uint32(9)) | np.uint32(0x3F800000)
  uniform = bits.view(np.float32) - np.float32(1)
  uniform = uniform * (np.float32(1) - _LOWEST) + _LOWEST
  uniform = torch.from_numpy(np.maximum(uniform, _LOWEST))
  return (math.sqrt(2) * torch.erfinv(uniform)).reshape(rows, columns)
