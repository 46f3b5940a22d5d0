"""Draw an Audio's masks: what is drawn, and how often."""

import numpy as np
import pytest

from vta.data import mask_schedule

CHANCES = {"boxes": 0.5, "union": 0.1, "jitter": 0.0}


@pytest.fixture
def mask():
  """A box that moves to the right."""
  mask = np.zeros((3, 20, 40), np.uint8)
  for i in range(3):
    mask[i, 5:15, 10 * i + 2 : 10 * i + 12] = 255
  return mask


def test_each_form_comes_as_often_as_asked(mask):
  union = np.zeros_like(mask)
  union[:, 5:15, 2:32] = 255
  rng = np.random.default_rng(0)
  found = {"boxes": 0, "union": 0, "everything": 0}
  for _ in range(4000):
    made = mask_schedule.draw(mask, rng, **CHANCES)
    if made is None:
      found["everything"] += 1
    elif np.array_equal(made, mask):
      found["boxes"] += 1
    else:
      np.testing.assert_array_equal(made, union)
      found["union"] += 1
  assert found["boxes"] / 4000 == pytest.approx(0.5, abs=0.03)
  assert found["union"] / 4000 == pytest.approx(0.1, abs=0.02)


def test_jitter_moves_and_scales_within_its_bounds(mask):
  """10 % of 30 columns and of 10 rows, to either side, and as much larger."""
  rng = np.random.default_rng(0)
  sides = []
  for _ in range(500):
    made = mask_schedule.draw(mask, rng, boxes=0.0, union=1.0, jitter=0.1)
    rows = np.flatnonzero(made[0].any(axis=1))
    columns = np.flatnonzero(made[0].any(axis=0))
    assert made[0][np.ix_(rows, columns)].all()
    sides.append([rows[0], rows[-1] + 1, columns[0], columns[-1] + 1])
  sides = np.array(sides)
  # Moved by a tenth and grown by a twentieth on each side, at most.
  np.testing.assert_array_less(
    np.abs(sides - [5, 15, 2, 32]).max(0), [3, 3, 5.5, 5.5]
  )
  assert (sides.std(axis=0) > [0.5, 0.5, 1.0, 1.0]).all()


def test_what_moves_moves_on_under_jitter(mask):
  rng = np.random.default_rng(1)
  made = mask_schedule.draw(mask, rng, boxes=1.0, union=0.0, jitter=0.1)
  middles = [np.flatnonzero(frame.any(axis=0)).mean() for frame in made]
  np.testing.assert_allclose(np.diff(middles), 10.0, atol=1.6)


def test_what_has_no_mask_gets_none(mask):
  rng = np.random.default_rng(0)
  assert mask_schedule.draw(None, rng, **CHANCES) is None
  nothing = np.zeros_like(mask)
  made = mask_schedule.draw(nothing, rng, **CHANCES)
  np.testing.assert_array_equal(made, nothing)
