"""JSON files of a run: whole or not at all, and the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import pathlib
from typing import Any

from vta import errors, files


def write(path: pathlib.Path, value: Any) -> None:
  """Writes a document; NaN and infinity are bugs, JSON has none."""
  with files.atomic_path(path) as temporary:
    temporary.write_text(
      json.dumps(value, indent=1, allow_nan=False) + "\n",
      encoding="utf-8",
    )


def read(path: pathlib.Path) -> Any:
  """Reads a document.

  Raises:
    InputError: it cannot be read; it was whole once.
  """
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None


def digest(value: Any) -> str:
  """SHA-256 of a document."""
  return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_of_file(path: pathlib.Path) -> str:
  """SHA-256 of a file."""
  with path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
