"""A release: a folder that holds a trained model and can be loaded by path.

  config.json          what it is: format, preset, sizes of every part
  <part>.safetensors   the parameters of a part, "a/b/c" -> array; large ones
                       in shards, as `vta.interop.tensors` has them
  README.md            the model card

Nothing in it can be executed, and loading checks every name and shape.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import PyTree

from vta import errors, files
from vta.interop import tensors, trees

FORMAT = "vta-release-1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
  """A loaded release.

  Attributes:
    folder: where it came from.
    config: config.json without its format mark.
    parts: part name -> parameters, float32.
  """

  folder: pathlib.Path
  config: Mapping[str, Any]
  parts: Mapping[str, PyTree]

  def part(self, name: str, like: PyTree) -> PyTree:
    """Parameters of a part, checked against the tree the model expects.

    Raises:
      InputError: the part is absent, or lists every name that does not fit.
    """
    held = self.require(name)
    wrong = trees.mismatches(like, held)
    if wrong:
      raise errors.InputError(
        self.folder / f"{name}.safetensors",
        f"{len(wrong)} arrays do not fit the model: {trees.summary(wrong)}",
      )
    return held

  def require(self, name: str) -> PyTree:
    """Parameters of a part, whatever they are.

    Raises:
      InputError: the part is absent.
    """
    if name not in self.parts:
      raise errors.InputError(
        self.folder, f"holds no {name} (it has {', '.join(self.parts)})"
      )
    return self.parts[name]

  def require_preset(self, preset: str) -> None:
    """Raises InputError unless config.json says that it is of `preset`."""
    found = self.config.get("preset")
    if found != preset:
      raise errors.InputError(
        self.folder / "config.json",
        f"preset: expected {preset!r}, found {found!r}",
      )


def digest(tree: PyTree) -> str:
  """SHA-256 of parameters by path, to know them again by."""
  known = hashlib.sha256()
  for path, leaf in sorted(trees.flatten(tree).items()):
    known.update(f"{path} {np.shape(leaf)}".encode())
    known.update(np.asarray(leaf, np.float32).tobytes())
  return known.hexdigest()


def save(
  folder: str | os.PathLike,
  *,
  config: Mapping[str, Any],
  parts: Mapping[str, PyTree],
  card: str,
  dtype: DTypeLike = jnp.float16,
  like: Mapping[str, pathlib.Path] | None = None,
) -> None:
  """Writes a release, matrices in `dtype` and everything else in float32.

  Vectors (gains, biases, snake's exponents) are few and sensitive.

  Args:
    folder: made if missing.
    config: all of config.json but its format mark.
    parts: parameters of every part.
    card: the model card.
    dtype: of matrices.
    like: releases that parts come from; their tensors keep their types.
  """

  def leaves(name, tree):
    known = {}
    if like and name in like:
      known = tensors.Reader(like[name] / f"{name}.safetensors").dtypes
    for path, leaf in trees.flatten(tree).items():
      own = dtype if trees.is_matrix(path, leaf) else np.float32
      yield path, np.asarray(leaf, known.get(path, own))

  tables = {name: leaves(name, tree) for name, tree in parts.items()}
  write(folder, config=config, parts=tables, card=card)


def write(
  folder: str | os.PathLike,
  *,
  config: Mapping[str, Any],
  parts: Mapping[str, Iterable[tuple[str, tensors.Tensor]]],
  card: str,
) -> None:
  """Writes a release of tensors as they come, config.json last.

  Args:
    folder: made if missing.
    config: all of config.json but its format mark.
    parts: path and tensor of every parameter, consumed one at a time.
    card: the model card.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  # An old one would call half of the new parts a release.
  (folder / "config.json").unlink(missing_ok=True)
  for name, table in parts.items():
    tensors.write(folder / f"{name}.safetensors", table)
  document = {"format": FORMAT, "parts": sorted(parts), **config}
  for name, text in (
    ("README.md", card),
    ("config.json", json.dumps(document, indent=2) + "\n"),
  ):
    with files.atomic_path(folder / name) as temporary:
      temporary.write_text(text)


def copy_rest(source: pathlib.Path, out: pathlib.Path) -> None:
  """Copies what a release holds beside its parts, as a text encoder.

  Args:
    source: a release folder.
    out: another; what it has already stays.
  """
  names = "|".join(map(re.escape, read_config(source)["parts"]))
  of_a_part = re.compile(
    rf"({names})(-\d+-of-\d+)?\.safetensors(\.index\.json)?"
  )
  for entry in sorted(source.iterdir()):
    if not ((out / entry.name).exists() or of_a_part.fullmatch(entry.name)):
      copy(entry, out / entry.name)


def copy(entry: pathlib.Path, target: pathlib.Path) -> None:
  """Copies a file or a folder; a link, as to towers of gigabytes, stays one."""
  if entry.is_symlink():
    target.symlink_to(entry.resolve())
  elif entry.is_dir():
    target.mkdir()
    for below in sorted(entry.iterdir()):
      copy(below, target / below.name)
  else:
    shutil.copyfile(entry, target)


def read_config(folder: pathlib.Path) -> dict[str, Any]:
  """A release's config.json without its format mark; "parts" are names.

  Raises:
    InputError: naming the file and what is wrong with it.
  """
  path = folder / "config.json"
  try:
    config = json.loads(path.read_text())
  except (FileNotFoundError, NotADirectoryError):
    raise errors.InputError(
      folder, "is not a vta release: it has no config.json"
    ) from None
  except (OSError, ValueError) as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None
  found = config.pop("format", None) if isinstance(config, dict) else None
  if found != FORMAT:
    raise errors.InputError(
      path, f"format: expected {FORMAT!r}, found {found!r}"
    )
  return config


def load(folder: str | os.PathLike) -> Release:
  """Reads a release folder.

  Raises:
    InputError: naming the file and what is wrong with it.
  """
  folder = pathlib.Path(folder)
  config = read_config(folder)
  parts = {}
  for name in config.pop("parts"):
    reader = tensors.Reader(folder / f"{name}.safetensors")
    parts[name] = trees.unflatten(
      {key: jnp.asarray(reader.read(key), jnp.float32) for key in reader.shapes}
    )
  return Release(folder=folder, config=config, parts=parts)
