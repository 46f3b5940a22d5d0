"""Reading a state dict that torch saved, without torch and without trust.

A checkpoint of torch is a pickle, and a pickle may name any function and have
it called. Here it may name four things, which is all that a dictionary of
tensors needs; every other name is refused before it is looked up.

The layout is torch's first one (before 1.6, and later with
`_use_new_zipfile_serialization=False`), torch/serialization.py `_legacy_save`:
pickles of a magic number, of a version, of what kind of machine wrote it, of
the object and of its storages' keys; then each storage's length and numbers.
"""

from __future__ import annotations

import collections
import io
import os
import pickle

import numpy as np

from vta import errors

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {
  "FloatStorage": np.dtype("<f4"),
  "LongStorage": np.dtype("<i8"),
}


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The float32 tensors of a state dict.

  Integers (batch counters) are not weights and are left out.

  Raises:
    InputError: when the file cannot be read, has another layout, or asks for
      anything that a dictionary of tensors does not need.
  """
  try:
    with open(path, "rb") as stream:
      tensors = _read(stream, size=os.path.getsize(path))
  except Exception as error:  # A damaged pickle raises almost anything.
    raise errors.InputError(
      path, f"not readable as a state dict of torch: {error}"
    ) from None
  return {
    name: tensor
    for name, tensor in tensors.items()
    if tensor.dtype == np.float32
  }


def _read(stream: io.BufferedReader, *, size: int) -> dict[str, np.ndarray]:
  head = [_Unpickler(stream, size).load() for _ in range(3)]
  if head[:2] != [_MAGIC, _PROTOCOL] or not head[2]["little_endian"]:
    raise ValueError("another layout than torch's first one")
  reader = _Unpickler(stream, size)
  tensors = reader.load()
  keys = _Unpickler(stream, size).load()
  if sorted(keys) != sorted(reader.storages):
    raise ValueError("its storages are not those that its tensors use")
  for key in keys:
    storage = reader.storages[key]
    count = int.from_bytes(stream.read(8), "little")
    if count != len(storage) or stream.readinto(storage) != storage.nbytes:
      raise ValueError(f"storage {key} is cut short")
  if not isinstance(tensors, dict):
    raise ValueError("it holds no dictionary")
  for name, tensor in tensors.items():
    if not isinstance(name, str) or not isinstance(tensor, np.ndarray):
      raise ValueError("it holds more than tensors")
  return tensors


class _Unpickler(pickle.Unpickler):
  """Unpickles numbers, strings, containers and tensors, and nothing else.

  Attributes:
    storages: key -> the numbers that tensors look at. They come later in the
      file, so tensors are views of arrays that are filled in the end.
  """

  def __init__(self, stream: io.BufferedReader, size: int):
    super().__init__(stream)
    self._left = size
    self.storages: dict[str, np.ndarray] = {}

  def find_class(self, module: str, name: str):
    match module, name:
      case "collections", "OrderedDict":
        return collections.OrderedDict
      case "torch._utils", "_rebuild_tensor_v2":
        return self._tensor
      case "torch", name if name in _STORAGES:
        return _STORAGES[name]
    raise pickle.UnpicklingError(f"it asks for {module}.{name}")

  def persistent_load(self, pid: tuple) -> np.ndarray:
    kind, dtype, key, _, count, view = pid
    if kind != "storage" or view is not None:
      raise pickle.UnpicklingError(f"it refers to a {kind}")
    if not isinstance(dtype, np.dtype):
      raise pickle.UnpicklingError("a storage of no known type")
    if key not in self.storages:
      # Before memory is taken for it: a count costs nothing to write.
      if not 0 <= count * dtype.itemsize <= self._left:
        raise pickle.UnpicklingError(f"storage {key} is larger than the file")
      self._left -= count * dtype.itemsize
      self.storages[key] = np.zeros(count, dtype)
    return self.storages[key]

  def _tensor(self, storage, offset, size, stride, *_) -> np.ndarray:
    """A view of a storage; NumPy checks that it stays inside."""
    item = storage.itemsize
    return np.ndarray(
      size,
      storage.dtype,
      buffer=storage,
      offset=offset * item,
      strides=[step * item for step in stride],
    )
