"""FAVDBench: clips of 5 to 10 s with fine descriptions of picture and sound.

metadata/{train,val,test}.caption.tsv, of which any will do, have no header and
two columns: <split>/<clip>.mp4, and a JSON list of {"caption"} (what
Metrics/AudioScore/dataset.py of OpenNLPLab/FAVDBench reads; that the files are
called so is the custom of SwinBERT, whose code it is built on, and was not
confirmed). What clips were cut from is not published: each is its own source.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables
from data_prep.sets import disk as disk_lib

_SPLITS = {
  "train.caption.tsv": "train",
  "val.caption.tsv": "validation",
  "test.caption.tsv": "test",
}


class FAVDBench(catalogue.Catalogue):
  """Shen et al. 2023."""

  name = "favdbench"
  description = "Clips with fine-grained descriptions of picture and sound."
  homepage = "https://github.com/OpenNLPLab/FAVDBench"
  licence = "Apache-2.0 (code and model); the data are given on application"
  citation = "Shen et al.: Fine-Grained Audible Video Description. CVPR 2023."

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    for split, path in disk.splits(_SPLITS):
      for row in tables.rows(
        path, columns=("video", "captions"), header=False, delimiter="\t"
      ):
        video = pathlib.PurePosixPath(row.text("video"))
        yield listing.Annotated(
          where=row.where,
          split=split,
          names=(video.with_suffix("").as_posix(), video.stem),
          entry=entry.Entry(
            id=entry.safe_id(video.stem),
            source=video.stem,
            media="",
            captions=_captions(row),
          ),
        )


def _captions(row: tables.Row) -> tuple[str, ...]:
  try:
    listed = json.loads(row.text("captions"))
  except ValueError as error:
    raise row.fail("captions", f"is no JSON: {error}") from None
  if not isinstance(listed, list) or not listed:
    raise row.fail("captions", "must be a list of one or more")
  place = f"{row.where}: captions"
  return tuple(tables.as_row(one, place).text("caption") for one in listed)
