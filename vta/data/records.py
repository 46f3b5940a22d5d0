"""The record: one clip with its signals and features, in ArrayRecord shards.

A record is a safetensors blob: named arrays, and one JSON document for what is
not an array (captions, identity, provenance). Safetensors reads without
copying, carries its own dtypes and shapes, and cannot execute anything.

Two stages share the schema. A *wave* record comes from media or from the yard;
a *latent* record is the same clip once the codec and the text encoder have
seen it: `wave` gives way to `latent_mean` and `latent_std`, and the captions
gain their features.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import safetensors.numpy
from array_record.python import array_record_data_source, array_record_module
from jaxtyping import UInt8

from vta import errors, files

VERSION = 1
# Safetensors' names for what FIELDS have.
_DTYPES = {
  "BOOL": np.dtype(bool),
  "F16": np.dtype(np.float16),
  "F32": np.dtype(np.float32),
  "I16": np.dtype(np.int16),
  "U8": np.dtype(np.uint8),
}
LENGTHS = ".lengths.json"  # in a shard's suffix' place: see vta.data.lengths

# name -> (dtype, dimensions). Equal letters must agree within a record: t
# samples, l latents, c latent channels, f frames, h w pixels, n loudness
# blocks, k events, o objects and q the width of their labels' vectors, p
# captions, s text tokens, d text width, e width of a frozen tower's features of
# the frames as the mask shows them, and whole, v width of what the preset's own
# frame encoder makes of them, likewise, x width of LanguageBind's vectors of
# captions, sound and picture, i tokens of T5 and j their width, y pictures at 6
# a second and z width of DINOv2's class tokens of them. What object_probability
# says is seen need not sound, nor what sounds be seen.
FIELDS: Mapping[str, tuple[str, str]] = {
  "wave": ("int16", "t 2"),
  "latent_mean": ("float16", "l c"),
  "latent_std": ("float16", "l c"),
  "frames": ("uint8", "f h w 3"),
  "frame_times": ("float32", "f"),
  "mask": ("uint8", "f h w/8"),
  "frame_features": ("float16", "f e"),
  "whole_features": ("float16", "f e"),
  "pictures": ("float16", "f v"),
  "whole_pictures": ("float16", "f v"),
  "loudness": ("float32", "n 2"),
  "loudness_times": ("float32", "n"),
  "events": ("float32", "k 2"),
  "object_vectors": ("float16", "o q"),
  "object_probability": ("float16", "f o"),
  "object_sounding": ("bool", "f o"),
  "text_tokens": ("float16", "p s d"),
  "text_mask": ("bool", "p s"),
  "t5_tokens": ("float16", "p i j"),
  "t5_mask": ("bool", "p i"),
  "text_vectors": ("float16", "p x"),
  "audio_vector": ("float16", "x"),
  "video_vector": ("float16", "x"),
  "looks": ("float16", "y z"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
  """One clip.

  Attributes:
    arrays: the fields that this clip has, a subset of `FIELDS`.
    meta: JSON values: "id", "duration" in seconds, "captions", "objects"
      (labels), and whatever else the source knows of the clip.
  """

  arrays: Mapping[str, np.ndarray]
  meta: Mapping[str, object]

  @property
  def mask(self) -> UInt8[np.ndarray, "f h w"] | None:
    """The mask with a byte a pixel, 255 where the picture sounds."""
    if "mask" not in self.arrays:
      return None
    return np.unpackbits(self.arrays["mask"], axis=-1) * np.uint8(255)


def check(record: Record) -> None:
  """Raises ValueError unless every array fits its row of `FIELDS`."""
  sizes: dict[str, int] = {}
  # In one order whatever the file's: the same record has the same fault.
  for name, array in sorted(record.arrays.items()):
    if name not in FIELDS:
      raise ValueError(f"unknown field {name!r}")
    dtype, dimensions = FIELDS[name]
    letters = dimensions.split()
    if array.dtype != dtype or array.ndim != len(letters):
      raise ValueError(
        f"{name}: expected {dtype} [{dimensions}], got {array.dtype} "
        f"{list(array.shape)}"
      )
    for letter, size in zip(letters, array.shape, strict=True):
      known = (
        int(letter) if letter.isdigit() else sizes.setdefault(letter, size)
      )
      if size != known:
        raise ValueError(f"{name}: {letter} is {size}, elsewhere {known}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
      raise ValueError(f"{name}: not finite")
  for key in ("id", "duration"):
    if key not in record.meta:
      raise ValueError(f"meta lacks {key!r}")


def pack(record: Record) -> bytes:
  """Serialises a record after checking it."""
  check(record)
  meta = {"vta": json.dumps({"version": VERSION, **record.meta})}
  arrays = {k: np.ascontiguousarray(v) for k, v in record.arrays.items()}
  return safetensors.numpy.save(arrays, metadata=meta)


def unpack(blob: bytes) -> Record:
  """Inverse of `pack`; raises ValueError for anything that is not a record."""
  try:
    start = 8 + int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:start])
    meta = json.loads(header.pop("__metadata__")["vta"])
    arrays = {
      name: _view(blob, start, **entry) for name, entry in header.items()
    }
  except (KeyError, ValueError, TypeError, AttributeError) as error:
    raise ValueError(f"not a vta record: {error}") from None
  if meta.pop("version") != VERSION:
    raise ValueError(f"record version is not {VERSION}")
  return Record(arrays=arrays, meta=meta)


def _view(
  blob: bytes,
  start: int,
  *,
  dtype: str,
  shape: Sequence[int],
  data_offsets: Sequence[int],
) -> np.ndarray:
  """An array where it lies; safetensors' own reader copies each."""
  kind, count = _DTYPES[dtype], math.prod(shape)
  first, end = data_offsets
  if count < 0 or end - first != count * kind.itemsize:
    raise ValueError(f"{shape} of {kind} is not in {end - first} bytes")
  # Raises ValueError where the blob ends before.
  return np.frombuffer(blob, kind, count, start + first).reshape(shape)


