"""Training folders in proportion: whose turn it is at a position, by sums.

`data.train` of a config is a tuple of folders, which are one set, or of
(folder, weight) pairs, which are drawn from in these proportions whatever
their sizes: a small folder comes round more often. Nothing is drawn by lot:
after any number of clips each folder has had its share, rounded.
"""

from __future__ import annotations

import dataclasses
import fractions
import math
from collections.abc import Sequence
from typing import Any

from vta import errors
from vta.data import records

_WHERE = "config: data.train"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
  """Clips that take turns: each is seen once before any is seen again.

  Attributes:
    clips: what is drawn from.
    share: of all clips that are drawn, relative to the other parts'.
  """

  clips: Sequence[records.Record]
  share: fractions.Fraction = fractions.Fraction(1)


def folders(train: Sequence[Any]) -> tuple[str, ...]:
  """The folders of `data.train`, weighted or not.

  Raises:
    InputError: it is neither a tuple of folders nor one of pairs, or a weight
      is none.
  """
  return tuple(folder for folder, _ in _pairs(train))


def read(train: Sequence[Any]) -> tuple[Part, ...]:
  """The clips of `data.train`: one part, or one for every weighted folder.

  Raises:
    InputError: as `folders` and `records.Shards` do.
  """
  pairs = _pairs(train)
  if all(weight is None for _, weight in pairs):
    return (Part(clips=records.Shards([folder for folder, _ in pairs])),)
  return tuple(
    Part(clips=records.Shards([folder]), share=weight)
    for folder, weight in pairs
  )


def whole(shares: Sequence[fractions.Fraction]) -> tuple[int, ...]:
  """Shares as the smallest whole numbers in the same proportion."""
  scale = math.lcm(*(share.denominator for share in shares))
  numbers = [int(share * scale) for share in shares]
  common = math.gcd(*numbers)
  return tuple(number // common for number in numbers)


def turn(position: int, shares: Sequence[int]) -> tuple[int, int]:
  """Whose turn it is at a position, and how often it was theirs before.

  Of the positions so far the first has had its share, rounded up, the second
  its share of those left over, and so on: a sequence that neither drifts nor
  clusters, of which any position is found without those before it.

  Args:
    position: 0 and on.
    shares: above 0, relative to each other.
  """
  left = sum(shares)
  now, after = position, position + 1
  for i, share in enumerate(shares):
    left -= share
    # Of the positions that reach this one, how many pass it.
    passed = now * left // (left + share)
    passed_after = after * left // (left + share)
    if after - passed_after != now - passed:
      return i, now - passed
    now, after = passed, passed_after
  raise AssertionError("the last one takes what is left")


def _pairs(
  train: Sequence[Any],
) -> list[tuple[str, fractions.Fraction | None]]:
  if not train:
    raise errors.InputError(_WHERE, "names no folder")
  if all(isinstance(one, str) for one in train):
    return [(folder, None) for folder in train]
  for one in train:
    if not (
      isinstance(one, (tuple, list))
      and len(one) == 2
      and isinstance(one[0], str)
    ):
      raise errors.InputError(
        _WHERE,
        f"{one!r} is no (folder, weight) pair, and not all are folders: write "
        "(('a', 0.7), ('b', 0.3)) or ('a', 'b')",
      )
  return [(folder, _weight(folder, value)) for folder, value in train]


def _weight(folder: str, value: Any) -> fractions.Fraction:
  if (
    isinstance(value, bool)
    or not isinstance(value, (int, float))
    or not (math.isfinite(value) and value > 0)
  ):
    raise errors.InputError(
      _WHERE, f"the weight of {folder} is {value!r}, not a number above 0"
    )
  # As it is written: 0.1 is a tenth.
  return fractions.Fraction(str(value))
