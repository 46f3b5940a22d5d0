"""Masks as Draw an Audio practises on them: none, boxes, one box, all shaken.

The paper trains on boxes that a detector draws and is given what people draw.
How it goes from one to the other is not known; the schedule is papers.md 1.3's:
a clip is seen under its boxes, or under one box that holds all of them at all
times, or whole; and what is drawn is not drawn exactly.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped, UInt8


def draw(
  mask: UInt8[np.ndarray, "f h w"] | None,
  rng: np.random.Generator,
  *,
  boxes: float,
  union: float,
  jitter: float,
) -> UInt8[np.ndarray, "f h w"] | None:
  """A clip's mask for one visit.

  Args:
    mask: 255 where the clip's sound is seen to come from; None is everywhere.
    rng: decides.
    boxes: chance that the mask stays as it is.
    union: chance of one box for the whole clip; else everything is shown.
    jitter: how far the mask is moved and scaled, at most, in each direction,
      relative to its own size.
  """
  if mask is None or not mask.any():
    return mask
  chance = rng.random()
  if chance >= boxes + union:
    return None
  box = _bounds(mask)
  if chance >= boxes:
    whole = np.zeros_like(mask[:1])
    whole[0, box[0] : box[1], box[2] : box[3]] = 255
    mask = np.repeat(whole, len(mask), axis=0)
  rows = _shaken(*box[:2], mask.shape[1], rng.uniform(-jitter, jitter, 2))
  columns = _shaken(*box[2:], mask.shape[2], rng.uniform(-jitter, jitter, 2))
  return _take(_take(mask, rows, axis=1), columns, axis=2)


def _bounds(mask) -> tuple[int, int, int, int]:
  """First row and past the last, first column and past the last, ever shown."""
  rows = np.flatnonzero(mask.any(axis=(0, 2)))
  columns = np.flatnonzero(mask.any(axis=(0, 1)))
  return (
    int(rows[0]),
    int(rows[-1]) + 1,
    int(columns[0]),
    int(columns[-1]) + 1,
  )


def _shaken(first: int, end: int, size: int, amounts):
  """Where each pixel of a side comes from when a stretch of it is shaken."""
  moved, grown = amounts
  middle, length = 0.5 * (first + end), end - first
  at = np.arange(size) + 0.5
  source = (at - middle - moved * length) / (1.0 + grown) + middle
  return np.floor(source).astype(int)


def _take(
  mask: Shaped[np.ndarray, "f h w"], source: np.ndarray, *, axis: int
) -> Shaped[np.ndarray, "f h w"]:
  """Pixels from elsewhere; 0 where that is outside of the picture."""
  size = mask.shape[axis]
  inside = (source >= 0) & (source < size)
  shape = [1] * mask.ndim
  shape[axis] = size
  taken = np.take(mask, np.clip(source, 0, size - 1), axis=axis)
  return taken * inside.reshape(shape).astype(mask.dtype)
