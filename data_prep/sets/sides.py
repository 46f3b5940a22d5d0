"""Which side of a split a source is on: one, and always the same one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from data_prep.sets import entry as entry_lib


def held_out(sources: Iterable[str], share: float) -> set[str]:
  """Sources for validation, one or more, and not all.

  Chosen by digest, so that neither the order nor the names' own order counts,
  and few change sides when sources come or go.

  Raises:
    ValueError: there are fewer than two sources.
  """
  known = set(sources)
  if len(known) < 2:
    raise ValueError(f"{len(known)} cannot be split in two")
  ranked = sorted(
    known, key=lambda name: hashlib.sha256(name.encode()).digest()
  )
  return set(ranked[: min(max(round(share * len(known)), 1), len(known) - 1)])


def with_validation(
  splits: Mapping[str, list[entry_lib.Entry]], share: float
) -> dict[str, list[entry_lib.Entry]]:
  """The splits; if none is for validation, a share of the training sources is.

  What has a single source to train on stays as it is.
  """
  found = {split: entries for split, entries in splits.items() if entries}
  training = found.get("train", [])
  sources = {one.source for one in training}
  if "validation" in found or len(sources) < 2:
    return found
  chosen = held_out(sources, share)
  return {
    **found,
    "train": [one for one in training if one.source not in chosen],
    "validation": [one for one in training if one.source in chosen],
  }


def apart(
  splits: Mapping[str, list[entry_lib.Entry]],
) -> tuple[dict[str, list[entry_lib.Entry]], list[str]]:
  """The splits without what has its source in one that is held out from them.

  A source stays where most is held out from: in test, or else in validation.

  Returns:
    The splits, and the ids of what was left out.
  """
  kept: dict[str, list[entry_lib.Entry]] = {}
  torn: list[str] = []
  taken: set[str] = set()
  for split in reversed(entry_lib.SPLITS):
    entries = splits.get(split, [])
    kept[split] = [one for one in entries if one.source not in taken]
    torn += [one.id for one in entries if one.source in taken]
    taken |= {one.source for one in entries}
  return kept, sorted(torn)


def apart_from(
  splits: Mapping[str, list[entry_lib.Entry]],
  others: Iterable[Mapping[str, list[entry_lib.Entry]]],
) -> tuple[dict[str, list[entry_lib.Entry]], list[str]]:
  """The splits without what other sets hold out from them.

  Test sources of the others are in neither train nor validation, validation
  sources of theirs not in train.

  Returns:
    The splits that still have entries, and the ids of what was left out.
  """
  held: dict[str, set[str]] = {"train": set(), "validation": set()}
  for other in others:
    tested = {one.source for one in other.get("test", ())}
    held["validation"] |= tested
    held["train"] |= tested
    held["train"] |= {one.source for one in other.get("validation", ())}
  kept, torn = {}, []
  for split, entries in splits.items():
    own = held.get(split, set())
    kept[split] = [one for one in entries if one.source not in own]
    torn += [one.id for one in entries if one.source in own]
  return {split: own for split, own in kept.items() if own}, torn
