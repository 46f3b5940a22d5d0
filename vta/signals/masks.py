"""Masks: where in the picture the sound comes from.

Draw an Audio's control (papers.md 1.2 and 1.3): boxes of a detector, or what
a person draws. A region is a box, a polygon or a raster at keyframes. Drawn
coordinates are fractions of the frame, x to the right and y down, so that a
mask does not depend on the video's size.

`None` in place of `Masks` is the whole frame; `Masks` without regions is
nothing of it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vta.errors import InputError
from vta.signals import document, timing

# Polygons: exact along x, this many lines per row of pixels along y.
_LINES = 8
# A raster's side: far above what an encoder sees, far below what fills memory.
_MAX_SIDE = 4096


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Region:
  """What the three kinds of region share.

  Attributes:
    times: keyframes, s, strictly increasing. Between them corners move in
      straight lines and rasters jump; beyond them the ends are held.
    span: [start, end) outside of which the region is not there, s; None is
      always there. A thing that comes back is two regions.
    label: what it is; free text, "" for none.
  """

  times: Float[np.ndarray, "n"]
  span: tuple[float, float] | None = None
  label: str = ""

  def __post_init__(self):
    timing.check_increasing(self.times)

  def __eq__(self, other: object) -> bool:
    return type(self) is type(other) and all(
      np.array_equal(mine, theirs)
      for mine, theirs in zip(
        vars(self).values(), vars(other).values(), strict=True
      )
    )

  def moved(self, seconds: float | int, factor: float | int = 1) -> Region:
    """The region with every time t at factor t + seconds."""
    span = self.span and tuple(factor * t + seconds for t in self.span)
    times = factor * self.times + seconds
    return dataclasses.replace(self, times=times, span=span)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Box(Region):
  """A rectangle: left, top, right, bottom at each keyframe, 0..1."""

  corners: Float[np.ndarray, "n 4"]

  def at(self, times: Float[np.ndarray, "m"]) -> Box:
    """The box with these keyframes instead."""
    corners = timing.interpolate(self.corners, self.times, times)
    return dataclasses.replace(self, times=times, corners=corners)

  def draw(
    self, times: Float[np.ndarray, "f"], height: int, width: int
  ) -> Float[np.ndarray, "f h w"]:
    """Share of each pixel that the box covers."""
    corners = timing.interpolate(self.corners, self.times, times)
    left, top, right, bottom = corners.T
    rows = _cover(top, bottom, height)
    columns = _cover(left, right, width)
    return rows[:, :, None] * columns[:, None, :]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Polygon(Region):
  """A closed outline of p corners, each (x, y) at each keyframe, 0..1.

  Where it crosses itself, what is enclosed twice is outside (even-odd rule).
  """

  points: Float[np.ndarray, "n p 2"]

  def at(self, times: Float[np.ndarray, "m"]) -> Polygon:
    """The polygon with these keyframes instead."""
    points = timing.interpolate(self.points, self.times, times)
    return dataclasses.replace(self, times=times, points=points)

  def draw(
    self, times: Float[np.ndarray, "f"], height: int, width: int
  ) -> Float[np.ndarray, "f h w"]:
    """Share of each pixel that the polygon covers."""
    # Most drawn outlines stand still for most of a clip: fill each one once.
    points = timing.interpolate(self.points, self.times, times)
    outlines, which = np.unique(points, axis=0, return_inverse=True)
    filled = np.stack([_fill(points, height, width) for points in outlines])
    return filled[which.ravel()]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Raster(Region):
  """A picture per keyframe, of any size, over the whole frame."""

  frames: Bool[np.ndarray, "n h w"]

  def at(self, times: Float[np.ndarray, "m"]) -> Raster:
    """The raster with these keyframes instead: the nearest picture at each."""
    frames = timing.nearest(self.frames, self.times, times)
    return dataclasses.replace(self, times=times, frames=frames)

  def draw(
    self, times: Float[np.ndarray, "f"], height: int, width: int
  ) -> Float[np.ndarray, "f h w"]:
    """Share of each pixel that is set, by area."""
    frames = timing.nearest(self.frames, self.times, times)
    frames = frames.astype(np.float64)
    rows, columns = (
      _cover(np.arange(old) / old, np.arange(1, old + 1) / old, new)
      for old, new in zip(frames.shape[1:], (height, width), strict=True)
    )
    return np.einsum("fyx,yh,xw->fhw", frames, rows, columns, optimize=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Masks:
  """The regions from which a track's sound comes, together.

  Every edit returns a new object.
  """

  regions: tuple[Box | Polygon | Raster, ...]

  def crop(self, start: float | int, end: float | int) -> Masks:
    """What lies between two times, on a time axis that begins at `start`."""
    cropped = []
    for region in self.regions:
      first, last = region.span or (start, end)
      if first < end and last > start:
        span = region.span and (max(first, start), min(last, end))
        region = region.at(timing.knots(region.times, start, end))
        region = dataclasses.replace(region, span=span)
        cropped.append(region.moved(-start))
    return Masks(regions=tuple(cropped))

  def shift(self, seconds: float | int, *, duration: float | int) -> Masks:
    """Later (or, if negative, earlier) by `seconds`, within 0..duration."""
    moved = Masks(regions=tuple(r.moved(seconds) for r in self.regions))
    return moved.crop(0.0, duration)

  def stretch(self, factor: float | int) -> Masks:
    """The same movements, `factor` times as long."""
    return Masks(regions=tuple(r.moved(0.0, factor) for r in self.regions))

  def merge(self, other: Masks) -> Masks:
    """The regions of both."""
    return Masks(regions=self.regions + other.regions)


def rasterise(
  masks: Masks | None,
  times: Float[np.ndarray, "f"],
  *,
  height: int,
  width: int,
) -> Float[np.ndarray, "f h w"]:
  """The share of each pixel inside any of the regions, 0..1.

  Args:
    masks: the regions; None is the whole frame.
    times: stamps of the frames, s.
    height: pixels.
    width: pixels.
  """
  if masks is None:
    return np.ones((len(times), height, width), np.float32)
  drawn = np.zeros((len(times), height, width), np.float32)
  for region in masks.regions:
    first, last = region.span or (-np.inf, np.inf)
    there = (times >= first) & (times < last)
    if there.any():
      frames = region.draw(times[there], height, width).astype(np.float32)
      drawn[there] = np.maximum(drawn[there], frames)
  # Sums of shares may pass 1 by a rounding error.
  return np.minimum(drawn, 1.0)


def to_json(masks: Masks) -> list[dict[str, Any]]:
  """One object per region, of one of three kinds.

    {"box": {"times": [s, ..], "corners": [[left, top, right, bottom], ..]}}
    {"polygon": {"times": [s, ..], "points": [[[x, y], ..], ..]}}
    {"raster": {"times": [s, ..], "size": [height, width], "runs": [[..], ..]}}

  with "label" and "span" where there are any. "runs" are the lengths of runs
  of unset and set pixels in turn, unset first, row by row.
  """
  return [_region_to_json(region) for region in masks.regions]


def from_json(value: Any, *, where: str, duration: float) -> Masks:
  """Inverse of `to_json`.

  Raises:
    InputError: not regions within the frame and within 0..duration.
  """
  regions = [
    _region_from_json(region, f"{where}[{i}]", duration)
    for i, region in enumerate(document.sequence(value, where))
  ]
  return Masks(regions=tuple(regions))


def _cover(
  low: Float[np.ndarray, "n"], high: Float[np.ndarray, "n"], count: int
) -> Float[np.ndarray, "n count"]:
  """Share of each of `count` cells of 0..1 between low and high."""
  cells = np.arange(count)[None]
  first = np.maximum(low[:, None] * count, cells)
  last = np.minimum(high[:, None] * count, cells + 1)
  return np.clip(last - first, 0.0, 1.0)


def _fill(
  points: Float[np.ndarray, "p 2"], height: int, width: int
) -> Float[np.ndarray, "h w"]:
  """Share of each pixel inside one outline, by scan lines."""
  lines = timing.centres(height * _LINES, height * _LINES)[:, None]
  x0, y0 = points.T
  x1, y1 = np.roll(points, -1, axis=0).T
  # Half-open in y: a corner on a line counts for one of its two edges, so that
  # every line meets the outline an even number of times.
  meets = (y0[None] <= lines) != (y1[None] <= lines)
  rise = np.where(y0 == y1, 1.0, y1 - y0)[None]
  crossing = x0[None] + (lines - y0[None]) * ((x1 - x0)[None] / rise)
  # An edge that is not met goes to the right border, where it covers nothing.
  crossing = np.sort(np.where(meets, crossing, 1.0), axis=1)
  covered = np.zeros((len(lines), width))
  for i in range(0, crossing.shape[1] - 1, 2):
    covered += _cover(crossing[:, i], crossing[:, i + 1], width)
  return covered.reshape(height, _LINES, width).mean(axis=1)


def _region_to_json(region: Box | Polygon | Raster) -> dict[str, Any]:
  fields: dict[str, Any] = {}
  if region.label:
    fields["label"] = region.label
  if region.span is not None:
    fields["span"] = list(region.span)
  times = region.times.tolist()
  if isinstance(region, Box):
    fields["box"] = {"times": times, "corners": region.corners.tolist()}
  elif isinstance(region, Polygon):
    fields["polygon"] = {"times": times, "points": region.points.tolist()}
  else:
    fields["raster"] = {
      "times": times,
      "size": list(region.frames.shape[1:]),
      "runs": [_run_lengths(frame) for frame in region.frames],
    }
  return fields


def _region_from_json(
  value: Any, where: str, duration: float
) -> Box | Polygon | Raster:
  kinds = {"box": _box, "polygon": _polygon, "raster": _raster}
  fields = document.record(value, where, optional=(*kinds, "label", "span"))
  given = [kind for kind in kinds if kind in fields]
  if len(given) != 1:
    raise InputError(where, "must have one of box, polygon and raster")
  (kind,) = given
  label, span = "", None
  if fields.get("label") is not None:
    label = document.text(fields["label"], f"{where}.label")
  if fields.get("span") is not None:
    here = f"{where}.span"
    span = tuple(
      document.table(
        fields["span"], here, shape=(2,), low=0.0, high=duration, unit=" s"
      ).tolist()
    )
    if span[1] <= span[0]:
      raise InputError(here, f"ends before it starts ({span[1]} <= {span[0]})")
  region = kinds[kind](fields[kind], f"{where}.{kind}", duration)
  return dataclasses.replace(region, label=label, span=span)


def _box(value: Any, where: str, duration: float) -> Box:
  fields = document.record(value, where, required=("times", "corners"))
  times = document.times(fields["times"], f"{where}.times", duration=duration)
  here = f"{where}.corners"
  corners = document.table(
    fields["corners"], here, shape=(len(times), 4), low=0.0, high=1.0
  )
  for i, (left, top, right, bottom) in enumerate(corners.tolist()):
    if right < left or bottom < top:
      raise InputError(
        f"{here}[{i}]",
        "must be left, top, right, bottom; "
        f"{(left, top, right, bottom)} is inside out",
      )
  return Box(times=times, corners=corners)


def _polygon(value: Any, where: str, duration: float) -> Polygon:
  fields = document.record(value, where, required=("times", "points"))
  times = document.times(fields["times"], f"{where}.times", duration=duration)
  here = f"{where}.points"
  outlines = document.sequence(fields["points"], here)
  count = len(document.sequence(outlines[0], f"{here}[0]")) if outlines else 0
  if outlines and count < 3:
    raise InputError(f"{here}[0]", f"needs 3 corners or more, has {count}")
  points = document.table(
    outlines, here, shape=(len(times), count, 2), low=0.0, high=1.0
  )
  return Polygon(times=times, points=points)


def _raster(value: Any, where: str, duration: float) -> Raster:
  fields = document.record(value, where, required=("times", "size", "runs"))
  times = document.times(fields["times"], f"{where}.times", duration=duration)
  size = document.sequence(fields["size"], f"{where}.size")
  if len(size) != 2:
    raise InputError(f"{where}.size", "must be [height, width]")
  height, width = (
    document.integer(side, f"{where}.size[{i}]", low=1, high=_MAX_SIDE)
    for i, side in enumerate(size)
  )
  here = f"{where}.runs"
  frames = document.sequence(fields["runs"], here)
  if len(frames) != len(times):
    raise InputError(here, f"must have {len(times)} entries, not {len(frames)}")
  pixels = height * width
  rasters = []
  for i, frame in enumerate(frames):
    runs = [
      document.integer(run, f"{here}[{i}][{j}]", low=0, high=pixels)
      for j, run in enumerate(document.sequence(frame, f"{here}[{i}]"))
    ]
    if sum(runs) != pixels:
      raise InputError(
        f"{here}[{i}]",
        f"add up to {sum(runs)} pixels, {height} x {width} has {pixels}",
      )
    rasters.append(np.repeat(np.arange(len(runs)) % 2 == 1, runs))
  return Raster(
    times=times, frames=np.stack(rasters).reshape(-1, height, width)
  )


def _run_lengths(frame: Bool[np.ndarray, "h w"]) -> list[int]:
  """Lengths of runs of False and True in turn, beginning with False."""
  change = np.flatnonzero(np.diff(frame.ravel(), prepend=False))
  return np.diff(change, prepend=0, append=frame.size).tolist()
