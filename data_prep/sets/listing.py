"""A set's annotations and its media, put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import tqdm

from data_prep.sets import disk as disk_lib
from data_prep.sets import entry as entry_lib
from data_prep.sets import sides
from vta import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotated:
  """What a row of annotations says of a clip, wherever the clip may be.

  Several rows of one clip are joined: their captions, labels and events.

  Attributes:
    split: one of entry.SPLITS.
    names: what its medium may be called, without suffix; the first counts
      that there is. A name may begin with folders.
    entry: all else; its `media` is filled in.
    where: file and line, for errors.
  """

  where: str
  split: str
  names: Sequence[str]
  entry: entry_lib.Entry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
  """What a set's annotations and its media make together.

  Attributes:
    splits: the entries of each split that has any, by id.
    missing: ids of clips that are annotated and not on disk.
    unlisted: media that no annotation names.
    torn: ids left out because their source is held out by another split, here
      or of another set.
    filtered: ids left out by what made a catalogue of another.
  """

  splits: Mapping[str, list[entry_lib.Entry]]
  missing: Sequence[str] = ()
  unlisted: Sequence[str] = ()
  torn: Sequence[str] = ()
  filtered: Sequence[str] = ()


def match(
  disk: disk_lib.Disk, annotated: Iterable[Annotated], *, name: str = ""
) -> Listing:
  """Annotated clips and the media that there are.

  Args:
    disk: the media.
    annotated: the clips, in any order.
    name: of the set, for the bar.

  Raises:
    InputError: two rows disagree on what a clip is.
  """
  found: dict[tuple[str, str], entry_lib.Entry] = {}
  missing: set[str] = set()
  listed: set[str] = set()
  for one in tqdm.tqdm(annotated, desc=f"{name}: annotations", unit=" rows"):
    paths = [path for name in one.names for path in disk.matches(name)]
    if not paths:
      missing.add(one.entry.id)
      continue
    listed.update(paths)
    entry = dataclasses.replace(one.entry, media=paths[0])
    key = (one.split, entry.id)
    try:
      found[key] = found[key].joined(entry) if key in found else entry
    except ValueError as error:
      raise errors.InputError(one.where, str(error)) from None
  splits: dict[str, list[entry_lib.Entry]] = {}
  for (split, _), entry in sorted(found.items()):
    splits.setdefault(split, []).append(entry)
  splits, torn = sides.apart(splits)
  return Listing(
    splits={split: entries for split, entries in splits.items() if entries},
    missing=sorted(missing),
    unlisted=sorted(set(disk.media) - listed),
    torn=torn,
  )
