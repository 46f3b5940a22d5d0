"""How well scores tell what sounds from what does not."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Real


def average_precision(
  target: Real[np.ndarray, " n"] | Bool[np.ndarray, " n"],
  score: Float[np.ndarray, " n"],
) -> float:
  """Area under precision over recall, as scikit-learn's function of that name.

  A sum of precision times the recall won at every distinct score, from the
  highest down; nothing is interpolated. A constant score has the share of ones
  in `target`.

  Args:
    target: 0 or 1; anything above 0.5 counts as 1.
    score: higher for what is more likely 1.

  Returns:
    0 to 1; 0 where nothing is 1.
  """
  right = target > 0.5
  if not right.any():
    return 0.0
  order = np.argsort(-score, kind="stable")
  # Equal scores are told apart by no threshold: only their last counts.
  last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
  hits = np.cumsum(right[order])[last]
  precision, recall = hits / (last + 1), hits / hits[-1]
  return float(np.sum(precision * np.diff(recall, prepend=0.0)))
