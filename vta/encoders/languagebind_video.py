"""Clips as LanguageBind's video tower sees them: a few frames, one size.

languagebind/video/processing_video.py of Zhu et al. 2023 (arXiv 2310.01852),
with its "decord" and "opencv" readers' choice of frames.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int, UInt8

# Not in a file of the folder: OpenAI's.
_MEAN = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
_STD = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)


def chosen(count: int, frames: int) -> Int[np.ndarray, "{frames}"]:
  """Which of a clip's frames are seen, the first and the last included."""
  return np.linspace(0, count - 1, frames, dtype=int)


def pictures(
  frames: UInt8[np.ndarray, "f h w 3"], side: int
) -> Float[np.ndarray, "f {side} {side} 3"]:
  """RGB frames of any size as the pictures that the video tower takes.

  The shortest edge is resized to `side`, bilinearly and without antialiasing
  (torch's interpolation, which theirs uses), and the middle is cut out. Theirs
  mirrors every other clip at random, when it is used too; this one never.
  """
  height, width = frames.shape[1:3]
  x, short = frames, min(height, width)
  for axis, old in ((1, height), (2, width)):
    new = math.floor(old / short * side)
    start = round((new - side) / 2)
    # In float32, as theirs: frames of 1080 lines show the difference.
    places = np.arange(start, start + side, dtype=np.float32) + np.float32(0.5)
    places = np.maximum(places * np.float32(old / new) - np.float32(0.5), 0)
    below = places.astype(int)
    above = np.minimum(below + 1, old - 1)
    shape = [1] * 4
    shape[axis] = side
    share = (places % 1).reshape(shape)
    x = (1 - share) * x.take(below, axis) + share * x.take(above, axis)
  return (x / np.float32(255) - _MEAN) / _STD
