"""VALOR-32K: clips of AudioSet with captions of picture and sound.

desc_train.json, desc_val.json and desc_test.json, of which any will do, are
lists of {"video_id", "desc"}; a video_id is <video>_<start>_<end> in seconds
(as videoa11ygpt/VideoA11yGPT keeps them: 25,327, 3,500 and 3,491 clips). The
clip's file has it for a name, which is how TXH-mercury/VALOR's loader finds
sounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables, youtube
from data_prep.sets import disk as disk_lib

_SPLITS = {
  "desc_train.json": "train",
  "desc_val.json": "validation",
  "desc_test.json": "test",
}


class VALOR(catalogue.Catalogue):
  """Chen et al. 2023."""

  name = "valor"
  description = "Clips of AudioSet, with captions of what is seen and heard."
  homepage = "https://casia-iva-group.github.io/projects/VALOR/"
  licence = "not found with the annotations; the videos are their owners'"
  citation = (
    "Chen et al.: VALOR: Vision-Audio-Language Omni-Perception Pretraining "
    "Model and Dataset. arXiv 2304.08345."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    for split, path in disk.splits(_SPLITS):
      for row in tables.objects(path):
        clip = row.text("video_id")
        names = [clip]
        parts = re.fullmatch(r"(.+)_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)", clip)
        if parts:
          video, start, end = parts.groups()
          names += youtube.clip_names(video, float(start), float(end))
        yield listing.Annotated(
          where=row.where,
          split=split,
          names=names,
          entry=entry.Entry(
            id=entry.safe_id(clip),
            source=parts[1] if parts else clip,
            media="",
            captions=(row.text("desc"),),
          ),
        )
