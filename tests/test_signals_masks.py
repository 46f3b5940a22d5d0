"""Masks against super-sampling, matplotlib's point-in-path and block means."""

import itertools

import matplotlib.path
import numpy as np
import pytest

from vta.signals import masks

NOW = np.zeros(1)


def only(region, times=NOW, height=12, width=17):
  return masks.rasterise(
    masks.Masks(regions=(region,)), times, height=height, width=width
  )


def box(*corners, times=None, **fields):
  times = np.arange(len(corners), dtype=float) if times is None else times
  return masks.Box(times=times, corners=np.array(corners, float), **fields)


def grid(height, width, samples):
  """Points x, y of `samples` by `samples` per pixel."""
  y = (np.arange(height * samples) + 0.5) / (height * samples)
  x = (np.arange(width * samples) + 0.5) / (width * samples)
  return np.meshgrid(x, y)


def pool(frame, height, width):
  return frame.reshape(
    height, frame.shape[0] // height, width, frame.shape[1] // width
  ).mean(axis=(1, 3))


def test_box_is_its_area():
  rng = np.random.default_rng(0)
  for _ in range(20):
    # On a lattice that 8 samples per pixel meet exactly.
    left, right = np.sort(rng.choice(17 * 8 + 1, 2, replace=False)) / (17 * 8)
    top, bottom = np.sort(rng.choice(12 * 8 + 1, 2, replace=False)) / (12 * 8)
    x, y = grid(12, 17, 8)
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    np.testing.assert_allclose(
      only(box([left, top, right, bottom]))[0],
      pool(inside.astype(float), 12, 17),
      atol=1e-6,
    )


def test_polygon_is_points_in_a_path():
  rng = np.random.default_rng(1)
  x, y = grid(12, 17, 24)
  for corners in (3, 4, 7):
    # Star-shaped, so it never crosses itself, and hardly ever convex.
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(0.15, 0.5, corners)
    points = 0.5 + radius[:, None] * np.stack(
      [np.cos(angle), np.sin(angle)], axis=1
    )
    path = matplotlib.path.Path(points)
    inside = path.contains_points(np.stack([x.ravel(), y.ravel()], axis=1))
    want = pool(inside.reshape(x.shape).astype(float), 12, 17)
    got = only(masks.Polygon(times=NOW, points=points[None]))[0]
    assert want.max() == 1
    np.testing.assert_allclose(got, want, atol=0.08)
    np.testing.assert_allclose(got.mean(), want.mean(), atol=2e-3)


def test_polygon_of_a_box_is_the_box():
  corners = [0.25, 0.125, 0.75, 0.5]
  left, top, right, bottom = corners
  points = [[left, top], [right, top], [right, bottom], [left, bottom]]
  for order in (points, points[::-1]):
    polygon = masks.Polygon(times=NOW, points=np.array([order]))
    np.testing.assert_allclose(
      only(polygon, height=8, width=10),
      only(box(corners), height=8, width=10),
      atol=1e-6,
    )


def test_polygon_that_crosses_itself_is_even_odd():
  square = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
  twice = masks.Polygon(times=NOW, points=np.array([square * 2]))
  np.testing.assert_array_equal(only(twice), 0.0)


@pytest.mark.parametrize("size", [(4, 5), (6, 6), (24, 35), (7, 3)])
def test_raster_is_an_area_mean(size):
  frames = np.random.default_rng(2).random((1, 12, 10)) > 0.5
  height, width = size
  fine = np.kron(frames[0], np.ones((height, width)))
  np.testing.assert_allclose(
    only(masks.Raster(times=NOW, frames=frames), height=height, width=width)[0],
    pool(fine, height, width),
    atol=1e-6,
  )


