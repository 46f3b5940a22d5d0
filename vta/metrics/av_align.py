"""AV-Align: do peaks of sound fall on peaks of motion?

Yariv et al. 2023 (TempoTokens, arXiv 2309.16429), by the two versions of
av_align.py in guyyariv/TempoTokens. 2023: any local maximum of the motion is a
peak, and one may answer many onsets. 2025 (the file of February): a peak is at
least 0.1 pixel per frame, and answers one onset. Their numbers differ: a table
names its version. 2024's papers have 2023's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from vta.metrics import onsets, optical_flow

Version = Literal["2023", "2025"]

FLOOR = 0.1  # pixels per frame: what 2025 takes for standing still


def audio_peaks(
  wave: Float[np.ndarray, "t c"], *, rate: int
) -> Float[np.ndarray, " k"]:
  """Onset times, s: librosa's defaults on mono at 22,050 Hz."""
  return onsets.librosa_onsets(wave, rate=rate)


def motion(
  frames: Iterable[UInt8[np.ndarray, "h w 3"]],
) -> Float[np.ndarray, " f"]:
  """Mean length of the optical flow into each frame, pixels per frame.

  The first frame, into which nothing flows, has the second's.

  Args:
    frames: all frames of the clip at its own rate, RGB; they are read once,
      so a generator will do.

  Raises:
    ValueError: fewer than two frames, or of unequal sizes.
  """
  lengths, last = [], None
  for frame in frames:
    following = optical_flow.expand(optical_flow.grey(frame))
    if last is not None:
      across, down = optical_flow.flow(last, following)
      lengths.append(float(np.hypot(across, down).mean(dtype=np.float64)))
    last = following
  if not lengths:
    raise ValueError("motion needs two frames")
  return np.array(lengths[:1] + lengths)


def video_peaks(
  motion: Float[np.ndarray, " f"], *, fps: float, version: Version
) -> Float[np.ndarray, " k"]:
  """Times of the motion's local maxima, s.

  Args:
    motion: of each frame, pixels per frame.
    fps: frames per second.
    version: whose peaks.
  """
  inner = motion[1:-1]
  peak = (motion[:-2] < inner) & (inner > motion[2:])
  if version == "2025":
    peak &= inner >= FLOOR
  return (np.flatnonzero(peak) + 1) / fps


def score(
  audio: Float[np.ndarray, " n"],
  video: Float[np.ndarray, " m"],
  *,
  fps: float,
  version: Version,
) -> float:
  """Intersection over union of the two lists of peaks, 0 to 1.

  A pair is less than a frame apart. In 2025 each onset in turn takes the first
  free peak; in 2023 it may take one that is taken.

  Args:
    audio: times of the sound's peaks, s, in order.
    video: times of the motion's peaks, s, in order.
    fps: frames per second.
    version: whose matching.

  Returns:
    The score; NaN without any peak, where the published code divides by zero.
  """
  if not len(audio) + len(video):
    return math.nan
  free = np.ones(len(video), bool)
  hits = 0
  for time in audio:
    # As published, to the rounding: |time - video| < 1 / fps is not the same.
    near = (video - 1 / fps < time) & (time < video + 1 / fps) & free
    if near.any():
      hits += 1
      free[np.argmax(near)] = version == "2023"
  return hits / (len(audio) + len(video) - hits)
