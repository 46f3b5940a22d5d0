"""Which clips are used, and in which shard each of them goes.

A pure function of the catalogue and of what the checks found, so that it is the
same whoever made the checks, and in what order. Held-out sides come first:
of clips with the same content the test set's stays, and a source or a file that
a held-out side has clips of gives none to training.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from data_prep import checks as checks_lib
from data_prep import fingerprint
from data_prep.sets import entry as entry_lib

# Who keeps a clip that two sides have.
_FIRST = {split: rank for rank, split in enumerate(reversed(entry_lib.SPLITS))}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeftOut:
  """An entry that is not used, and why; `reason` is of `checks.REASONS`."""

  id: str
  split: str
  media: str
  reason: str
  detail: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
  """What is made.

  Attributes:
    shards: ids of each shard's entries by split, in the order of the shards.
    left_out: everything else, in the order of the ids.
  """

  shards: Mapping[str, Sequence[Sequence[str]]]
  left_out: Sequence[LeftOut]


def make(
  splits: Mapping[str, Sequence[entry_lib.Entry]],
  checks: Mapping[str, checks_lib.Check],
  *,
  shard_size: int,
) -> Plan:
  """Decides.

  Args:
    splits: the catalogue.
    checks: what was found of every entry, by id.
    shard_size: entries of a shard; the last of a split may have fewer.
  """
  ranked = [
    (split, one)
    for split in sorted(splits, key=_FIRST.__getitem__)
    for one in sorted(splits[split], key=lambda one: one.id)
  ]
  wrong = {
    one.id: (checks[one.id].reason, checks[one.id].detail)
    for _, one in ranked
    if checks[one.id].reason
  }
  wrong |= _duplicates(
    [one for _, one in ranked if one.id not in wrong], checks
  )
  wrong |= _leaks(
    [(s, one) for s, one in ranked if one.id not in wrong], checks
  )
  shards = {}
  for split in entry_lib.SPLITS:
    good = [one for one in splits.get(split, ()) if one.id not in wrong]
    # Mixed, but a file's clips side by side: it is decoded once.
    good.sort(key=lambda one: (_digest(one.media), one.media, one.id))
    if good:
      shards[split] = [
        [one.id for one in good[first : first + shard_size]]
        for first in range(0, len(good), shard_size)
      ]
  left_out = [
    LeftOut(
      id=one.id,
      split=split,
      media=one.media,
      reason=wrong[one.id][0],
      detail=wrong[one.id][1],
    )
    for split, one in ranked
    if one.id in wrong
  ]
  return Plan(shards=shards, left_out=sorted(left_out, key=lambda one: one.id))


def _digest(text: str) -> bytes:
  return hashlib.sha256(text.encode()).digest()


def _duplicates(
  ranked: Iterable[entry_lib.Entry],
  checks: Mapping[str, checks_lib.Check],
) -> dict[str, tuple[str, str]]:
  """Those with the content of one before them."""
  found, index = {}, fingerprint.Index()
  for one in ranked:
    content = fingerprint.Print.of_text(checks[one.id].content)
    first = index.find(content)
    if first is None:
      index.add(one.id, content)
      continue
    same = checks[first].sha256 == checks[one.id].sha256
    found[one.id] = (
      "duplicate",
      f"of {first}, {'the same file' if same else 'in another file'}",
    )
  return found


def _leaks(
  ranked: Sequence[tuple[str, entry_lib.Entry]],
  checks: Mapping[str, checks_lib.Check],
) -> dict[str, tuple[str, str]]:
  """Those tied by source or by file to one on a side that goes before theirs.

  Ties pass on: a source that shares a file with another is one with it.
  """
  parent: dict[str, str] = {}

  def root(key: str) -> str:
    path = [key]
    while (up := parent.setdefault(path[-1], path[-1])) != path[-1]:
      path.append(up)
    parent.update(dict.fromkeys(path, path[-1]))
    return path[-1]

  for _, one in ranked:
    parent[root(f"source {one.source}")] = root(f"file {checks[one.id].sha256}")
  owner: dict[str, tuple[str, str]] = {}
  found = {}
  for split, one in ranked:
    side, first = owner.setdefault(
      root(f"source {one.source}"), (split, one.id)
    )
    if side != split:
      found[one.id] = ("leak", f"its source or file is that of {first}, {side}")
  return found
