"""AudioCaps: clips of AudioSet with captions.

train.csv, val.csv and test.csv, of which any will do, have the columns
audiocap_id, youtube_id, start_time and caption (dataset/README.md of
cdjkim/audiocaps); a clip of val and test has five rows. Clips last ten seconds.
They are not published; people name them after the video or the audiocap_id.
"""

from __future__ import annotations

from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables, youtube
from data_prep.sets import disk as disk_lib

_SPLITS = {"train.csv": "train", "val.csv": "validation", "test.csv": "test"}
_SECONDS = 10.0


class AudioCaps(catalogue.Catalogue):
  """Kim et al. 2019."""

  name = "audiocaps"
  description = "Clips of AudioSet of ten seconds, with captions."
  homepage = "https://github.com/cdjkim/audiocaps"
  licence = "MIT (annotations); the videos are their owners'"
  citation = (
    "Kim, Kim, Lee, Kim: AudioCaps: Generating Captions for Audios in The "
    "Wild. NAACL 2019."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    columns = ("audiocap_id", "youtube_id", "start_time", "caption")
    for split, path in disk.splits(_SPLITS):
      clips: dict[tuple[str, float], list[tables.Row]] = {}
      for row in tables.rows(path, columns=columns):
        clip = row.text("youtube_id"), row.number("start_time")
        clips.setdefault(clip, []).append(row)
      for (video, start), rows in clips.items():
        names = youtube.clip_names(video, start, start + _SECONDS)
        numbers = tuple(row.text("audiocap_id") for row in rows)
        captions = dict.fromkeys(row.text("caption") for row in rows)
        yield listing.Annotated(
          where=rows[0].where,
          split=split,
          names=names + numbers,
          entry=entry.Entry(
            id=f"{video}_{start:06.0f}",
            source=video,
            media="",
            captions=tuple(captions),
          ),
        )
