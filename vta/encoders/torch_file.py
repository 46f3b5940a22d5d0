"""Reading a state dict that torch saved, without torch and without trust.

A checkpoint of torch is a pickle, and a pickle may name any function and have
it called, and may set the state of whatever it has made. Here it may name what
a dictionary of tensors needs, no other name is ever looked up, and nothing's
state is set.

Two layouts, torch/serialization.py. `_save` (since 1.6): an uncompressed zip of
one folder with data.pkl, the object, and data/<key>, each storage's numbers.
`_legacy_save` (before, and with `_use_new_zipfile_serialization=False`):
pickles of a magic number, of a version, of what kind of machine wrote it, of
the object and of its storages' keys; then each storage's length and numbers.
"""

from __future__ import annotations

import collections
import io
import os
import pickle
import zipfile
from typing import ClassVar

import ml_dtypes
import numpy as np

from vta import errors

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {
  "FloatStorage": np.dtype("<f4"),
  "HalfStorage": np.dtype("<f2"),
  "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
  "DoubleStorage": np.dtype("<f8"),
  "LongStorage": np.dtype("<i8"),
  "IntStorage": np.dtype("<i4"),
  "BoolStorage": np.dtype("?"),
}


def read_tensors(
  path: str | os.PathLike, *, without: tuple[str, ...] = (), inside: str = ""
) -> dict[str, np.ndarray]:
  """The floating-point tensors of a state dict, as float32.

  Integers (batch counters, position indices) and bools (masks) are not weights
  and are left out.

  Args:
    path: the file.
    without: what begins with one of these is left out as well.
    inside: name of the state dict where the file holds more than it, such as
      the optimizer's state; whatever names the rest asks for, nothing answers.

  Raises:
    InputError: when the file cannot be read, has another layout, or asks for
      anything that a dictionary of tensors does not need.
  """
  try:
    with open(path, "rb") as stream:
      size = os.path.getsize(path)
      zipped = stream.peek(2).startswith(b"PK")
      held = (_read_zip if zipped else _read)(
        stream, size=size, lenient=bool(inside)
      )
    if inside and isinstance(held, dict):
      held = held.get(inside, held)
    tensors = _dictionary(held)
    return {
      name: tensor.astype(np.float32, copy=False)
      for name, tensor in tensors.items()
      if tensor.dtype.kind not in "ib" and not name.startswith(without)
    }
  except Exception as error:  # A damaged pickle raises almost anything.
    raise errors.InputError(
      path, f"not readable as a state dict of torch: {error}"
    ) from None


def _read_zip(stream: io.BufferedReader, *, size: int, lenient: bool) -> object:
  with zipfile.ZipFile(stream) as archive:
    entries = archive.infolist()
    sizes = {entry.filename: entry.file_size for entry in entries}
    # What is not compressed cannot be larger than the file.
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
      raise ValueError("a zip that torch did not write")
    # Its only folder has the name of the file that it was.
    (pickled,) = (name for name in sizes if name.endswith("/data.pkl"))
    folder = pickled.removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if order in sizes and archive.read(order) != b"little":
      raise ValueError("its numbers have another byte order")
    reader = _Unpickler(io.BytesIO(archive.read(pickled)), size, lenient)
    held = reader.load()
    for key, storage in reader.storages.items():
      name = f"{folder}data/{key}"
      if sizes.get(name) != storage.nbytes:
        raise ValueError(f"storage {key} is missing or cut short")
      with archive.open(name) as numbers:
        if numbers.readinto(storage.view(np.uint8)) != storage.nbytes:
          raise ValueError(f"storage {key} is cut short")
  return held


def _read(stream: io.BufferedReader, *, size: int, lenient: bool) -> object:
  head = [_Unpickler(stream, size).load() for _ in range(3)]
  if head[:2] != [_MAGIC, _PROTOCOL] or not head[2]["little_endian"]:
    raise ValueError("another layout than torch's first one")
  reader = _Unpickler(stream, size, lenient)
  held = reader.load()
  keys = _Unpickler(stream, size).load()
  if sorted(keys) != sorted(reader.storages):
    raise ValueError("its storages are not those that its tensors use")
  for key in keys:
    storage = reader.storages[key]
    count = int.from_bytes(stream.read(8), "little")
    if count != len(storage) or stream.readinto(storage) != storage.nbytes:
      raise ValueError(f"storage {key} is cut short")
  return held


def _dictionary(tensors: object) -> dict[str, np.ndarray]:
  if not isinstance(tensors, dict):
    raise ValueError("it holds no dictionary")
  for name, tensor in tensors.items():
    if not isinstance(name, str) or not isinstance(tensor, np.ndarray):
      raise ValueError("it holds more than tensors")
  return tensors


class _Nothing:
  """Stands where a name was asked for that is not looked up."""

  def __new__(cls, *_):
    return super().__new__(cls)


class _Unpickler(pickle._Unpickler):
  """Unpickles numbers, strings, containers and tensors, and nothing else.

  It is the one in Python, whose opcodes can be replaced: find_class sees names
  alone, but an array and its dtype have a native __setstate__, by which BUILD
  would move an array's memory or change a dtype that all of NumPy shares.

  Attributes:
    storages: key -> the numbers that tensors look at. They come later in the
      file, so tensors are views of arrays that are filled in the end.
  """

  def __init__(
    self, stream: io.BufferedIOBase, size: int, lenient: bool = False
  ):
    """`lenient`: other names stand for `_Nothing`, in place of an error."""
    super().__init__(stream)
    self._lenient = lenient
    self._size = self._left = size
    self.storages: dict[str, np.ndarray] = {}

  def find_class(self, module: str, name: str):
    match module, name:
      case "collections", "OrderedDict":
        return collections.OrderedDict
      case "torch._utils", "_rebuild_tensor_v2":
        return self._tensor
      case "torch", name if name in _STORAGES:
        return _STORAGES[name]
    if self._lenient:
      return _Nothing
    raise pickle.UnpicklingError(f"it asks for {module}.{name}")

  def load_build(self) -> None:
    """Drops the metadata of a state dict, all that has a state there."""
    self.stack.pop()
    if type(self.stack[-1]) not in (collections.OrderedDict, _Nothing):
      raise pickle.UnpicklingError("it sets the state of an object")

  dispatch: ClassVar = {
    **pickle._Unpickler.dispatch,
    pickle.BUILD[0]: load_build,
  }

  def persistent_load(self, pid: tuple) -> np.ndarray:
    # In a zip nothing says whether a storage is a view: none is.
    kind, dtype, key, _, count, *view = pid
    if kind != "storage" or view not in ([], [None]):
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
    if not isinstance(storage, np.ndarray):
      raise pickle.UnpicklingError("a tensor of no storage")
    item = storage.itemsize
    tensor = np.ndarray(
      size,
      storage.dtype,
      buffer=storage,
      offset=offset * item,
      strides=[step * item for step in stride],
    )
    # A stride of zero costs nothing to write either.
    if tensor.nbytes > self._size:
      raise pickle.UnpicklingError("a tensor is larger than the file")
    return tensor
