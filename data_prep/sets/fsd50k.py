"""FSD50K: clips of Freesound with labels of AudioSet's ontology.

FSD50K.ground_truth/dev.csv has the columns fname, labels, mids and split (train
or val), eval.csv those without split, labels and mids with commas between them
in one cell; sounds are FSD50K.dev_audio/<fname>.wav and
FSD50K.eval_audio/<fname>.wav. FSD50K.metadata/{dev,eval}_clips_info_FSD50K.json
have every clip's title, description, tags, licence and uploader by fname
(Zenodo 4060432); without them entries carry no licence. Labels are as
published, with blanks for "_". A recording is its own source: the publishers
say that they kept uploaders apart as far as they could.
"""

from __future__ import annotations

from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables
from data_prep.sets import disk as disk_lib

_DEV = {"train": "train", "val": "validation"}
_PARTS = {"dev.csv": "dev", "eval.csv": "eval"}


class FSD50K(catalogue.Catalogue):
  """Fonseca et al. 2022."""

  name = "fsd50k"
  description = "Clips of Freesound of 0.3 to 30 s with one or more labels."
  homepage = "https://zenodo.org/record/4060432"
  licence = "CC BY (the collection); each clip has its own"
  citation = (
    "Fonseca, Favory, Pons, Font, Serra: FSD50K: An Open Dataset of "
    "Human-Labeled Sound Events. TASLP 2022."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    for part, path in disk.splits(_PARTS):
      licences = _licences(disk, part)
      more = ("split",) if part == "dev" else ()
      for row in tables.rows(path, columns=("fname", "labels", *more)):
        name = row.text("fname")
        labels = row.text("labels").replace("_", " ").split(",")
        yield listing.Annotated(
          where=row.where,
          split=row.one_of("split", _DEV) if more else "test",
          names=(f"FSD50K.{part}_audio/{name}", name),
          entry=entry.Entry(
            id=entry.safe_id(name),
            source=name,
            media="",
            labels=tuple(label.strip() for label in labels),
            licence=licences.get(name, ""),
          ),
        )


def _licences(disk: disk_lib.Disk, part: str) -> dict[str, str]:
  path = disk.optional(f"{part}_clips_info_FSD50K.json")
  if path is None:
    return {}
  return {name: row.text("license") for name, row in tables.named_objects(path)}
