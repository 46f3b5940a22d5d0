"""The Frechet distance between two sets of features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def distance(
  first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "m d"]
) -> float:
  """Squared, between the normal distributions that the sets look like.

  |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2), Dowson and Landau 1982; FID, FAD
  and FD are this on different features. Covariances are unbiased. The trace of
  the root is taken from S1^1/2 S2 S1^1/2, which is symmetric: no imaginary
  parts, and a set with fewer rows than features needs no correction.

  Raises:
    ValueError: a set has fewer than two rows.
  """
  if min(len(first), len(second)) < 2:
    raise ValueError(f"{len(first)} and {len(second)} rows have no covariance")
  first, second = first.astype(np.float64), second.astype(np.float64)
  apart = np.square(first.mean(axis=0) - second.mean(axis=0)).sum()
  one, other = np.cov(first.T), np.cov(second.T)
  one, other = np.atleast_2d(one), np.atleast_2d(other)
  values, vectors = np.linalg.eigh(one)
  root = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
  common = np.linalg.eigvalsh(root @ other @ root)
  shared = np.sqrt(np.maximum(common, 0.0)).sum()
  return float(apart + np.trace(one) + np.trace(other) - 2.0 * shared)
