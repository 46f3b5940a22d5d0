"""HD-VILA-100M: clips of 3 million videos of YouTube.

Files of a JSON object on each line: {"video_id", "url", "clip": [{"clip_id":
"<video>.<number>.mp4", "span": ["hh:mm:ss.sss", "hh:mm:ss.sss"]}]}
(hd-vila-100m/README.md of microsoft/XPretrain). Their names are not told
there; meta*.jsonl is what src/cut_videos.py looks for, hdvila*.jsonl what the
published archive is called after. That script saves
video_clips/<video>/<clip_id> and reads download_videos/<video>.mp4: a clip that
was not cut is a stretch of the whole video, where that is there. The captions
are transcripts of speech and not taken. No splits are published: a share of
the videos is taken for validation, by digest.
"""

from __future__ import annotations

from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables
from data_prep.sets import disk as disk_lib
from vta import errors

_FILES = ("meta*.jsonl", "hdvila*.jsonl")


class HDVILA(catalogue.Catalogue):
  """Xue et al. 2022."""

  name = "hd_vila"
  description = "Clips of high-resolution videos of YouTube."
  homepage = "https://github.com/microsoft/XPretrain"
  licence = (
    "Microsoft's, for research (hd-vila-100m/LICENSE); the videos are their "
    "owners'"
  )
  citation = (
    "Xue et al.: Advancing High-Resolution Video-Language Representation with "
    "Large-Scale Video Transcriptions. CVPR 2022."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    paths = [path for name in _FILES for path in disk.tables(name)]
    if not paths:
      raise errors.InputError(
        disk.root, f"none of {', '.join(_FILES)} is there or below"
      )
    for path in paths:
      for row in tables.lines(path):
        yield from _clips(row, disk)


def _clips(row: tables.Row, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
  video = row.text("video_id")
  whole = disk.matches(video)
  clips = row.columns.get("clip")
  if not isinstance(clips, list):
    raise row.fail("clip", "must be a list of clips")
  made = []
  for i, value in enumerate(clips):
    clip = tables.as_row(value, f"{row.where}: clip[{i}]")
    number = clip.text("clip_id").removesuffix(".mp4")
    span = clip.columns.get("span")
    if not isinstance(span, list) or len(span) != 2:
      raise clip.fail("span", "must be a list of start and end")
    start, end = (clip.clock(edge, "span") for edge in span)
    if not start < end:
      raise clip.fail("span", f"ends at {end:g} s, before it starts")
    stretch = whole and not disk.matches(number)
    made.append(
      listing.Annotated(
        where=clip.where,
        split="train",
        names=(number, video),
        entry=entry.Entry(
          id=entry.safe_id(number),
          source=video,
          media="",
          **({"start": start, "end": end} if stretch else {}),
        ),
      )
    )
  if whole or any(disk.matches(one.names[0]) for one in made):
    yield from made
  else:
    # Of 100 million clips the videos that are missing are list enough.
    yield listing.Annotated(
      where=row.where,
      split="train",
      names=(),
      entry=entry.Entry(id=entry.safe_id(video), source=video, media=""),
    )
