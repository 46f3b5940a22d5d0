"""What is computed of many clips, kept line by line: a killed run goes on."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tqdm

from vta import errors


def each(
  path: str | os.PathLike,
  keys: Sequence[str],
  compute: Callable[[str], Any],
  *,
  by: Mapping[str, Any],
) -> dict[str, Any]:
  """A JSON value for each key, computed only where the file has none.

  The first line says what computes; a line that a kill cut short is written
  anew. A clip that cannot be read has {"error": message} for its value.

  Args:
    path: the file, made if missing.
    keys: of what is wanted; those of other runs stay in the file.
    compute: a key's value.
    by: what the values depend on besides the keys.

  Raises:
    InputError: the file is something else, or of values by something else.
  """
  target = pathlib.Path(path)
  head = json.dumps({"by": by}, sort_keys=True)
  known = _read(target, head)
  missing = [key for key in dict.fromkeys(keys) if key not in known]
  try:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("a", encoding="utf-8") as file:
      if not file.tell():
        file.write(f"{head}\n")
      for key in tqdm.tqdm(missing, unit="clip", desc=target.name):
        try:
          known[key] = compute(key)
        except errors.InputError as error:
          known[key] = {"error": str(error)}
          tqdm.tqdm.write(f"cannot be used: {error}")
        file.write(json.dumps([key, known[key]]) + "\n")
        file.flush()
  except OSError as error:
    raise errors.InputError(target, f"cannot write: {error.strerror}") from None
  return {key: known[key] for key in keys}


def _read(path: pathlib.Path, head: str) -> dict[str, Any]:
  try:
    if not path.exists():
      return {}
    whole, _, half = path.read_text(encoding="utf-8").rpartition("\n")
    if half:
      os.truncate(path, path.stat().st_size - len(half.encode()))
    lines = whole.split("\n") if whole else []
    if lines and lines[0] != head:
      raise errors.InputError(
        path, "is of other settings: give another --out, or remove it"
      )
    return dict(json.loads(line) for line in lines[1:])
  except (OSError, ValueError, TypeError) as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None
