"""Widening is NumPy's own, for every finite half there is."""

import numpy as np
import pytest

from vta.data import half

HALVES = np.arange(2**16, dtype=np.uint16).view(np.float16)


def test_every_finite_half_is_widened_exactly():
  finite = HALVES[np.isfinite(HALVES)]
  made = half.widen(finite)
  assert made.dtype == np.float32
  # Of bits, so that the two zeros differ.
  np.testing.assert_array_equal(
    made.view(np.uint32), finite.astype(np.float32).view(np.uint32)
  )


@pytest.mark.parametrize("step", [1, -2])
def test_it_leaves_what_it_reads_and_takes_any_layout(step):
  table = HALVES[: 64 * 32].reshape(64, 32)
  table.setflags(write=False)
  part = table[::step, 3:]
  np.testing.assert_array_equal(half.widen(part), part.astype(np.float32))
  singles = part.astype(np.float32)
  assert half.widen(singles) is not singles
  np.testing.assert_array_equal(half.widen(singles), singles)
