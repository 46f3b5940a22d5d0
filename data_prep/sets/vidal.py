"""VIDAL-10M: short videos of YouTube with captions by models.

One file, id2title_folder_...json (the whole set's is
id2title_folder_raw_ofa_mplug_gpt_sound10076613.json), an object of
{"folder", "mplug", "polish_mplug", "ofa", "sound_mplug", "raw"} by video
(DATASETS.md of PKU-YuanGroup/LanguageBind); videos are <folder>/<video>.mp4.
Of the captions we take `sound_mplug`, which says what is heard, or else
`polish_mplug`, or `mplug`; `raw` is a title with hashtags, `ofa` are single
frames'. No splits are published: a share is taken for validation, by digest.
"""

from __future__ import annotations

from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables
from data_prep.sets import disk as disk_lib
from vta import errors

_FILE = "id2title*.json"
_CAPTIONS = ("sound_mplug", "polish_mplug", "mplug")


class VIDAL(catalogue.Catalogue):
  """Zhu et al. 2024."""

  name = "vidal"
  description = "Short videos of YouTube with captions that models wrote."
  homepage = "https://github.com/PKU-YuanGroup/LanguageBind"
  licence = "not found with the annotations; the videos are their owners'"
  citation = (
    "Zhu et al.: LanguageBind: Extending Video-Language Pretraining to "
    "N-modality by Language-based Semantic Alignment. ICLR 2024."
  )

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    found = disk.tables(_FILE)
    if not found:
      raise errors.InputError(disk.root, f"{_FILE} is not there or below")
    for video, row in tables.named_objects(found[0]):
      folder = row.optional("folder")
      captions = [text for name in _CAPTIONS if (text := row.optional(name))]
      yield listing.Annotated(
        where=row.where,
        split="train",
        names=(f"{folder}/{video}", video) if folder else (video,),
        entry=entry.Entry(
          id=entry.safe_id(video),
          source=video,
          media="",
          captions=tuple(captions[:1]),
        ),
      )
