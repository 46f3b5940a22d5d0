"""Overlap of two accounts of when something sounds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Real


def event_iou(
  first: Real[np.ndarray, " n"] | Bool[np.ndarray, " n"],
  second: Real[np.ndarray, " m"] | Bool[np.ndarray, " m"],
) -> float:
  """Intersection over union of two 0/1 vectors on the same time stamps.

  Two silent vectors agree: 1.

  Args:
    first: 0 or 1; anything above 0.5 counts as 1.
    second: likewise.
  """
  if first.shape != second.shape:
    raise ValueError(f"{first.shape} and {second.shape} values")
  one, other = first > 0.5, second > 0.5
  union = np.count_nonzero(one | other)
  return np.count_nonzero(one & other) / union if union else 1.0
