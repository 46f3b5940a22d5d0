"""The Frechet distance between two sets of features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def distance(
  first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "m d"]
) -> float:
  """Squared, between the normal distributions that the sets look like.

  |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2), Dowson and Landau 1982; FID, FAD
  and FD are this on different features: name the extractor. Covariances are
  unbiased, as av-benchmark's (metrics/fad.py).

  With S1 = A'A and S2 = B'B the trace of the root is the sum of the singular
  values of A B': no root of a product of covariances, so no imaginary parts,
  no correction of the diagonals and no -1 for a failure, however few the rows.
  scipy.linalg.sqrtm, which av-benchmark takes, agrees where there are more
  rows than features and loses digits where there are fewer.

  Raises:
    ValueError: a set has fewer than two rows.
  """
  if min(len(first), len(second)) < 2:
    raise ValueError(f"{len(first)} and {len(second)} rows have no covariance")
  first, second = first.astype(np.float64), second.astype(np.float64)
  apart = np.square(first.mean(axis=0) - second.mean(axis=0)).sum()
  one, other = _root(first), _root(second)
  shared = np.linalg.svd(one @ other.T, compute_uv=False).sum()
  spread = np.square(one).sum() + np.square(other).sum()
  return float(apart + spread - 2.0 * shared)


def _root(rows):
  """A matrix of at most d rows whose square is the rows' covariance."""
  centred = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
  if len(centred) <= centred.shape[1]:
    return centred
  return np.linalg.qr(centred, mode="r")