def write_shards(
  folder: str | os.PathLike,
  records: Iterable[Record],
  *,
  shard_size: int,
  first: int = 0,
) -> list[pathlib.Path]:
  """Writes records in order as shards that appear whole or not at all.

  Args:
    folder: made if missing; shards are named 00000.array_record and on.
    records: consumed once, so a generator is fine.
    shard_size: records per shard; the last may hold fewer.
    first: number of the first one, where those before it are already there.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  paths: list[pathlib.Path] = []
  pending: list[bytes] = []

  def flush() -> None:
    path = folder / f"{first + len(paths):05d}.array_record"
    # Of a shard that had the name before.
    path.with_suffix(LENGTHS).unlink(missing_ok=True)
    with files.atomic_path(path) as temporary:
      # One record a group: random access reads no neighbour. Frames and waves
      # hardly compress, so reading stays at memory speed.
      writer = array_record_module.ArrayRecordWriter(
        str(temporary), "group_size:1,uncompressed"
      )
      for blob in pending:
        writer.write(blob)
      writer.close()
    paths.append(path)
    pending.clear()

  for record in records:
    pending.append(pack(record))
    if len(pending) == shard_size:
      flush()
  if pending:
    flush()
  return paths


def shards_of(folder: pathlib.Path) -> list[pathlib.Path]:
  """The shards in a folder, in order.

  Not those that begin with a dot: a run that was killed left half of one.
  """
  found = folder.glob("*.array_record")
  return sorted(path for path in found if not path.name.startswith("."))


class Shards(Sequence[Record]):
  """Random access to the records of folders of shards, or of single shards.

  Attributes:
    paths: of the shards, in order.

  Raises:
    InputError: when a folder is missing, holds no shard or an unreadable one.
  """

  def __init__(self, folders: Sequence[str | os.PathLike]):
    paths: list[str] = []
    for folder in folders:
      path = pathlib.Path(folder)
      found = [path] if path.is_file() else shards_of(path)
      if not found:
        raise errors.InputError(folder, "holds no *.array_record shard")
      paths += map(str, found)
    self.paths = tuple(paths)
    try:
      self._source = array_record_data_source.ArrayRecordDataSource(paths)
      self._length = len(self._source)
    except Exception as error:  # array_record raises bare RuntimeError, ...
      raise errors.InputError(
        ", ".join(map(str, folders)), f"unreadable shard: {error}"
      ) from None

  def __len__(self) -> int:
    return self._length

  def __getitem__(self, index: int) -> Record:
    if not 0 <= index < self._length:
      raise IndexError(index)  # how iteration over a sequence ends
    return unpack(self._source[index])
