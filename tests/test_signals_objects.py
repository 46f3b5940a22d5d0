"""Objects: resampling, edits and events of a label."""

import dataclasses

import numpy as np
import pytest

from vta.signals import objects


def make(labels=("cat", "dog"), count=9, seed=0):
  rng = np.random.default_rng(seed)
  return objects.Objects(
    labels=labels,
    times=np.sort(rng.uniform(0, 10, count)),
    probability=rng.random((count, len(labels))),
  )


def test_resample_is_np_interp_per_label():
  one, at = make(), np.sort(np.random.default_rng(1).uniform(0, 10, 100))
  got = one.resample(at)
  assert got.labels == one.labels
  for k in range(2):
    np.testing.assert_allclose(
      got.probability[:, k], np.interp(at, one.times, one.probability[:, k])
    )


def test_edits_keep_the_curve():
  one, at = make(), np.sort(np.random.default_rng(1).uniform(3, 7, 100))
  want = one.resample(at).probability
  for edited, moved in (
    (one.crop(3, 7), at - 3),
    (one.shift(2, duration=10), at + 2),
    (one.stretch(3.0), at * 3),
  ):
    np.testing.assert_allclose(edited.resample(moved).probability, want)


def test_merge_takes_the_higher_probability():
  one, two = make(), make(("dog", "bell"), seed=5)
  got = one.merge(two)
  assert got.labels == ("cat", "dog", "bell")
  a = one.resample(got.times).probability
  b = two.resample(got.times).probability
  np.testing.assert_array_equal(got.probability[:, 0], a[:, 0])
  np.testing.assert_array_equal(
    got.probability[:, 1], np.maximum(a[:, 1], b[:, 0])
  )
  np.testing.assert_array_equal(got.probability[:, 2], b[:, 1])


def test_what_is_never_there_is_muted():
  one = objects.Objects(
    labels=("cat", "dog", "bell"),
    times=np.array([1.0, 3.0]),
    probability=np.array([[0.0, 0.9, 0.0], [0.0, 0.0, 0.0]]),
  )
  muted, present = one.muted(), one.present()
  assert muted.labels == ("cat", "bell")
  np.testing.assert_array_equal(muted.probability, np.ones((2, 2)))
  assert present.labels == ("dog",)
  np.testing.assert_array_equal(present.probability, [[0.9], [0.0]])
  assert present.muted() is None
  assert muted.present() == muted
  nowhere = dataclasses.replace(one, probability=np.zeros((2, 3)))
  assert nowhere.present() is None


def test_events_of_a_label():
  one = objects.Objects(
    labels=("cat", "dog"),
    times=np.array([1.0, 3.0, 4.0, 6.0]),
    probability=np.array([[0.0, 0.9], [0.51, 0.5], [0.9, 0.4], [0.2, 0.6]]),
  )
  np.testing.assert_allclose(one.events("cat", duration=10).intervals, [[2, 5]])
  np.testing.assert_allclose(
    one.events("dog", duration=10).intervals, [[0, 2], [5, 10]]
  )


def test_json_is_exact():
  one = make()
  value = objects.to_json(one)
  assert objects.from_json(value, where="x", duration=10.0) == one
  assert one != make(("dog", "cat"))
  assert one != make(seed=1)


def test_invariants():
  with pytest.raises(ValueError, match="given twice"):
    make(("cat", "cat"))
  with pytest.raises(ValueError, match="times must be"):
    make(count=0)
