"""AudioSet, and the part of it whose events have times.

AudioSet: balanced_train_segments.csv, unbalanced_train_segments.csv and
eval_segments.csv, of which any will do, each with three lines of comment and
then video, start, end and the labels' ids in one quoted cell
(research.google.com/audioset/download.html). The ids' names are those of
class_labels_indices.csv (index, mid, display_name) or, without it, of
ontology.json. Eval is test.

AudioSet-strong: audioset_train_strong.tsv and audioset_eval_strong.tsv with
segment_id, start_time_seconds, end_time_seconds and label, a row for each
event, times from the clip's start; a segment is <video>_<start in thousandths>,
of ten seconds. mid_to_display_name.tsv names the labels and has no header
(research.google.com/audioset/download_strong.html).

Neither publishes clips or a validation split: a share of the videos of train is
taken for it, by digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from data_prep.sets import catalogue, entry, listing, tables, youtube
from data_prep.sets import disk as disk_lib
from vta import errors

_SEGMENTS = {
  "balanced_train_segments.csv": "train",
  "unbalanced_train_segments.csv": "train",
  "eval_segments.csv": "test",
}
_STRONG = {
  "audioset_train_strong.tsv": "train",
  "audioset_eval_strong.tsv": "test",
}
_STRONG_SECONDS = 10.0
_LICENCE = (
  "CC BY 4.0 (annotations, Google); the videos are their owners' and not "
  "published with them"
)


class AudioSet(catalogue.Catalogue):
  """Gemmeke et al. 2017."""

  name = "audioset"
  description = "Segments of ten seconds from YouTube with one or more labels."
  homepage = "https://research.google.com/audioset/"
  licence = _LICENCE
  citation = (
    "Gemmeke et al.: Audio Set: An ontology and human-labeled dataset for "
    "audio events. ICASSP 2017."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    names = _names(disk)
    for split, path in disk.splits(_SEGMENTS):
      for row in tables.rows(
        path,
        columns=("YTID", "start_seconds", "end_seconds", "positive_labels"),
        header=False,
        comment="#",
      ):
        video = row.text("YTID")
        start, end = row.stretch("start_seconds", "end_seconds")
        mids = row.text("positive_labels").split(",")
        yield listing.Annotated(
          where=row.where,
          split=split,
          names=youtube.clip_names(video, start, end),
          entry=entry.Entry(
            id=f"{video}_{1000 * start:.0f}",
            source=video,
            media="",
            labels=tuple(
              _name(names, mid.strip(), row, "positive_labels") for mid in mids
            ),
          ),
        )


class AudioSetStrong(catalogue.Catalogue):
  """Hershey et al. 2021."""

  name = "audioset_strong"
  description = "Segments of AudioSet, with the times of every event in them."
  homepage = "https://research.google.com/audioset/download_strong.html"
  licence = _LICENCE
  citation = (
    "Hershey et al.: The Benefit of Temporally-Strong Labels in Audio Event "
    "Classification. ICASSP 2021."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    names = {
      row.text("mid"): row.text("name")
      for row in tables.rows(
        disk.table("mid_to_display_name.tsv"),
        columns=("mid", "name"),
        header=False,
        delimiter="\t",
      )
    }
    columns = ("segment_id", "start_time_seconds", "end_time_seconds", "label")
    for split, path in disk.splits(_STRONG):
      for row in tables.rows(path, columns=columns, delimiter="\t"):
        segment = row.text("segment_id")
        video, _, thousandths = segment.rpartition("_")
        if not video or not thousandths.isdecimal():
          raise row.fail("segment_id", f"{segment!r} is no <video>_<start>")
        clip_start = int(thousandths) / 1000
        start, end = row.stretch("start_time_seconds", "end_time_seconds")
        label = _name(names, row.text("label"), row, "label")
        yield listing.Annotated(
          where=row.where,
          split=split,
          names=youtube.clip_names(
            video, clip_start, clip_start + _STRONG_SECONDS
          ),
          entry=entry.Entry(
            id=segment,
            source=video,
            media="",
            labels=(label,),
            events=(entry.Event(start=start, end=end, label=label),),
          ),
        )


def _names(disk: disk_lib.Disk) -> dict[str, str]:
  """Names of the labels' ids."""
  indices = disk.optional("class_labels_indices.csv")
  if indices is not None:
    rows = tables.rows(indices, columns=("index", "mid", "display_name"))
    return {row.text("mid"): row.text("display_name") for row in rows}
  ontology = disk.optional("ontology.json")
  if ontology is not None:
    return {
      row.text("id"): row.text("name") for row in tables.objects(ontology)
    }
  raise errors.InputError(
    disk.root,
    "neither class_labels_indices.csv nor ontology.json is there, which name "
    "the labels",
  )


def _name(
  names: Mapping[str, str], mid: str, row: tables.Row, column: str
) -> str:
  if mid not in names:
    raise row.fail(column, f"{mid!r} is no label that has a name")
  return names[mid]
