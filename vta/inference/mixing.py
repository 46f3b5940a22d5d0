"""Tracks to one soundtrack: gain, pan, sum, and one gain for the peak."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

CEILING_DB = -1.0  # dBFS that no sample passes


def place(
  wave: Float[np.ndarray, "t 2"], *, gain_db: float, pan: float
) -> Float[np.ndarray, "t 2"]:
  """Applies a track's gain and balance.

  Args:
    wave: the track as generated.
    gain_db: dB.
    pan: -1 left .. 1 right; a stereo balance of equal power, unity at 0.
  """
  angle = (pan + 1.0) * math.pi / 4.0
  sides = math.sqrt(2.0) * np.array([math.cos(angle), math.sin(angle)])
  gain = 10.0 ** (gain_db / 20.0)
  return (wave * (gain * sides)[None]).astype(np.float32)


def mix(
  tracks: Sequence[Float[np.ndarray, "t 2"]],
) -> tuple[Float[np.ndarray, "t 2"], list[Float[np.ndarray, "t 2"]], float]:
  """Sums placed tracks and keeps the sum's peak under the ceiling.

  One gain for everything keeps what was asked for in proportion, and the
  stems still sum to the mix.

  Returns:
    the mix, the stems after that gain, and the gain in dB (0 or less).
  """
  total = np.sum(tracks, axis=0)
  ceiling = 10.0 ** (CEILING_DB / 20.0)
  # A hair below: 16-bit rounding must not lift a sample over the ceiling.
  gain = min(1.0, 0.9999 * ceiling / max(float(np.abs(total).max()), 1e-9))
  stems = [np.float32(gain) * track for track in tracks]
  return np.float32(gain) * total, stems, 20.0 * math.log10(gain)
