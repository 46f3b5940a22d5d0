"""Batches of clips of like length, so that a short one pays for no long one.

A program for a TPU has fixed shapes, so a step's batch has one length. Where
clips last 5 to 60 s, one length for all would be mostly padding: of MM-V2A two
thirds of the clips last 10 s. Here a window may be divided: by 2, say, for
clips of half its length, twice as many of them to a batch. A step is of one
division; all cost about the same time and memory, and each is compiled once.

A clip always belongs to the same division: the longest window that it fills to
four fifths, or the shortest. It is padded to that, or cut at random.
"""

from __future__ import annotations

import dataclasses
import fractions
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from vta import errors
from vta.data import lengths, mixture, records

# Of a window, that padding may fill where a shorter window is to be had.
PADDING = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bucket:
  """What steps of one shape draw from.

  Attributes:
    window: latents.
    times: how many times as many clips a batch has as one of whole windows.
    parts: the clips; some may have none here.
    share: of the steps, relative to the other buckets'.
  """

  window: int
  times: int
  parts: tuple[mixture.Part, ...]
  share: fractions.Fraction


class Some(Sequence[records.Record]):
  """Those clips of a set that are at `places`."""

  def __init__(
    self, clips: Sequence[records.Record], places: Int[np.ndarray, "n"]
  ):
    self._clips = clips
    self._places = places

  def __len__(self) -> int:
    return len(self._places)

  def __getitem__(self, index: int) -> records.Record:
    return self._clips[int(self._places[index])]


def windows(
  whole: int, divisions: Sequence[Any]
) -> tuple[tuple[int, int], ...]:
  """(latents, times) of every division of a window, the shortest first.

  Raises:
    InputError: they are not different whole numbers, 1 among them.
  """
  wrong = [n for n in divisions if not isinstance(n, int) or not n >= 1]
  if wrong or 1 not in divisions or len(set(divisions)) < len(divisions):
    raise errors.InputError(
      "config: data.divisions",
      f"{tuple(divisions)!r} are not different numbers, 1 and above, with 1",
    )
  return tuple(
    (math.ceil(whole / times), times)
    for times in sorted(divisions, reverse=True)
  )


def place(
  latents: Int[np.ndarray, "n"], sizes: Sequence[int]
) -> Int[np.ndarray, "n"]:
  """Index of the window of each clip.

  Args:
    latents: how long the clips are.
    sizes: of the windows, increasing.
  """
  filled = np.ceil((1.0 - PADDING) * np.array(sizes))
  return np.maximum(np.searchsorted(filled, latents, side="right") - 1, 0)


def split(
  parts: Sequence[mixture.Part], *, window: int, divisions: Sequence[int]
) -> tuple[Bucket, ...]:
  """Parts by the length of their clips; those that no clip is of are left out.

  What is drawn stays in proportion: of a part's clips in all buckets each comes
  as often as any other, and the parts as often as their shares say.
  """
  sizes = windows(window, divisions)
  homes = [
    place(lengths.latents(part.clips.paths), [size for size, _ in sizes])
    for part in parts
  ]
  made = []
  for i, (size, times) in enumerate(sizes):
    inside: list[mixture.Part] = []
    for part, home in zip(parts, homes, strict=True):
      places = np.flatnonzero(home == i)
      share = part.share * fractions.Fraction(len(places), len(home))
      inside.append(mixture.Part(clips=Some(part.clips, places), share=share))
    clips = sum(part.share for part in inside)
    if clips:
      made.append(
        Bucket(
          window=size, times=times, parts=tuple(inside), share=clips / times
        )
      )
  return tuple(made)
