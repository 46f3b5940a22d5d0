"""UrbanSound8K: slices of Freesound recordings of ten kinds of urban sound.

metadata/UrbanSound8K.csv has the columns slice_file_name, fsID, start, end,
salience, fold, classID and class; sounds are audio/fold<fold>/<slice_file_name>
and no longer than 4 s. Slices of a recording (fsID) are in one fold. The
publishers ask for cross-validation over the ten folds; here fold 10 is test and
fold 9 validation, which is ours. Labels have blanks for "_".
"""

from __future__ import annotations

from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables
from data_prep.sets import disk as disk_lib

_FOLDS = {str(fold): "train" for fold in range(1, 9)} | {
  "9": "validation",
  "10": "test",
}


class UrbanSound8K(catalogue.Catalogue):
  """Salamon et al. 2014."""

  name = "urbansound8k"
  description = "Slices of up to 4 s, of ten kinds of urban sound."
  homepage = "https://urbansounddataset.weebly.com/urbansound8k.html"
  licence = "CC BY-NC 3.0"
  citation = (
    "Salamon, Jacoby, Bello: A Dataset and Taxonomy for Urban Sound Research. "
    "ACM Multimedia 2014."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    for row in tables.rows(
      disk.table("UrbanSound8K.csv"),
      columns=("slice_file_name", "fsID", "start", "end", "fold", "class"),
    ):
      name = row.text("slice_file_name").removesuffix(".wav")
      row.stretch("start", "end")
      yield listing.Annotated(
        where=row.where,
        split=row.one_of("fold", _FOLDS),
        names=(f"fold{row.text('fold')}/{name}", name),
        entry=entry.Entry(
          id=entry.safe_id(name),
          source=row.text("fsID"),
          media="",
          labels=(row.text("class").replace("_", " "),),
        ),
      )
