"""Greatest Hits: a drumstick strikes and scratches what is there.

vis-data has, of every video, <id>_denoised.mp4, <id>_mic.mp4 and more, and
<id>_times.txt with a line for each contact: seconds, material, action,
reaction (as public readers of the set have it; words may be None). Contacts
whose action is None are passed over. The publisher's split is looked for as
train.txt and test.txt, an id on every line (their names were not confirmed),
and CondFoleyGen's, whose test is the one that papers use, as
greatesthit_video_{train,valid,test}.json, lists of ids (XYPB/CondFoleyGen,
data/; 830, 50 and 97 of the 977 videos). Without either, a share of the
recordings, whose date and time begin the ids, is taken for validation, by
digest.
"""

from __future__ import annotations

from collections.abc import Iterator

from etils import epath

from data_prep.sets import catalogue, entry, listing, tables
from data_prep.sets import disk as disk_lib
from vta import errors

_TIMES = "_times.txt"
_LISTS = {"train.txt": "train", "val.txt": "validation", "test.txt": "test"}
_JSON = {
  "greatesthit_video_train.json": "train",
  "greatesthit_video_valid.json": "validation",
  "greatesthit_video_test.json": "test",
}
_FILES = ("denoised", "mic", "denoised_thumb")
_DATE = 6  # numbers of an id: year to second


class GreatestHits(catalogue.Catalogue):
  """Owens et al. 2016."""

  name = "greatest_hits"
  description = "Videos of a drumstick on things, with the times of contacts."
  homepage = "https://andrewowens.com/vis/"
  licence = "not found with the data"
  citation = "Owens et al.: Visually Indicated Sounds. CVPR 2016."

  def annotated(self, disk: disk_lib.Disk) -> Iterator[listing.Annotated]:
    times = {
      path.name.removesuffix(_TIMES): path for path in disk.tables(f"*{_TIMES}")
    }
    sides = _sides(disk)
    if not times and not sides:
      raise errors.InputError(disk.root, f"no *{_TIMES} is there or below")
    for video in sorted({*times, *sides}):
      path = times.get(video)
      events = tuple(_events(path)) if path else ()
      yield listing.Annotated(
        where=str(path or disk.root),
        split=sides.get(video, "train"),
        names=tuple(f"{video}_{file}" for file in _FILES),
        entry=entry.Entry(
          id=entry.safe_id(video),
          # A published split may part pieces of a recording; ours does not.
          source=video if sides else "-".join(video.split("-")[:_DATE]),
          media="",
          labels=tuple(dict.fromkeys(event.label for event in events)),
          events=events,
        ),
      )


def _sides(disk: disk_lib.Disk) -> dict[str, str]:
  """Ids of the published lists and their splits."""
  found = {}
  for name, split in _LISTS.items():
    path = disk.optional(name)
    if path is not None:
      for row in tables.rows(
        path, columns=("id",), header=False, delimiter="\t"
      ):
        found[row.text("id")] = split
  if found:
    return found
  for name, split in _JSON.items():
    path = disk.optional(name)
    if path is not None:
      listed = tables.document(path)
      if not isinstance(listed, list) or not all(
        isinstance(one, str) for one in listed
      ):
        raise errors.InputError(path, "must be a list of ids")
      found |= dict.fromkeys(listed, split)
  return found


def _events(path: epath.Path) -> Iterator[entry.Event]:
  columns = ("time", "material", "action", "reaction")
  for row in tables.rows(path, columns=columns, header=False, delimiter=" "):
    time, material = row.number("time"), row.text("material")
    action = row.text("action")
    if action != "None":
      label = action if material == "None" else f"{material} {action}"
      yield entry.Event(start=time, end=time, label=label)
