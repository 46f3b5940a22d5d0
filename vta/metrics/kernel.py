"""Distances between two sets of features by kernels: no normality assumed.

All are the unbiased squared maximum mean discrepancy (Gretton et al. 2012,
equation 3),

  E k(x, x') + E k(y, y') - 2 E k(x, y),   x and x' of different rows,

which is zero on average where the sets are alike, so it may be negative.
"""

from __future__ import annotations

import numpy as np
import scipy.spatial
from jaxtyping import Float

Features = Float[np.ndarray, "n d"]


def kid(first: Features, second: Float[np.ndarray, "m d"]) -> float:
  """KID (Binkowski et al. 2018): the kernel is (x.y / d + 1)^3.

  Over all rows at once; where others average over random subsets, they
  estimate the same number with more noise.

  Raises:
    ValueError: a set has fewer than two rows.
  """
  _check(first, second)
  one, other = first.astype(np.float64), second.astype(np.float64)

  def kernel(x, y):
    product = x @ y.T / x.shape[1] + 1.0
    return product * product * product

  return _discrepancy(
    kernel(one, one), kernel(other, other), kernel(one, other)
  )


def gaussian_mmd(
  first: Features, second: Float[np.ndarray, "m d"], *, bandwidth: float
) -> float:
  """With the kernel exp(-|x - y|^2 / (2 bandwidth^2)).

  SoundReactor's evaluation takes bandwidth 10 and reports it times 1000.

  Raises:
    ValueError: a set has fewer than two rows.
  """
  _check(first, second)
  one, other = first.astype(np.float64), second.astype(np.float64)

  def kernel(x, y):
    squares = scipy.spatial.distance.cdist(x, y, "sqeuclidean")
    # kadtk's 1e-8, for a set whose rows are all the same.
    return np.exp(-squares / (2 * bandwidth**2 + 1e-8))

  return _discrepancy(
    kernel(one, one), kernel(other, other), kernel(one, other)
  )


def kad(reference: Features, generated: Float[np.ndarray, "m d"]) -> float:
  """KAD (Chung et al. 2025, kadtk), times 100 as they report it.

  The bandwidth is the median distance of the reference's rows (the lower of
  the two middle ones, as torch has it). Of all pairs, where kadtk draws 1000
  at random if there are more: ours gives the same number twice.

  Raises:
    ValueError: a set has fewer than two rows.
  """
  _check(reference, generated)
  apart = scipy.spatial.distance.pdist(reference.astype(np.float64))
  middle = (len(apart) - 1) // 2
  bandwidth = float(np.partition(apart, middle)[middle])
  return 100.0 * gaussian_mmd(reference, generated, bandwidth=bandwidth)


def _check(first, second):
  if min(len(first), len(second)) < 2:
    raise ValueError(f"{len(first)} and {len(second)} rows have no pairs")


def _discrepancy(one, other, between):
  def within(kernel):
    rows = len(kernel)
    return (kernel.sum() - np.trace(kernel)) / (rows * (rows - 1))

  return float(within(one) + within(other) - 2.0 * between.mean())
