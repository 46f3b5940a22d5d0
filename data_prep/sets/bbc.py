"""BBC Sound Effects: recordings of a sound archive, without pictures.

BBCSoundEffects.csv has the columns location, description, secs, category,
CDNumber, CDName and tracknum (read by FThompson/BBCSoundDownloader). A file is
called by its location, "07000001.wav", or as that downloader saves it, after
its description: both are looked for, under any suffix. No splits are
published: a share is taken for validation, by digest of the location. Tracks
of one CD count as recordings of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables
from data_prep.sets import disk as disk_lib

_LONGEST = 143  # letters of the downloader's names


class BBC(catalogue.Catalogue):
  """The archive of 16,000 effects as it was put on line in 2018."""

  name = "bbc"
  description = "Sound effects of the BBC's archive, with descriptions."
  homepage = "https://sound-effects.bbcrewind.co.uk/"
  licence = (
    "RemArc (personal, educational and research use); the BBC's for all else"
  )
  citation = "BBC Sound Effects, copyright BBC."

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    for row in tables.rows(
      disk.table("BBCSoundEffects.csv"),
      columns=("location", "description", "secs", "category"),
    ):
      location, description = row.text("location"), row.text("description")
      row.number("secs")
      category = row.optional("category")
      number, dot, suffix = location.rpartition(".")
      number = number if dot else suffix
      # Of the text as it is, with its blanks.
      saved = re.sub(r"[^\w\-&,()\. ]", "_", row.columns["description"]).strip()
      saved = saved[: _LONGEST - len(location) - 1]
      yield listing.Annotated(
        where=row.where,
        split="train",
        names=(number, f"{saved}.{number}"),
        entry=entry.Entry(
          id=entry.safe_id(number),
          source=number,
          media="",
          captions=(description,),
          labels=(category,) if category else (),
        ),
      )
