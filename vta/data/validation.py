"""Reading shards again, whole: is each record what training will take it for?

A record can be asked on its own (`examine`); that ids are unique, that no
source is on two sides and that digests are those that were noted can only be
asked of all of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vta import errors
from vta.data import records
from vta.signals import loudness as loudness_lib
from vta.signals import timing

MANIFEST = "manifest.json"
# Seconds that a time may lie beyond the clip: stamps are kept in float32, and
# sound is a whole number of samples.
_SLACK = 1e-3
_ROUNDING = 1e-3  # LU, of float32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
  """What is wrong, and where."""

  shard: pathlib.Path
  record: str
  message: str

  def __str__(self) -> str:
    record = f": {self.record}" if self.record else ""
    return f"{self.shard}{record}: {self.message}"


@dataclasses.dataclass(kw_only=True)
class Side:
  """A folder of shards, and what was read in it.

  Attributes:
    folder: it.
    shards: of it, in order.
    records, seconds, bytes: of the records that could be read.
    fields: that any of them has.
  """

  folder: pathlib.Path
  shards: Sequence[pathlib.Path]
  records: int = 0
  seconds: float = 0.0
  bytes: int = 0
  fields: set[str] = dataclasses.field(default_factory=set)


def sides(folders: Sequence[pathlib.Path]) -> list[Side]:
  """The folders of shards; of a prepared set, all that its manifest names.

  Raises:
    InputError: a folder has neither shards nor a manifest of some.
  """
  found = []
  for folder in folders:
    own = records.shards_of(folder)
    named = [
      name
      for name, rows in ({} if own else _manifest(folder)).items()
      if any(row["sha256"] for row in rows)
    ]
    below = [folder / name for name in named] if named else [folder]
    for side in below:
      shards = records.shards_of(side)
      if not shards:
        raise errors.InputError(side, "holds no *.array_record shard")
      found.append(Side(folder=side, shards=shards))
  return found


def validate(
  found: Sequence[Side], *, advance: Callable[[int], object]
) -> list[Problem]:
  """Reads everything, and counts it.

  Args:
    found: what `sides` found; gains its counts.
    advance: told how many records more were read.

  Returns:
    What is wrong, in the order of the shards.
  """
  problems: list[Problem] = []
  first: dict[str, pathlib.Path] = {}
  owner: dict[str, pathlib.Path] = {}
  for side in found:
    problems += _missing(side)
    for shard in side.shards:
      names = []
      for name, record in _read(shard, problems):
        names.append(name)
        for message in examine(record):
          problems.append(Problem(shard=shard, record=name, message=message))
        if name in first:
          message = f"its id is in {first[name]} already"
          problems.append(Problem(shard=shard, record=name, message=message))
        first.setdefault(name, shard)
        source = record.meta.get("source")
        other = owner.setdefault(str(source), side.folder)
        if source and other != side.folder:
          message = f"its source {source!r} is on the side {other} too"
          problems.append(Problem(shard=shard, record=name, message=message))
        side.records += 1
        side.fields |= set(record.arrays)
        side.bytes += sum(a.nbytes for a in record.arrays.values())
        duration = record.meta.get("duration")
        if isinstance(duration, int | float) and math.isfinite(duration):
          side.seconds += duration
        advance(1)
      problems += _noted(shard, names)
  return problems


def examine(record: records.Record) -> Iterator[str]:
  """What is wrong with a record, in words."""
  try:
    records.check(record)
  except ValueError as error:
    yield str(error)
    return
  arrays, meta = record.arrays, record.meta
  duration = meta["duration"]
  if not (isinstance(duration, int | float) and 0 < duration < math.inf):
    yield f"duration: {duration!r} is no length"
    return
  for name in ("frame_times", "loudness_times"):
    if name in arrays:
      yield from _times(name, arrays[name], duration)
  if "events" in arrays:
    starts, ends = arrays["events"].T
    if not (np.all(starts < ends) and np.all(ends[:-1] <= starts[1:])):
      yield "events: intervals have no length, overlap or are not in order"
    elif len(starts) and (starts[0] < -_SLACK or ends[-1] > duration + _SLACK):
      yield f"events: reach beyond 0 to {duration:g} s"
  if "loudness" in arrays:
    low, high = arrays["loudness"].min(), arrays["loudness"].max()
    if low < loudness_lib.FLOOR - _ROUNDING or high > loudness_lib.CEILING:
      yield f"loudness: {low:g} to {high:g} LUFS"
  if "object_probability" in arrays:
    chance = arrays["object_probability"]
    if np.any((chance < 0) | (chance > 1)):
      yield "object_probability: not within 0 to 1"
    count, named = chance.shape[1], len(meta.get("objects", ()))
    if count != named:
      yield f"object_probability: of {count} objects, meta names {named}"
  if "text_mask" in arrays:
    count, kept = len(arrays["text_mask"]), len(meta.get("captions", ()))
    if count != kept:
      yield f"text_mask: of {count} captions, meta has {kept}"
  yield from _lengths(arrays, meta, duration)


def _times(name: str, times: np.ndarray, duration: float) -> Iterator[str]:
  if not len(times):
    yield f"{name}: none"
  elif np.any(np.diff(times) <= 0):
    yield f"{name}: not increasing"
  elif times[0] < -_SLACK or times[-1] > duration + _SLACK:
    yield (
      f"{name}: {times[0]:g} to {times[-1]:g} s, the clip has {duration:g} s"
    )


def _lengths(
  arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], duration: float
) -> Iterator[str]:
  """Whether sound is as long as the clip."""
  if "wave" in arrays:
    heard = len(arrays["wave"]) / timing.SAMPLE_RATE
    if abs(heard - duration) > _SLACK:
      yield f"wave: {heard:.3f} s, the clip has {duration:.3f} s"
  # Records from before latent_rate do not say how many there should be.
  if "latent_mean" in arrays and meta.get("latent_rate"):
    count, wanted = len(arrays["latent_mean"]), duration * meta["latent_rate"]
    # A last latent of a part of its samples may be there or not.
    if count < math.floor(wanted) or count > wanted + 2:
      yield f"latent_mean: {count} latents, the clip has {wanted:.1f}"


def _read(
  shard: pathlib.Path, problems: list[Problem]
) -> Iterator[tuple[str, records.Record]]:
  """The records that can be read, with their ids; notes the others."""
  try:
    source = records.Shards([shard])
  except errors.InputError as error:
    problems.append(Problem(shard=shard, record="", message=error.message))
    return
  for index in range(len(source)):
    try:
      record = source[index]
    # Of a damaged block array_record says so by whatever its parts raise.
    except Exception as error:
      message = f"cannot be read: {' '.join(str(error).split())}"
      name = f"record {index}"
      problems.append(Problem(shard=shard, record=name, message=message))
      continue
    yield str(record.meta.get("id", f"record {index}")), record


def _noted(shard: pathlib.Path, names: Sequence[str]) -> Iterator[Problem]:
  """Whether a shard is what its document says, if it has one."""
  path = shard.with_suffix(".json")
  if not path.exists():
    return
  document = _json(path)
  with shard.open("rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
  if digest != document.get("sha256"):
    yield Problem(
      shard=shard, record="", message=f"its digest is not that in {path.name}"
    )
  if list(names) != document.get("ids"):
    yield Problem(
      shard=shard, record="", message=f"its ids are not those in {path.name}"
    )


def _missing(side: Side) -> Iterator[Problem]:
  """Whether all shards are there that the manifest above names."""
  named = _manifest(side.folder.parent).get(side.folder.name)
  if named is None:
    return
  wanted = {row["name"]: row["sha256"] for row in named if row["sha256"]}
  there = {shard.name for shard in side.shards}
  for name in sorted(wanted.keys() ^ there):
    what = "is missing" if name in wanted else "is not in the manifest"
    yield Problem(shard=side.folder / name, record="", message=what)
  for name in sorted(wanted.keys() & there):
    document = (side.folder / name).with_suffix(".json")
    if document.exists() and _json(document).get("sha256") != wanted[name]:
      yield Problem(
        shard=side.folder / name,
        record="",
        message="its digest is not that in the manifest",
      )


def _manifest(folder: pathlib.Path) -> Mapping[str, Any]:
  """The shards that a manifest names by split; none without one."""
  path = folder / MANIFEST
  found = _json(path).get("shards") if path.exists() else None
  return found if isinstance(found, dict) else {}


def _json(path: pathlib.Path) -> Mapping[str, Any]:
  try:
    found = json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None
  if not isinstance(found, dict):
    raise errors.InputError(path, "is no document of a prepared set")
  return found
