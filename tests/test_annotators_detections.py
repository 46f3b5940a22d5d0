"""Detections as the signals of a cue sheet."""

import numpy as np
import pytest

from vta.annotators import detections
from vta.signals import cues, masks

NONE = [np.nan] * 4
LEFT, RIGHT = [0.0, 0.2, 0.2, 0.6], [0.6, 0.1, 1.0, 0.9]
TIMES = np.array([1.25, 1.75, 2.25, 2.75])
FOUND = detections.Detections(
  times=TIMES,
  labels=("dog", "cat", "cow"),
  probability=np.array(
    [[0.5, 0.0, 0.0], [0.4, 0.0, 0.0], [0.0, 0.9, 0.0], [0.6, 0.0, 0.0]]
  ),
  boxes=np.array(
    [
      [LEFT, NONE, NONE],
      [RIGHT, NONE, NONE],
      [NONE, RIGHT, NONE],
      [LEFT, NONE, NONE],
    ]
  ),
)


def test_objects_are_the_probabilities():
  objects = FOUND.objects()
  assert objects.labels == FOUND.labels
  np.testing.assert_array_equal(objects.times, TIMES)
  np.testing.assert_array_equal(objects.probability, FOUND.probability)


def test_a_region_for_every_time_that_a_label_is_there():
  found = FOUND.masks(1.0, 3.0)
  dog, later, cat = found.regions
  assert (dog.label, later.label, cat.label) == ("dog", "dog", "cat")
  assert (dog.span, later.span, cat.span) == ((1, 2), (2.5, 3), (2, 2.5))
  np.testing.assert_array_equal(dog.corners, [LEFT, RIGHT])
  np.testing.assert_array_equal(dog.times, TIMES[:2])
  np.testing.assert_array_equal(cat.corners, [RIGHT])
  # As pixels: where the boxes are, at the frames that they were found in.
  drawn = masks.rasterise(found, TIMES, height=10, width=10)
  for picture, (left, top, right, bottom) in zip(
    drawn, (LEFT, RIGHT, RIGHT, LEFT), strict=True
  ):
    want = np.zeros((10, 10))
    rows = slice(round(10 * top), round(10 * bottom))
    want[rows, round(10 * left) : round(10 * right)] = 1
    np.testing.assert_allclose(picture, want, atol=1e-6)
  track = cues.Track(objects=FOUND.objects(), masks=found)
  sheet = cues.CueSheet(duration=3.0, tracks=(track,))
  assert cues.parse(cues.to_json(sheet), where="x") == sheet


def test_the_side_is_weighed_by_probability():
  # Middles at 0.1 with 0.5 and 0.6, at 0.8 with 0.4 and 0.9.
  mean = (0.1 * 1.1 + 0.8 * 1.3) / 2.4
  assert FOUND.pan() == pytest.approx(2 * mean - 1)


def test_what_no_detector_said_is_not_known():
  blind = detections.Detections(
    times=TIMES, labels=FOUND.labels, probability=FOUND.probability
  )
  nothing = detections.Detections(
    times=TIMES,
    labels=FOUND.labels,
    probability=np.zeros((4, 3)),
    boxes=np.full((4, 3, 4), np.nan),
  )
  for found in (blind, nothing):
    assert found.masks(1.0, 3.0) is None
    assert found.pan() is None
