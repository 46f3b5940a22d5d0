"""A pen that draws inside one thing's box on a supersampled Pillow canvas.

All coordinates are fractions of the box, (0, 0) its top left corner and (1, 1)
its bottom right, so that a figure is drawn without knowing where it stands,
how far away it is, or how large the frame is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

Fill = tuple[int, ...]  # RGB, or RGBA to blend
Point = tuple[float, float]


class Sprite:
  """A picture drawn once and pasted at many sizes.

  Args:
    image: RGBA, at about the largest size it will be pasted at.
  """

  def __init__(self, image: Image.Image):
    self._image = image
    self._scaled: dict[tuple[int, int], Image.Image] = {}

  def window(
    self, left: float, across: float, width: int, height: int
  ) -> Image.Image:
    """A part of the picture at a size in pixels.

    Args:
      left, across: where the part begins and how wide it is, in picture widths.
      width, height: of the result.
    """
    wide, high = self._image.size
    return self._image.resize(
      (width, height),
      Image.Resampling.BILINEAR,
      box=(left * wide, 0, (left + across) * wide, high),
    )

  def scaled(self, width: int, height: int) -> Image.Image:
    """The picture at a size in pixels; zooms are slow, so sizes recur."""
    size = (width, height)
    if size not in self._scaled:
      self._scaled[size] = self._image.resize(
        size, Image.Resampling.BILINEAR, reducing_gap=2.0
      )
    return self._scaled[size]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pen:
  """Draws on `image` inside the box left, top, width, height (its pixels)."""

  image: Image.Image
  draw: ImageDraw.ImageDraw
  left: float
  top: float
  width: float
  height: float

  def at(self, x: float, y: float) -> Point:
    """Canvas pixels of a point of the box."""
    return self.left + x * self.width, self.top + y * self.height

  def along(self, start: Point, angle: float, length: float) -> Point:
    """The end of a true-to-scale line from `start`.

    Args:
      start: in box fractions.
      angle: radians; 0 hangs down, pi / 2 points right, pi up.
      length: in box heights.
    """
    reach = length * self.height / self.width
    x = start[0] + math.sin(angle) * reach
    return x, start[1] + math.cos(angle) * length

  def ellipse(
    self, x: float, y: float, rx: float, ry: float, fill: Fill
  ) -> None:
    """An ellipse about (x, y); radii in box widths and box heights."""
    px, py = self.at(x, y)
    rx, ry = rx * self.width, ry * self.height
    self.draw.ellipse((px - rx, py - ry, px + rx, py + ry), fill=fill)

  def disc(self, x: float, y: float, radius: float, fill: Fill) -> None:
    """A circle; its radius is in box heights."""
    self.ellipse(x, y, radius * self.height / self.width, radius, fill)

  def rectangle(
    self, left: float, top: float, right: float, bottom: float, fill: Fill
  ) -> None:
    """An upright rectangle."""
    self.draw.rectangle(
      (*self.at(left, top), *self.at(right, bottom)), fill=fill
    )

  def polygon(self, points: Sequence[Point], fill: Fill) -> None:
    """A filled polygon."""
    self.draw.polygon([self.at(x, y) for x, y in points], fill=fill)

  def line(self, points: Sequence[Point], width: float, fill: Fill) -> None:
    """A polyline with round joints; its width is in box heights."""
    pixels = max(1, round(width * self.height))
    self.draw.line(
      [self.at(x, y) for x, y in points], fill=fill, width=pixels, joint="curve"
    )

  def paste(
    self, sprite: Sprite, left: float, top: float, right: float, bottom: float
  ) -> None:
    """Blends a sprite into the given rectangle."""
    corner, size = self._pixels(left, top, right, bottom)
    picture = sprite.scaled(*size)
    self.image.paste(picture, corner, picture)

  def paste_strip(self, sprite: Sprite, offset: float, top: float) -> None:
    """Blends an endless strip, which has slid by `offset` box widths.

    Args:
      sprite: two equal periods of the strip, each a box wide.
      offset: how far the box has moved over it.
      top: where it begins; it ends at the bottom of the box.
    """
    corner, size = self._pixels(0.0, top, 1.0, 1.0)
    picture = sprite.window(0.5 * (offset % 1.0), 0.5, *size)
    self.image.paste(picture, corner, picture)

  def _pixels(self, left, top, right, bottom):
    x0, y0 = (round(v) for v in self.at(left, top))
    x1, y1 = (round(v) for v in self.at(right, bottom))
    return (x0, y0), (max(x1 - x0, 1), max(y1 - y0, 1))
