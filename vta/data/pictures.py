"""Frames as a network of small pictures wants them: when, how large, how lit.

What CondFoleyGen's onset baseline does to frames (papers.md 2.1 (ii)): resize
to a square, cut a smaller one out of it, at random in training and from the
middle otherwise, and in training change brightness and contrast. A stretch is
cut and lit as one, so that nothing moves or flickers that did not.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

# Stamps are in float32 in records: a frame is not late by a rounding.
_SLACK = 1e-3  # s
_GREY = np.array([0.2989, 0.587, 0.114], np.float32)  # torchvision's
_HIDDEN = 127  # as data_prep.encode shows it to towers


def shown(
  stamps: Float[np.ndarray, "f"], at: Float[np.ndarray, "n"]
) -> Int[np.ndarray, "n"]:
  """Index of the frame on screen at each time: the latest one not after it.

  Args:
    stamps: of the frames, s, increasing.
    at: times, s; before the first stamp the first frame is shown.
  """
  found = np.searchsorted(stamps, at + _SLACK, side="right") - 1
  return np.maximum(found, 0)


def masked(
  frames: UInt8[np.ndarray, "f h w 3"], mask: UInt8[np.ndarray, "f h w"] | None
) -> UInt8[np.ndarray, "f h w 3"]:
  """Frames in which what a mask hides is grey: it cannot sound."""
  if mask is None:
    return frames
  return np.where(mask[..., None] > 0, frames, np.uint8(_HIDDEN))


def resize(
  frames: UInt8[np.ndarray, "f h w 3"], side: int
) -> UInt8[np.ndarray, "f {side} {side} 3"]:
  """Frames of any size as squares, by Pillow's bilinear filter."""
  if frames.shape[1:3] == (side, side):
    return frames
  made = np.empty((len(frames), side, side, 3), np.uint8)
  for i, frame in enumerate(frames):
    image = Image.fromarray(frame)
    made[i] = image.resize((side, side), Image.Resampling.BILINEAR)
  return made


def crop(
  frames: UInt8[np.ndarray, "f h w 3"],
  side: int,
  rng: np.random.Generator | None = None,
) -> UInt8[np.ndarray, "f {side} {side} 3"]:
  """A square of every frame, the same one: the middle, or with `rng` any."""
  room = np.array(frames.shape[1:3]) - side
  if room.min() < 0:
    raise ValueError(f"no square of {side} in frames of {frames.shape[1:3]}")
  top, left = room // 2 if rng is None else rng.integers(room + 1)
  return frames[:, top : top + side, left : left + side]


def jitter(
  frames: UInt8[np.ndarray, "f h w 3"],
  rng: np.random.Generator,
  *,
  strength: float,
) -> UInt8[np.ndarray, "f h w 3"]:
  """torchvision's ColorJitter of brightness and contrast, in that order.

  Args:
    frames: of one stretch; all get the same two factors.
    rng: draws them from 1 - strength to 1 + strength.
    strength: 0.1 is CondFoleyGen's.
  """
  brightness, contrast = rng.uniform(1.0 - strength, 1.0 + strength, 2)
  lit = np.clip(frames * np.float32(brightness), 0.0, 255.0)
  # What contrast leaves as it is: the mean grey of each picture.
  grey = (lit @ _GREY).mean(axis=(1, 2))[:, None, None, None]
  lit = grey + np.float32(contrast) * (lit - grey)
  return np.clip(np.rint(lit), 0.0, 255.0).astype(np.uint8)
