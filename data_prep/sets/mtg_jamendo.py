"""MTG-Jamendo: music under Creative Commons licences, with tags.

Tables with TRACK_ID, ARTIST_ID, ALBUM_ID, PATH, DURATION and TAGS, of which
TAGS goes on to the end of the row (README of MTG/mtg-jamendo-dataset). The
split is data/splits/split-0/autotagging-{train,validation,test}.tsv; without
it data/autotagging.tsv is taken, and a share of its artists for validation, by
digest. PATH is "48/948.mp3"; the smaller download has "48/948.low.mp3".
audio_licenses.txt has, for every track, its path, a line on the artist and a
line with the licence, and then an empty line. Of a tag, "genre---rock", the
word is the label. Artists are the sources.
"""

from __future__ import annotations

from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables
from data_prep.sets import disk as disk_lib
from vta import errors

_COLUMNS = (
  "TRACK_ID",
  "ARTIST_ID",
  "ALBUM_ID",
  "PATH",
  "DURATION",
  "TAGS",
)
_FOLDER = "split-0"


class MTGJamendo(catalogue.Catalogue):
  """Bogdanov et al. 2019."""

  name = "mtg_jamendo"
  description = "Whole tracks of music with tags of genre, instrument and mood."
  homepage = "https://github.com/MTG/mtg-jamendo-dataset"
  licence = (
    "each track has its own Creative Commons licence; CC BY-NC-SA (tags)"
  )
  citation = (
    "Bogdanov, Won, Tovstogan, Porter, Serra: The MTG-Jamendo Dataset for "
    "Automatic Music Tagging. ICML workshop 2019."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    licences = _licences(disk)
    parts = [
      (split, path)
      for split in entry.SPLITS
      for path in disk.tables(f"autotagging-{split}.tsv")
      if path.parent.name == _FOLDER
    ]
    for split, path in parts or [("train", disk.table("autotagging.tsv"))]:
      for row in tables.rows(path, columns=_COLUMNS, delimiter="\t", rest=True):
        file = row.text("PATH")
        name = file.removesuffix(".mp3")
        row.number("DURATION")
        tags = (row.text("TAGS"), *row.rest)
        yield listing.Annotated(
          where=row.where,
          split=split,
          names=(name, f"{name}.low"),
          entry=entry.Entry(
            id=entry.safe_id(row.text("TRACK_ID")),
            source=row.text("ARTIST_ID"),
            media="",
            labels=tuple(tag.strip().rpartition("---")[2] for tag in tags),
            licence=licences.get(file, ""),
          ),
        )


def _licences(disk: disk_lib.Disk) -> dict[str, str]:
  path = disk.optional("audio_licenses.txt")
  if path is None:
    return {}
  try:
    blocks = path.read_text(encoding="utf-8").split("\n\n")
  except (OSError, UnicodeError) as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None
  found = {}
  for block in blocks:
    lines = [line.strip() for line in block.strip().splitlines()]
    if not lines:
      continue
    if len(lines) < 3:
      raise errors.InputError(path, f"{lines[0]}: no licence follows")
    found[lines[0]] = lines[-1].rpartition(": ")[2]
  return found
