"""Common Voice: people read sentences; for the codec, which hears speech too.

In the folder of a language, train.tsv, dev.tsv and test.tsv, of which any will
do, with client_id, path and more columns, and clips/<path>. Several languages
below one folder are taken together. client_id is the speaker, who is the
source. Sentences are what is said, not what is heard, and are not taken.
"""

from __future__ import annotations

from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables
from data_prep.sets import disk as disk_lib

_SPLITS = {"train.tsv": "train", "dev.tsv": "validation", "test.tsv": "test"}


class CommonVoice(catalogue.Catalogue):
  """Ardila et al. 2020."""

  name = "common_voice"
  description = "Sentences, read by volunteers."
  homepage = "https://commonvoice.mozilla.org/"
  licence = "CC0-1.0"
  citation = (
    "Ardila et al.: Common Voice: A Massively-Multilingual Speech Corpus. "
    "LREC 2020."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    disk.splits(_SPLITS)  # one or more
    for name, split in _SPLITS.items():
      for path in disk.tables(name):
        for row in tables.rows(
          path, columns=("client_id", "path"), delimiter="\t"
        ):
          clip = row.text("path").removesuffix(".mp3")
          yield listing.Annotated(
            where=row.where,
            split=split,
            names=(clip,),
            entry=entry.Entry(
              id=entry.safe_id(clip), source=row.text("client_id"), media=""
            ),
          )