def test_regions_move_by_time_stamps():
  moving = box([0, 0, 0.2, 0.2], [0.8, 0.8, 1, 1], times=np.array([1.0, 5.0]))
  got = only(moving, np.array([0.0, 1.0, 2.0, 5.0, 9.0]), 10, 10)
  for frame, start in zip(got, (0, 0, 0.2, 0.8, 0.8), strict=True):
    still = only(box([start, start, start + 0.2, start + 0.2]), NOW, 10, 10)
    np.testing.assert_allclose(frame, still[0], atol=1e-6)
  frames = np.zeros((2, 1, 1), bool)
  frames[1] = True
  jump = masks.Raster(times=np.array([0.0, 1.0]), frames=frames)
  np.testing.assert_array_equal(
    only(jump, np.array([0.4, 0.6]), 1, 1).ravel(), [0, 1]
  )


def test_span_and_union():
  one = box([0, 0, 0.5, 1], span=(1.0, 2.0))
  two = box([0.25, 0, 1, 1], span=(1.5, 3.0))
  both = masks.Masks(regions=(one, two))
  got = masks.rasterise(
    both, np.array([0.9, 1.0, 1.5, 2.0, 3.0]), height=1, width=4
  )
  np.testing.assert_array_equal(
    got[:, 0],
    [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]],
  )


def test_no_mask_is_everything_and_no_region_is_nothing():
  times = np.arange(3.0)
  everything = masks.rasterise(None, times, height=2, width=5)
  nothing = masks.rasterise(masks.Masks(regions=()), times, height=2, width=5)
  np.testing.assert_array_equal(everything, np.ones((3, 2, 5)))
  np.testing.assert_array_equal(nothing, np.zeros((3, 2, 5)))
  assert everything.dtype == nothing.dtype == np.float32


def scene():
  rng = np.random.default_rng(3)
  times = np.array([0.5, 3.0, 7.0])
  corners = np.sort(rng.random((3, 2, 2)), axis=1).reshape(3, 4)
  return masks.Masks(
    regions=(
      box(*corners, times=times, label="dog", span=(1.0, 6.0)),
      masks.Polygon(times=times, points=rng.random((3, 5, 2))),
      masks.Raster(times=times, frames=rng.random((3, 4, 6)) > 0.5),
    )
  )


def test_edits_keep_the_picture():
  one, at = scene(), np.random.default_rng(4).uniform(2.0, 6.5, 30)
  # Away from the middles of keyframes, where a raster may jump either way.
  at = at[np.abs(at - 5.0) > 0.1]
  size = {"height": 6, "width": 7}
  want = masks.rasterise(one, at, **size)
  one_more = one.merge(masks.Masks(regions=one.regions[:1]))
  assert len(one_more.regions) == 4
  for edited, moved in (
    (one.stretch(2.0), at * 2),
    (one.shift(1.5, duration=20), at + 1.5),
    (one_more, at),
  ):
    np.testing.assert_allclose(
      masks.rasterise(edited, moved, **size), want, atol=1e-5
    )
  drawn = masks.Masks(regions=one.regions[:2])
  np.testing.assert_allclose(
    masks.rasterise(drawn.crop(1.7, 6.9), at - 1.7, **size),
    masks.rasterise(drawn, at, **size),
    atol=1e-5,
  )
  assert len(one.crop(6.5, 9).regions) == 2


def test_runs_are_row_by_row_from_unset():
  frames = np.random.default_rng(5).random((6, 5, 4)) > 0.5
  frames[0], frames[1] = False, True
  raster = masks.Raster(times=np.arange(6.0), frames=frames)
  (value,) = masks.to_json(masks.Masks(regions=(raster,)))
  for runs, frame in zip(value["raster"]["runs"], frames, strict=True):
    want = [len(list(run)) for _, run in itertools.groupby(frame.ravel())]
    assert runs == ([0, *want] if frame.ravel()[0] else want)


def test_json_is_exact():
  one = scene()
  assert masks.from_json(masks.to_json(one), where="x", duration=10.0) == one
  assert one != one.stretch(2.0)
  assert one.regions[0] != one.regions[1]
