"""Someone else's config.json, whose every wrong field is named."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from vta import errors


class Settings:
  """A JSON object of a file, read field by field.

  Every method raises InputError, naming the file and the field.
  """

  def __init__(self, path: pathlib.Path, document: Any, *, at: str = ""):
    """`document` is what the file holds at the dotted name `at`."""
    self._path, self._at = path, at
    if not isinstance(document, Mapping):
      raise self._error(at or "the file", f"must hold an object: {document!r}")
    self._document = document

  @classmethod
  def read(cls, path: pathlib.Path) -> Settings:
    """The object of a file."""
    try:
      document = json.loads(path.read_text())
    except FileNotFoundError:
      raise errors.InputError(path, "is missing") from None
    except (OSError, ValueError) as error:
      raise errors.InputError(path, f"cannot be read: {error}") from None
    return cls(path, document)

  def within(self, name: str) -> Settings:
    """The object that is a field."""
    return Settings(self._path, self._document.get(name), at=self._name(name))

  def each(self, name: str, *, count: int) -> list[Settings]:
    """The objects of a field that lists so many."""
    values = self._document.get(name)
    if not (isinstance(values, list) and len(values) == count):
      raise self._error(
        self._name(name), f"must be a list of {count}, not {values!r}"
      )
    return [
      Settings(self._path, value, at=f"{self._name(name)}[{i}]")
      for i, value in enumerate(values)
    ]

  def whole(self, name: str) -> int:
    """A positive whole number."""
    value = self._document.get(name)
    if not _whole(value):
      raise self._error(
        self._name(name), f"must be a positive whole number, not {value!r}"
      )
    return value

  def wholes(self, name: str) -> list[int]:
    """A list of them."""
    values = self._document.get(name)
    if not (isinstance(values, list) and values and all(map(_whole, values))):
      raise self._error(
        self._name(name),
        f"must be a list of positive whole numbers, not {values!r}",
      )
    return values

  def must_be(self, name: str, value: Any, *, default: Any = None) -> None:
    """Refuses any value but one; `default` is what a missing field means."""
    found = self._document.get(name, default)
    if found != value:
      raise self._error(
        self._name(name), f"only {value!r} is known here, not {found!r}"
      )

  def _name(self, name: str) -> str:
    return f"{self._at}.{name}" if self._at else name

  def _error(self, name: str, message: str) -> errors.InputError:
    return errors.InputError(self._path, f"{name}: {message}")


def _whole(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool) and value > 0
