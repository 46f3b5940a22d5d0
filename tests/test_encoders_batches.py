"""Batches of a few sizes, one of them in flight."""

import numpy as np
import pytest

from vta.encoders import batches


def test_what_comes_is_taken_once_the_next_is_asked_for():
  said = []

  def run(count):
    for i in range(count):
      said.append(f"asked {i}")
      yield i

  for i in batches.ahead(run(3)):
    said.append(f"taken {i}")
  assert said == [
    *("asked 0", "asked 1", "taken 0"),
    *("asked 2", "taken 1", "taken 2"),
  ]
  assert list(batches.ahead(run(1))) == [0]
  assert list(batches.ahead(run(0))) == []


@pytest.mark.parametrize(
  ("count", "power"), [(0, 1), (1, 1), (2, 2), (3, 4), (16, 16), (17, 32)]
)
def test_a_power_of_two_holds_as_many(count, power):
  assert batches.power_of_two(count) == power


def test_rows_are_added_at_the_end():
  rows = np.arange(6, dtype=np.uint8).reshape(3, 2)
  padded = batches.pad(rows, 4)
  np.testing.assert_array_equal(padded, [*rows, [0, 0]])
  assert padded.dtype == np.uint8
  np.testing.assert_array_equal(batches.pad(rows, 3), rows)
  mask = batches.pad(np.zeros((1, 2), bool), 2, True)
  np.testing.assert_array_equal(mask, [[False] * 2, [True] * 2])


def test_texts_go_by_length():
  lengths = np.array([5, 1, 5, 3, 1])
  made = [here.tolist() for here in batches.by_length(lengths, 2)]
  assert made == [[1, 4], [3, 0], [2]]
  assert list(batches.by_length(lengths[:0], 2)) == []
