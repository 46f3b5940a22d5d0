"""VGGSound: 200k clips of ten seconds, each of one of 309 classes.

vggsound.csv has no header: video, start in seconds, label, train or test
(README of hche11/VGGSound). The clips are not published; people have them as
<video>_<start, six digits>.mp4, as in that repository's example_audio, flat or
in folders. There is no validation split: a share of the videos of train is
taken for it, by digest.
"""

from __future__ import annotations

from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables, youtube
from data_prep.sets import disk as disk_lib

_SPLITS = {"train": "train", "test": "test"}
_SECONDS = 10.0


class VGGSound(catalogue.Catalogue):
  """Chen et al. 2020."""

  name = "vggsound"
  description = "Clips of ten seconds from YouTube, each of one of 309 classes."
  homepage = "https://github.com/hche11/VGGSound"
  licence = (
    "CC BY 4.0 (annotations); the videos are their owners' (README of the set)"
  )
  citation = (
    "Chen, Xie, Vedaldi, Zisserman: VGGSound: A Large-scale Audio-Visual "
    "Dataset. ICASSP 2020."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    for row in tables.rows(
      disk.table("vggsound.csv"),
      columns=("video", "start", "label", "split"),
      header=False,
    ):
      video, start = row.text("video"), row.number("start")
      yield listing.Annotated(
        where=row.where,
        split=row.one_of("split", _SPLITS),
        names=youtube.clip_names(video, start, start + _SECONDS),
        entry=entry.Entry(
          id=f"{video}_{start:06.0f}",
          source=video,
          media="",
          labels=(row.text("label"),),
        ),
      )
