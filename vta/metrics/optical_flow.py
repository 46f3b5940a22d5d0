"""Dense optical flow by polynomial expansion, as OpenCV has it.

AV-Align is defined by cv2.calcOpticalFlowFarneback, and the core does without
OpenCV. This is the same algorithm in NumPy with that function's smoothing,
borders and rounding; the tests hold the two together. Farneback 2003: every
neighbourhood is approximated by a quadratic, whose change between two frames
is the shift:

  f(x) ~ x'A x + b'x + c,   A d = -(b_2 - b_1) / 2

solved in least squares over a window, from coarse to fine.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

# AV-Align's arguments: calcOpticalFlowFarneback(.., 0.5, 3, 15, 3, 5, 1.2, 0).
_SHRINK, _LEVELS, _WINDOW, _ITERATIONS, _REACH, _SIGMA = 0.5, 3, 15, 3, 5, 1.2
_SMALLEST = 32  # pixels of a side below which no coarser level is made
# How much the outermost pixels count, whose quadratics lean on copies.
_BORDER = np.array([0.14, 0.14, 0.4472, 0.4472, 0.4472], np.float32)
# Red, green and blue in units of 2^-15, as OpenCV rounds them.
_GREY = (9798, 19235, 3735)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Expansion:
  """A frame's quadratics, coarsest level last.

  Attributes:
    levels: per level [5, h, w]: slopes down and across, then curvatures down,
      across and mixed.
    shape: of the frame, pixels.
  """

  levels: tuple[np.ndarray, ...]
  shape: tuple[int, int]


def grey(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
  """Luma of an RGB frame, 0 to 255, to OpenCV's bit."""
  red, green, blue = np.moveaxis(frame.astype(np.int32), -1, 0)
  luma = _GREY[0] * red + _GREY[1] * green + _GREY[2] * blue
  return ((luma + (1 << 14)) >> 15).astype(np.uint8)


def expand(image: UInt8[np.ndarray, "h w"]) -> Expansion:
  """The quadratics of an image: made once, used against both neighbours."""
  height, width = image.shape
  levels = []
  for scale in _scales(height, width):
    # At full size OpenCV falls back on the deviation of its smallest kernel.
    sigma = (1 / scale - 1) / 2
    taps = max(round(sigma * 5) | 1, 3)
    kernel = _gaussian(sigma, taps) if sigma else np.array([0.25, 0.5, 0.25])
    smooth = _filter(image.astype(np.float32), kernel, kernel, mode="mirror")
    size = round(height * scale), round(width * scale)
    levels.append(_quadratics(_resize(smooth, size)))
  return Expansion(levels=tuple(levels), shape=(height, width))


def flow(first: Expansion, second: Expansion) -> Float[np.ndarray, "2 h w"]:
  """How far each pixel of the first frame moves: across and down, pixels.

  Raises:
    ValueError: the frames differ in size.
  """
  if first.shape != second.shape:
    raise ValueError(f"frames of {first.shape} and {second.shape} pixels")
  moved = None
  for one, other in zip(first.levels[::-1], second.levels[::-1], strict=True):
    size = one.shape[1:]
    if moved is None:
      moved = np.zeros((2, *size), np.float32)
    else:
      grown = [_resize(part, size) for part in moved]
      moved = np.stack(grown) * np.float32(1 / _SHRINK)
    for _ in range(_ITERATIONS):
      moved = _solve(_equations(one, other, moved))
  return moved


def _scales(height: int, width: int) -> list[float]:
  scales = [1.0]
  while len(scales) <= _LEVELS:
    scale = scales[-1] * _SHRINK
    if min(height, width) * scale < _SMALLEST:
      break
    scales.append(scale)
  return scales


def _gaussian(sigma: float, taps: int) -> np.ndarray:
  x = np.arange(taps) - (taps - 1) / 2
  kernel = np.exp(-np.square(x) / (2 * sigma**2))
  return kernel / kernel.sum()


