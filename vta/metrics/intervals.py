"""Overlap of two accounts of when something sounds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int, Real


def event_iou(
  first: Real[np.ndarray, " n"] | Bool[np.ndarray, " n"],
  second: Real[np.ndarray, " m"] | Bool[np.ndarray, " m"],
) -> float:
  """Intersection over union of two 0/1 vectors on the same time stamps.

  SonicVisionLM's IoU (papers.md 2.4), which it gives in percent. Ours: two
  silent vectors agree, 1.

  Args:
    first: 0 or 1; anything above 0.5 counts as 1.
    second: likewise.
  """
  if first.shape != second.shape:
    raise ValueError(f"{first.shape} and {second.shape} values")
  one, other = first > 0.5, second > 0.5
  union = np.count_nonzero(one | other)
  return np.count_nonzero(one & other) / union if union else 1.0


def time_accuracy(
  reference: Int[np.ndarray, " n"], estimated: Int[np.ndarray, " m"]
) -> float:
  """Share of clips that have as many events as they should.

  SonicVisionLM's Time Acc (papers.md 2.4), and on onsets its Onset Acc; where
  they lie plays no part, so a table has `event_iou` beside it. NaN for none.

  Args:
    reference: each clip's number of events that there should be.
    estimated: that there are.
  """
  if reference.shape != estimated.shape:
    raise ValueError(f"{reference.shape} and {estimated.shape} clips")
  return float(np.mean(reference == estimated)) if len(reference) else np.nan
