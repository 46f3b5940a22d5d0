"""The Frechet distance against scipy's square root and a known case."""

import numpy as np
import pytest
import scipy.linalg

from vta.metrics import frechet


@pytest.mark.parametrize(("rows", "width"), [(200, 8), (40, 1), (500, 40)])
def test_it_is_the_formula_by_scipy(rows, width):
  rng = np.random.default_rng(width)
  first = rng.normal(size=(rows, width)) @ rng.normal(size=(width, width))
  second = rng.normal(1.0, 2.0, (rows + 30, width))
  one = np.atleast_2d(np.cov(first.T))
  other = np.atleast_2d(np.cov(second.T))
  root = scipy.linalg.sqrtm(one @ other).real
  expected = np.square(first.mean(0) - second.mean(0)).sum()
  expected += np.trace(one + other - 2.0 * root)
  assert frechet.distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_a_set_is_not_far_from_itself():
  rng = np.random.default_rng(0)
  few = rng.normal(size=(6, 20))  # a singular covariance
  assert frechet.distance(few, few) == pytest.approx(0.0, abs=1e-6)
  assert frechet.distance(few, few + 3.0) == pytest.approx(180.0, abs=1e-6)


def test_one_row_has_no_covariance():
  with pytest.raises(ValueError, match="no covariance"):
    frechet.distance(np.zeros((1, 4)), np.zeros((5, 4)))