def _filter(image, down, across, *, mode="nearest"):
  rows = ndimage.correlate1d(image, down, axis=0, mode=mode)
  return ndimage.correlate1d(rows, across, axis=1, mode=mode)


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Bilinear between pixel centres, as cv2.resize: nothing is averaged."""
  for axis, count in enumerate(size):
    length = image.shape[axis]
    if count == length:
      continue
    at = (np.arange(count) + 0.5) * (length / count) - 0.5
    at = np.clip(at, 0, length - 1)
    low = np.minimum(at.astype(np.int64), max(length - 2, 0))
    weight = (at - low).astype(np.float32)
    weight = weight[:, None] if axis == 0 else weight[None]
    first, second = (image.take(low + step, axis=axis) for step in (0, 1))
    image = first + weight * (second - first)
  return image


@functools.cache
def _basis():
  """The window's moments and the rows of its inverse Gram matrix in use."""
  x = np.arange(-_REACH, _REACH + 1)
  kernel = _gaussian(_SIGMA, 2 * _REACH + 1)
  second, fourth = kernel @ x**2, kernel @ x**4
  # Of 1, x^2 and y^2, which alone are not orthogonal under the window.
  gram = np.array(
    [
      [1.0, second, second],
      [second, fourth, second**2],
      [second, second**2, fourth],
    ]
  )
  inverse = np.linalg.inv(gram)
  return (
    (kernel, kernel * x, kernel * x**2),
    (1 / second, inverse[0, 1], inverse[1, 1], 1 / second**2),
  )


def _quadratics(image: np.ndarray) -> np.ndarray:
  """Farneback's expansion, [5, h, w]."""
  (flat, slope, bend), (linear, offset, square, mixed) = _basis()

  def down(kernel):
    return ndimage.correlate1d(image, kernel, axis=0, mode="nearest")

  def across(row, kernel):
    return ndimage.correlate1d(row, kernel, axis=1, mode="nearest")

  rows = [down(kernel) for kernel in (flat, slope, bend)]
  mean = across(rows[0], flat) * offset
  return np.stack(
    [
      across(rows[1], flat) * linear,
      across(rows[0], slope) * linear,
      mean + across(rows[2], flat) * square,
      mean + across(rows[0], bend) * square,
      across(rows[1], slope) * mixed,
    ]
  ).astype(np.float32)


def _equations(one: np.ndarray, other: np.ndarray, moved: np.ndarray):
  """Each pixel's A'A (down, mixed, across) and A'b (down, across)."""
  height, width = one.shape[1:]
  across, down = moved
  x = np.arange(width, dtype=np.float32) + across
  y = np.arange(height, dtype=np.float32)[:, None] + down
  left, top = np.floor(x), np.floor(y)
  inside = (left >= 0) & (left < width - 1) & (top >= 0) & (top < height - 1)
  x, y = x - left, y - top
  at = np.where(inside, top * width + left, 0).astype(np.int64)
  pixels = other.reshape(5, -1)
  there = sum(
    weight * pixels.take(at + step, axis=1)
    for weight, step in (
      ((1 - x) * (1 - y), 0),
      (x * (1 - y), 1),
      ((1 - x) * y, width),
      (x * y, width + 1),
    )
  )
  # What has moved out of sight has no slope and the curvature it had.
  there = np.where(inside, there, np.zeros_like(one))
  there[2:] = np.where(inside, there[2:], one[2:])
  bend = (one[2:] + there[2:]) * np.float32(0.5)
  vertical, horizontal, mixed = bend[0], bend[1], bend[2] * np.float32(0.5)
  change = (one[:2] - there[:2]) * np.float32(0.5)
  trust = _trust(height)[:, None] * _trust(width)
  vertical, horizontal, mixed = (
    part * trust for part in (vertical, horizontal, mixed)
  )
  first = change[0] * trust + vertical * down + mixed * across
  second = change[1] * trust + mixed * down + horizontal * across
  return np.stack(
    [
      vertical**2 + mixed**2,
      (vertical + horizontal) * mixed,
      horizontal**2 + mixed**2,
      vertical * first + mixed * second,
      mixed * first + horizontal * second,
    ]
  )


@functools.cache
def _trust(length: int) -> np.ndarray:
  trust = np.ones(length, np.float32)
  trust[: len(_BORDER)] *= _BORDER
  trust[-len(_BORDER) :] *= _BORDER[::-1]
  return trust


def _solve(equations: np.ndarray) -> np.ndarray:
  """The flow that explains each window best."""
  down, mixed, across, first, second = ndimage.uniform_filter(
    equations, _WINDOW, axes=(1, 2), mode="nearest"
  )
  # 1e-3 for windows without any texture: their flow is zero.
  scale = 1 / (down * across - mixed**2 + np.float32(1e-3))
  return np.stack(
    [
      (down * second - mixed * first) * scale,
      (across * first - mixed * second) * scale,
    ]
  )
