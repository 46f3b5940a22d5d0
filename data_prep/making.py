"""What a worker does: checks a slice of the catalogue, makes a shard.

A shard comes with a document of the same name: digest, records, statistics,
and which clips failed after all.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import importlib.metadata
import itertools
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from data_prep import checks as checks_lib
from data_prep import cutting, documents, encode, see
from data_prep.sets import entry as entry_lib
from vta import errors
from vta.data import records
from vta.inference import pictures

_MADE_BY = (
  "apache-beam",
  "array_record",
  "av",
  "jax",
  "numpy",
  "safetensors",
  "scipy",
  "soxr",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice:
  """Entries that are checked together.

  Attributes:
    path: the document that is written.
    source: the folder of media.
    entries: the entries, those of a file side by side.
    limits: where bad begins.
    sound_only: whether pictures are left alone.
  """

  path: pathlib.Path
  source: pathlib.Path
  entries: Sequence[entry_lib.Entry]
  limits: checks_lib.Thresholds
  sound_only: bool


def check(job: Slice) -> None:
  """Checks a slice."""
  found = []
  for media, own in itertools.groupby(job.entries, key=lambda one: one.media):
    found += checks_lib.check_file(
      job.source / media,
      list(own),
      limits=job.limits,
      sound_only=job.sound_only,
    )
  documents.write(job.path, [dataclasses.asdict(one) for one in found])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
  """Clips that make a shard.

  Attributes:
    folder: of the split.
    number: in it.
    source: the folder of media.
    clips: the clips, those of a file side by side.
    look: how frames are read, None without.
    longest: seconds of a record.
    towers: what encodes, None for wave records.
    predictor: the release that sees for the denoiser, if one does.
  """

  folder: pathlib.Path
  number: int
  source: pathlib.Path
  clips: Sequence[cutting.Clip]
  look: cutting.Look | None
  longest: float
  towers: encode.Towers | None
  predictor: pathlib.Path | None

  @property
  def path(self) -> pathlib.Path:
    return self.folder / f"{self.number:05d}.array_record"

  @property
  def document(self) -> pathlib.Path:
    return self.folder / f"{self.number:05d}.json"


@functools.cache
def _encoders(towers: encode.Towers) -> dict[str, Any]:
  """Loaded once in a process."""
  return towers.load()


@functools.cache
def _eyes(predictor: pathlib.Path) -> pictures.Pictures:
  return pictures.Pictures(predictor)


def make(job: Shard) -> None:
  """Makes a shard, then its document; with that it is done.

  Raises:
    InputError: a tower cannot be loaded, or nothing can be written.
  """
  late: list[dict[str, str]] = []
  made: list[records.Record] = []
  for media, clips in itertools.groupby(
    job.clips, key=lambda clip: clip.entry.media
  ):
    own = list(clips)
    try:
      made += cutting.cut(
        job.source / media, own, look=job.look, longest=job.longest
      )
    except errors.InputError as error:
      late += [_late(clip.entry.id, media, error.message) for clip in own]
  if job.towers:
    tools = _encoders(job.towers)
    made = _surviving(
      made, lambda some: encode.encode_records(some, **tools), late
    )
  if job.predictor:
    eyes = _eyes(job.predictor)
    made = _surviving(made, lambda some: see.seen_records(some, eyes), late)
  job.folder.mkdir(parents=True, exist_ok=True)
  if made:
    try:
      records.write_shards(
        job.folder, made, shard_size=sys.maxsize, first=job.number
      )
    except RuntimeError as error:  # array_record's, when the disk is full
      raise errors.InputError(job.path, f"cannot write: {error}") from None
  documents.write(job.document, _describe(job, made, late))


def _late(name: str, media: str, message: str) -> dict[str, str]:
  return {"id": name, "media": media, "detail": message}


def _surviving(
  made: list[records.Record],
  step: Callable[[list[records.Record]], Any],
  late: list[dict[str, str]],
) -> list[records.Record]:
  """A step's records; those that it refuses by id go into `late`."""
  while made:
    try:
      return list(step(made))
    except errors.InputError as error:
      refused = [r for r in made if r.meta["id"] == error.where]
      if not refused:
        raise
      late += [
        _late(error.where, r.meta["file"], error.message) for r in refused
      ]
      made = [r for r in made if r.meta["id"] != error.where]
  return []


def _describe(
  job: Shard, made: list[records.Record], late: list[dict[str, str]]
) -> dict[str, Any]:
  fields: dict[str, str] = {}
  for record in made:
    fields |= {name: array.dtype.name for name, array in record.arrays.items()}
  document = {
    "ids": [record.meta["id"] for record in made],
    "seconds": round(sum(r.meta["duration"] for r in made), 6),
    "captions": sum(len(r.meta["captions"]) for r in made),
    "events": sum(len(r.arrays["events"]) for r in made),
    "labels": dict(
      sorted(
        collections.Counter(
          label for r in made for label in r.meta["labels"]
        ).items()
      )
    ),
    "fields": dict(sorted(fields.items())),
    "late": sorted(late, key=lambda row: row["id"]),
    "versions": {name: importlib.metadata.version(name) for name in _MADE_BY},
  }
  if made:
    document["sha256"] = documents.digest_of_file(job.path)
    document["bytes"] = job.path.stat().st_size
    document["loudness"] = _moments([r.arrays["loudness"] for r in made])
    if job.towers:
      document["latents"] = _moments([r.arrays["latent_mean"] for r in made])
  return document


def _moments(arrays: list[np.ndarray]) -> dict[str, Any]:
  """Count and, of each column, sum and sum of squares: these add up."""
  whole = np.concatenate(arrays).astype(np.float64)
  return {
    "count": len(whole),
    "sum": whole.sum(axis=0).tolist(),
    "squares": (whole**2).sum(axis=0).tolist(),
  }
