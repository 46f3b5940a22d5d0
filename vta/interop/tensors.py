"""Checkpoints of any size as safetensors: one file, or shards and an index.

Read one tensor at a time from memory-mapped files, written one shard at a
time: what is held is near one tensor, or one shard. Shards are Hugging Face's:

  model-00001-of-00002.safetensors, ...
  model.safetensors.index.json      {"weight_map": {name: file}, ...}
"""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Shaped

from vta import errors, files

Tensor = Shaped[np.ndarray, "..."]
SHARD = 4 << 30  # bytes
_FLOATS = {
  "F32": np.dtype(np.float32),
  "F16": np.dtype(np.float16),
  "BF16": np.dtype(ml_dtypes.bfloat16),
}


def index_of(path: pathlib.Path) -> pathlib.Path:
  """Where the index of a sharded `path` is."""
  return path.with_name(f"{path.name}.index.json")


class Reader:
  """A checkpoint that is opened, not read.

  Attributes:
    path: as it would be in one file.
    shapes: of every tensor, by name.
  """

  def __init__(self, path: pathlib.Path):
    """Opens `path`, or the shards that its index names.

    Raises:
      InputError: naming the file that is missing, no safetensors, or does not
        hold what the index says.
    """
    self.path = path
    self._files: dict[str, safetensors.safe_open] = {}
    for file in _shards(path):
      try:
        opened = safetensors.safe_open(file, "numpy")
      except FileNotFoundError:
        raise errors.InputError(file, "is missing") from None
      except (OSError, safetensors.SafetensorError) as error:
        raise errors.InputError(
          file, f"cannot be read as safetensors: {error}"
        ) from None
      for name in opened.keys():  # noqa: SIM118, it is not a mapping
        if name in self._files:
          raise errors.InputError(file, f"{name} is in another shard as well")
        self._files[name] = opened
    self.shapes: Mapping[str, tuple[int, ...]] = {
      name: tuple(file.get_slice(name).get_shape())
      for name, file in self._files.items()
    }

  def dtype(self, name: str) -> str:
    """What its numbers are, as safetensors calls it: NumPy has not all."""
    return self._files[name].get_slice(name).get_dtype()

  @property
  def dtypes(self) -> dict[str, np.dtype]:
    """Of every tensor in float32 or one of the halves, by name."""
    kinds = {name: _FLOATS.get(self.dtype(name)) for name in self.shapes}
    return {name: kind for name, kind in kinds.items() if kind is not None}

  def read(self, name: str, index: int | None = None) -> Tensor:
    """A tensor in its own dtype, or one index of its first axis."""
    if index is None:
      return self._files[name].get_tensor(name)
    return self._files[name].get_slice(name)[index]


def _shards(path: pathlib.Path) -> list[pathlib.Path]:
  index = index_of(path)
  if path.exists() or not index.exists():
    return [path]
  try:
    names = set(json.loads(index.read_text())["weight_map"].values())
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise errors.InputError(
      index, f"is no index of shards: {error!r}"
    ) from None
  # A name with a folder in it could point anywhere.
  if outside := [n for n in names if pathlib.PurePath(str(n)).name != n]:
    raise errors.InputError(
      index, f"weight_map: {outside[0]!r} is no file name"
    )
  return [path.parent / name for name in sorted(names)]


def write(
  path: pathlib.Path,
  tensors: Iterable[tuple[str, Tensor]],
  *,
  limit: int = SHARD,
) -> None:
  """Writes a checkpoint; in shards if it is over `limit` bytes.

  Args:
    path: where one file would be; shards and index go beside it.
    tensors: consumed one at a time.
    limit: bytes per shard; a single tensor may be over.

  Raises:
    InputError: nothing can be written there; nothing is then left behind.
  """
  with contextlib.ExitStack() as stack:
    written: list[tuple[pathlib.Path, list[str]]] = []
    total = 0
    for shard in _pack(tensors, limit):
      temporary = stack.enter_context(files.scratch_path(path))
      try:
        safetensors.numpy.save_file(shard, temporary, metadata={"format": "pt"})
      except (OSError, safetensors.SafetensorError) as error:
        raise errors.InputError(path, f"cannot write: {error}") from None
      written.append((temporary, list(shard)))
      total += sum(tensor.nbytes for tensor in shard.values())
      del shard
    if len(written) == 1:
      files.publish(written[0][0], path)
      index_of(path).unlink(missing_ok=True)
      return
    places = {}
    for number, (temporary, names) in enumerate(written, 1):
      name = f"{path.stem}-{number:05}-of-{len(written):05}{path.suffix}"
      files.publish(temporary, path.with_name(name))
      places |= dict.fromkeys(names, name)
    document = {"metadata": {"total_size": total}, "weight_map": places}
    with files.atomic_path(index_of(path)) as temporary:
      temporary.write_text(json.dumps(document, indent=2) + "\n")
    # Found first, it would hide the shards.
    path.unlink(missing_ok=True)


def _pack(
  tensors: Iterable[tuple[str, Tensor]], limit: int
) -> Iterator[dict[str, Tensor]]:
  shard, size = {}, 0
  for name, tensor in tensors:
    if shard and size + tensor.nbytes > limit:
      yield shard
      shard, size = {}, 0
    shard[name] = np.ascontiguousarray(tensor)
    size += tensor.nbytes
  yield shard
