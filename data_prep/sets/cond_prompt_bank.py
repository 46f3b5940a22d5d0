"""CondPromptBank: single sounds with a text, a category and times.

SonicVisionLM describes its bank, 10,276 sounds of up to 10 s in 23 categories
(papers.md 2.2), and does not publish it. The record is ours:
cond_prompt_bank.jsonl with an object on each line, {"id", "audio": the file's
path, "text", "category", "events": [[start, end], ...], "license"}. A share is
taken for validation, by digest of the id.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from data_prep.sets import catalogue, entry, listing, tables
from data_prep.sets import disk as disk_lib


class CondPromptBank(catalogue.Catalogue):
  """What SonicVisionLM (CVPR 2024) trains its time control on."""

  name = "cond_prompt_bank"
  description = "Single sounds with a text, a category and the times of events."
  homepage = "https://github.com/Yusiissy/SonicVisionLM"
  licence = "each sound has its own"
  citation = "Xie et al.: SonicVisionLM. CVPR 2024."

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    for row in tables.lines(disk.table("cond_prompt_bank.jsonl")):
      name, category = row.text("id"), row.text("category")
      audio = pathlib.PurePosixPath(row.text("audio"))
      yield listing.Annotated(
        where=row.where,
        split="train",
        names=(audio.with_suffix("").as_posix(),),
        entry=entry.Entry(
          id=entry.safe_id(name),
          source=name,
          media="",
          captions=(row.text("text"),),
          labels=(category,),
          events=tuple(_events(row, category)),
          licence=row.optional("license"),
        ),
      )


def _events(row: tables.Row, label: str) -> Iterator[entry.Event]:
  listed = row.columns.get("events")
  if not isinstance(listed, list):
    raise row.fail("events", "must be a list of [start, end]")
  for i, value in enumerate(listed):
    place = f"events[{i}]"
    if not isinstance(value, list) or len(value) != 2:
      raise row.fail(place, "must be [start, end]")
    pair = tables.Row(
      where=f"{row.where}: {place}",
      columns={"start": value[0], "end": value[1]},
    )
    start, end = pair.stretch("start", "end")
    yield entry.Event(start=start, end=end, label=label)
