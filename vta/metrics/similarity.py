"""Scores of embeddings side by side: cosines, and who has the highest."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def cosine(
  first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "m d2"]
) -> Float[np.ndarray, " n"]:
  """Cosine of each pair of rows, -1 to 1; 0 where a row is all zeros.

  The CLAP, ImageBind and CLIP scores are its mean; av-benchmark prints
  ImageBind's times 100.

  Raises:
    ValueError: the shapes differ.
  """
  if first.shape != second.shape:
    raise ValueError(f"shapes {first.shape} and {second.shape} differ")
  one, other = first.astype(np.float64), second.astype(np.float64)
  lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
  return (one * other).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)


def clap_top(scores: Float[np.ndarray, "s n"]) -> Float[np.ndarray, " s"]:
  """SonicVisionLM's CLAP-top: each system's share of the clips that it wins.

  It depends on which systems are compared. Ours: systems that share a clip's
  highest score share the clip, so that the shares sum to one.

  Args:
    scores: per system and clip, higher is better.

  Returns:
    0 to 1 per system.

  Raises:
    ValueError: no clips, or a score that is not finite.
  """
  if not scores.size or not np.isfinite(scores).all():
    raise ValueError("CLAP-top needs a finite score of every system and clip")
  best = scores == scores.max(axis=0)
  return (best / best.sum(axis=0)).mean(axis=1)
