"""Countix-AV: clips of Kinetics in which something repeats and is heard.

CountixAV_train.csv, CountixAV_val.csv and CountixAV_test.csv, of which any will
do, have the columns video_id, class, kinetics_start, kinetics_end,
repetition_start, repetition_end and count, times in the video
(xiaobai1217/RepetitionCounting); test has no class. A clip may have several
rows: its stretches of repetition, here its events. Files are looked for under
Kinetics' name, <video>_<start>_<end> with six digits each, and as AudioSet's
clips are; one called by its id alone is taken for the clip.
"""

from __future__ import annotations

from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables, youtube
from data_prep.sets import disk as disk_lib

_SPLITS = {
  "CountixAV_train.csv": "train",
  "CountixAV_val.csv": "validation",
  "CountixAV_test.csv": "test",
}
_COLUMNS = (
  "video_id",
  "kinetics_start",
  "kinetics_end",
  "repetition_start",
  "repetition_end",
  "count",
)


class CountixAV(catalogue.Catalogue):
  """Zhang et al. 2021."""

  name = "countix_av"
  description = "Clips of Kinetics with the times of repetitions."
  homepage = "https://github.com/xiaobai1217/RepetitionCounting"
  licence = "not found with the annotations; the videos are their owners'"
  citation = (
    "Zhang, Shao, Snoek: Repetitive Activity Counting by Sight and Sound. "
    "CVPR 2021."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    for split, path in disk.splits(_SPLITS):
      for row in tables.rows(path, columns=_COLUMNS):
        video = row.text("video_id")
        start, end = row.stretch("kinetics_start", "kinetics_end")
        first, last = row.stretch("repetition_start", "repetition_end")
        if not start <= first <= last <= end:
          raise row.fail("repetition_start", "is not within the clip")
        row.number("count")
        label = row.optional("class")
        own = f"{video}_{start:06.0f}_{end:06.0f}"
        yield listing.Annotated(
          where=row.where,
          split=split,
          names=(own, *youtube.clip_names(video, start, end)),
          entry=entry.Entry(
            id=own,
            source=video,
            media="",
            labels=(label,) if label else (),
            events=(
              entry.Event(start=first - start, end=last - start, label=label),
            ),
          ),
        )
