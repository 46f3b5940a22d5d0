"""Any folder of one's own videos or sounds, with captions or without.

Searched with all its folders. captions.csv, in the folder itself, has the
columns file and caption, and may have label, source and split (train,
validation, test); a file may have several rows, or none, and is then learned
from without text. The source is what the file was cut from, if it was; files of
one source are never on two sides. Where no split is given, a share of the
sources is held out for validation, one at least, by digest.
"""

from __future__ import annotations

from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables
from data_prep.sets import disk as disk_lib
from vta import errors

_TABLE = "captions.csv"
_SPLITS = {split: split for split in entry.SPLITS}


class Folder(catalogue.Catalogue):
  """A folder of one's own."""

  name = "folder"
  description = "A folder of somebody's own videos or sounds."
  licence = "its owner's"
  held_out = 0.15

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    if not disk.media:
      suffixes = ", ".join(sorted(disk_lib.VIDEOS | disk_lib.AUDIO))
      raise errors.InputError(disk.root, f"holds no media ({suffixes})")
    media = frozenset(disk.media)
    said: dict[str, list[tables.Row]] = {}
    table = disk.root / _TABLE
    if table.exists():
      for row in tables.rows(table, columns=("file", "caption")):
        name = row.text("file")
        if name not in media:
          raise row.fail("file", f"there is no {name!r}")
        said.setdefault(name, []).append(row)
    made = [
      _annotated(name, row)
      for name in disk.media
      for row in said.get(name, [None])
    ]
    sources = {one.entry.source for one in made}
    if len(sources) < 2 and {one.split for one in made} == {"train"}:
      raise errors.InputError(
        disk.root,
        f"holds {len(sources)} file or source; 2 or more are needed, since one "
        "has to be held out",
      )
    yield from made


def _annotated(name: str, row: tables.Row | None) -> listing.Annotated:
  if row is None:
    return listing.Annotated(
      where=name,
      split="train",
      names=(name,),
      entry=entry.Entry(id=entry.safe_id(name), source=name, media=""),
    )
  label = row.optional("label")
  return listing.Annotated(
    where=row.where,
    split=row.one_of("split", _SPLITS) if row.optional("split") else "train",
    names=(name,),
    entry=entry.Entry(
      id=entry.safe_id(name),
      source=row.optional("source") or name,
      media="",
      captions=(row.text("caption"),),
      labels=(label,) if label else (),
    ),
  )
