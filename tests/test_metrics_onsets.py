"""Onset and interval scores against mir_eval and scikit-learn."""

import mir_eval
import numpy as np
import pytest
import sklearn.metrics

from vta.metrics import intervals, onsets
from vta.signals import events

RATE = 44_100


@pytest.mark.parametrize("tolerance", [0.05, 0.1, 0.3])
def test_score_equals_mir_eval(tolerance):
  rng = np.random.default_rng(0)
  for _ in range(60):
    # Dense, so that windows overlap and the matching has to choose; two
    # decimals, so that some pairs lie exactly on the tolerance.
    right = np.round(np.sort(rng.uniform(0, 4, rng.integers(1, 30))), 2)
    found = np.round(np.sort(rng.uniform(0, 4, rng.integers(1, 30))), 2)
    f1, precision, recall = mir_eval.onset.f_measure(
      right, found, window=tolerance
    )
    ours = onsets.score(right, found, tolerance=tolerance)
    np.testing.assert_allclose(
      [ours.f1, ours.precision, ours.recall],
      [f1, precision, recall],
      atol=1e-12,
    )


def test_empty_onsets_score_zero_as_in_mir_eval():
  none, some = np.zeros(0), np.array([1.0])
  for right, found in ((none, none), (none, some), (some, none)):
    ours = onsets.score(right, found)
    assert (ours.f1, ours.precision, ours.recall) == (0, 0, 0)


def test_order_does_not_matter_and_counts_add_up():
  right, found = np.array([1.0, 0.2]), np.array([3.0, 0.25, 1.05])
  one = onsets.score(right, found)
  assert one == onsets.OnsetScore(hits=2, reference=2, estimated=3)
  both = one + onsets.score(right, np.zeros(0))
  assert (both.precision, both.recall) == (2 / 3, 1 / 2)


def test_more_jitter_scores_lower():
  rng = np.random.default_rng(1)
  right = np.arange(200) * 0.5 + 0.25
  noise = rng.normal(size=200)
  scores = [
    onsets.score(right, right + s * noise).f1 for s in (0.0, 0.06, 0.1, 0.2)
  ]
  assert scores[0] == 1.0
  assert np.all(np.diff(scores) < -0.05)


def _impacts(times, duration=4.0):
  t = np.arange(int(duration * RATE)) / RATE
  wave = np.zeros_like(t)
  for time in times:
    since = np.maximum(t - time, 0)
    wave += np.where(t >= time, np.exp(-since * 25), 0) * np.sin(4000 * since)
  return np.stack([wave, wave], axis=1).astype(np.float32) * 0.4


@pytest.mark.parametrize("detect", [onsets.librosa_onsets, events.onsets])
def test_both_detectors_hear_impacts(detect):
  times = np.array([0.4, 1.0, 1.7, 2.2, 3.1])
  assert onsets.score(times, detect(_impacts(times)), tolerance=0.05).f1 == 1.0


def test_iou_equals_jaccard():
  rng = np.random.default_rng(2)
  for _ in range(20):
    first, second = (rng.random((2, 50)) < 0.4).astype(np.float32)
    expected = sklearn.metrics.jaccard_score(first, second)
    assert intervals.event_iou(first, second) == pytest.approx(expected)


def test_iou_of_silence_and_of_unequal_lengths():
  none, some = np.zeros(5), np.ones(5)
  assert intervals.event_iou(none, none) == 1.0
  assert intervals.event_iou(none, some) == 0.0
  with pytest.raises(ValueError, match="values"):
    intervals.event_iou(none, np.ones(6))


def test_iou_falls_as_an_event_moves():
  times = np.arange(200) / 50
  vector = ((times > 1) & (times < 2)).astype(np.float32)
  values = [intervals.event_iou(vector, np.roll(vector, k)) for k in (0, 5, 20)]
  assert values[0] == 1.0
  assert np.all(np.diff(values) < 0)
