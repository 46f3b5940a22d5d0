"""What the benchmarks say is far apart is, and their two sides are the same."""

import math

import numpy as np
import pytest

from benchmarks import comparison, stable_audio


def test_relative_is_the_worst_of_all_outputs():
  theirs = {"a": np.array([1.0, -4.0]), "b": np.array([2.0])}
  ours = {"a": np.array([1.0, -4.0]), "b": np.array([2.5])}
  assert comparison.relative(theirs, theirs) == 0
  assert comparison.relative(ours, theirs) == 0.25
  ours["a"] = np.array([1.0, -2.0])
  assert comparison.relative(ours, theirs) == 0.5


def test_what_cannot_be_compared_is_no_agreement():
  one = {"a": np.ones(3), "b": np.ones(2)}
  bad = {"a": np.array([1.0, np.nan, 1.0]), "b": np.ones(2)}
  assert math.isnan(comparison.relative(bad, one))
  with pytest.raises(ValueError, match="against"):
    comparison.relative({"a": np.ones(3)}, one)
  with pytest.raises(ValueError, match=r"\(4,\).* against"):
    comparison.relative({**one, "a": np.ones(4)}, one)


def test_both_sides_read_the_same_weights(tmp_path):
  """The smallest part at its real size: Stable Audio's projection model."""
  case = stable_audio.Case(part="conditioner", batch=2)
  path = stable_audio.weights(case, tmp_path)
  assert stable_audio.weights(case, tmp_path) == path
  theirs = stable_audio.theirs(case, path)()
  ours = stable_audio.ours(case, path)()
  assert {name: x.shape for name, x in ours.items()} == {
    "text": (2, 128, 768),
    "timing": (2, 1536),
  }
  assert comparison.relative(ours, theirs) < 1e-5
