"""The time axis against np.interp and a search over all stamps."""

import numpy as np
import pytest

from vta.signals import timing


@pytest.fixture
def rng():
  return np.random.default_rng(0)


def stamps(rng, count):
  return np.sort(rng.uniform(0, 10, count))


@pytest.mark.parametrize("count", [1, 2, 3, 50])
@pytest.mark.parametrize("shape", [(), (2,), (3, 4)])
def test_interpolate_is_np_interp(rng, count, shape):
  times, at = stamps(rng, count), rng.uniform(-2, 12, 200)
  values = rng.normal(size=(count, *shape))
  got = timing.interpolate(values, times, at)
  flat = values.reshape(count, -1)
  want = np.stack([np.interp(at, times, column) for column in flat.T], axis=1)
  np.testing.assert_allclose(got.reshape(200, -1), want, rtol=0, atol=1e-12)


def test_interpolate_is_exact_at_stamps_and_keeps_dtype(rng):
  times = stamps(rng, 40)
  for dtype in (np.float32, np.float64):
    values = rng.normal(size=(40, 2)).astype(dtype)
    got = timing.interpolate(values, times, times)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, values)


def test_interpolate_never_passes_its_bounds(rng):
  times = stamps(rng, 500)
  values = rng.choice([-70.0, -69.99999999999999, -0.1, 0.0], size=(500, 1))
  got = timing.interpolate(values, times, rng.uniform(0, 10, 20_000))
  assert got.min() >= -70
  assert got.max() <= 0


def test_weights_are_the_interpolation(rng):
  times, at = stamps(rng, 9), rng.uniform(-2, 12, 200)
  values = rng.normal(size=9)
  left, weight = timing.weights(times, at)
  got = values[left] * (1 - weight) + values[left + 1] * weight
  np.testing.assert_allclose(
    got, np.interp(at, times, values), rtol=0, atol=1e-12
  )


@pytest.mark.parametrize("count", [1, 2, 50])
def test_nearest_is_the_nearest_of_all(rng, count):
  times, at = stamps(rng, count), rng.uniform(-2, 12, 300)
  values = rng.random((count, 3)) > 0.5
  got = timing.nearest(values, times, at)
  best = np.abs(times[None] - at[:, None]).argmin(axis=1)
  assert got.dtype == bool
  np.testing.assert_array_equal(got, values[best])


def test_nearest_takes_the_earlier_on_a_tie():
  index = timing.nearest_index(np.array([0.0, 1.0]), np.array([0.5]))
  np.testing.assert_array_equal(index, [0])


@pytest.mark.parametrize(
  "times", [[], [1.0, 1.0], [2.0, 1.0], [0.0, np.nan], [0.0, np.inf]]
)
def test_stamps_that_do_not_increase_are_refused(times):
  times = np.array(times)
  for resample in (timing.interpolate, timing.nearest):
    with pytest.raises(ValueError, match="times must be"):
      resample(np.zeros(len(times)), times, np.zeros(1))


def test_centres():
  np.testing.assert_allclose(timing.centres(3, 2), [0.25, 0.75, 1.25])
  np.testing.assert_allclose(timing.centres(2, 10, start=5), [5.05, 5.15])


def test_knots_keep_the_curve(rng):
  times, values = stamps(rng, 30), rng.normal(size=30)
  knots = timing.knots(times, 2, 7)
  assert knots[0] == 2
  assert knots[-1] == 7
  at = rng.uniform(2, 7, 100)
  part = timing.interpolate(values, times, knots)
  np.testing.assert_allclose(
    np.interp(at, knots, part), np.interp(at, times, values), atol=1e-12
  )
  with pytest.raises(ValueError, match="nothing lies between"):
    timing.knots(times, 7, 7)
