"""Tables and documents of annotations, read so that an error has its place."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from vta import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
  """A row of a table or an object of a document.

  Attributes:
    where: the file and the line or place in it, for errors.
    columns: values by the names of their columns.
    rest: cells beyond the last column, where the table may have such.
  """

  where: str
  columns: Mapping[str, Any]
  rest: tuple[str, ...] = ()

  def fail(self, column: str, message: str) -> errors.InputError:
    """An error that names this row and a column."""
    return errors.InputError(self.where, f"{column}: {message}")

  def optional(self, column: str) -> str:
    """A text; "" where there is none.

    Raises:
      InputError: it is something else.
    """
    value = self.columns.get(column)
    if value is None:
      return ""
    if not isinstance(value, str):
      raise self.fail(column, f"{_shown(value)} is no text")
    return " ".join(value.split())

  def text(self, column: str) -> str:
    """A text that is not empty.

    Raises:
      InputError: it is empty, or something else.
    """
    value = self.optional(column)
    if not value:
      raise self.fail(column, "is empty")
    return value

  def number(self, column: str) -> float:
    """A number of seconds, 0 or more.

    Raises:
      InputError: it is none.
    """
    value = self.columns.get(column)
    try:
      number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
      number = math.nan
    if not 0 <= number < math.inf:
      raise self.fail(column, f"{_shown(value)} is no number of 0 or more")
    return number

  def stretch(self, start: str, end: str) -> tuple[float, float]:
    """Two numbers of seconds.

    Raises:
      InputError: one is none, or the end is before the start.
    """
    first, last = self.number(start), self.number(end)
    if last < first:
      raise self.fail(end, f"{last:g} is before the start, {first:g}")
    return first, last

  def clock(self, value: object, column: str) -> float:
    """Seconds of hours:minutes:seconds.

    Raises:
      InputError: it is no such time.
    """
    found = re.fullmatch(r"(\d+):([0-5]?\d):([0-5]?\d(?:\.\d*)?)", str(value))
    if not found:
      raise self.fail(column, f"{_shown(value)} is no hh:mm:ss.sss")
    hours, minutes, seconds = map(float, found.groups())
    return 3600 * hours + 60 * minutes + seconds

  def one_of(self, column: str, known: Mapping[str, str]) -> str:
    """What a word stands for.

    Raises:
      InputError: it is none of the known ones.
    """
    value = self.text(column)
    if value not in known:
      raise self.fail(
        column, f"{value!r} is none of {', '.join(sorted(known))}"
      )
    return known[value]


def rows(
  path: epath.Path,
  *,
  columns: Sequence[str],
  header: bool = True,
  delimiter: str = ",",
  comment: str | None = None,
  rest: bool = False,
) -> Iterator[Row]:
  """The rows of a table in UTF-8; empty lines are passed over.

  Args:
    path: the table; with tabs, quotes are letters like others.
    columns: those that it must have; all that it has, if there is no header.
    header: whether the first row names the columns.
    delimiter: between cells; blanks after it do not count.
    comment: what lines begin with that are none of the table.
    rest: whether rows may go on beyond the last column.

  Raises:
    InputError: naming the line and the column that is wrong.
  """
  quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
  names = None if header else list(columns)
  try:
    with path.open("r", encoding="utf-8-sig") as file:
      reader = csv.reader(
        file, delimiter=delimiter, quoting=quoting, skipinitialspace=True
      )
      for cells in reader:
        where = f"{path}: line {reader.line_num}"
        if not cells or (comment and cells[0].startswith(comment)):
          continue
        if names is None:
          names = [cell.strip() for cell in cells]
          missing = [name for name in columns if name not in names]
          if missing:
            raise errors.InputError(
              where, f"{missing[0]}: there is no such column"
            )
          continue
        if len(cells) < len(names):
          raise errors.InputError(
            where, f"{names[len(cells)]}: the row ends before this column"
          )
        if len(cells) > len(names) and not rest:
          raise errors.InputError(
            where, f"has {len(cells)} cells, not {len(names)}"
          )
        yield Row(
          where=where,
          columns=dict(zip(names, cells, strict=False)),
          rest=tuple(cells[len(names) :]),
        )
  except (OSError, UnicodeError, csv.Error) as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None
  if names is None:
    raise errors.InputError(path, f"line 1: {columns[0]}: there is no header")


def document(path: epath.Path) -> Any:
  """What a JSON file holds.

  Raises:
    InputError: it cannot be read, or is no JSON.
  """
  try:
    return json.loads(path.read_text(encoding="utf-8-sig"))
  except (OSError, ValueError, RecursionError) as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None


def objects(path: epath.Path) -> Iterator[Row]:
  """The objects of a JSON file, which is a list of them.

  Raises:
    InputError: it is no such list.
  """
  listed = document(path)
  if not isinstance(listed, list):
    raise errors.InputError(path, "must be a list of objects")
  for i, value in enumerate(listed):
    yield as_row(value, f"{path}: [{i}]")


def named_objects(path: epath.Path) -> Iterator[tuple[str, Row]]:
  """Names and objects of a JSON file, which is an object of objects.

  Raises:
    InputError: it is no such object.
  """
  held = document(path)
  if not isinstance(held, dict):
    raise errors.InputError(path, "must be an object of objects")
  for name, value in held.items():
    yield name, as_row(value, f"{path}: {name}")


def lines(path: epath.Path) -> Iterator[Row]:
  """The objects of a file that has a JSON object on every line.

  Raises:
    InputError: naming the line that is none.
  """
  try:
    with path.open("r", encoding="utf-8-sig") as file:
      for number, line in enumerate(file, 1):
        if not line.strip():
          continue
        where = f"{path}: line {number}"
        try:
          value = json.loads(line)
        except (ValueError, RecursionError) as error:
          raise errors.InputError(where, f"is no JSON: {error}") from None
        yield as_row(value, where)
  except (OSError, UnicodeError) as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None


def as_row(value: Any, where: str) -> Row:
  """An object within a document.

  Raises:
    InputError: it is no object.
  """
  if not isinstance(value, dict):
    raise errors.InputError(where, f"{_shown(value)} is no object")
  return Row(where=where, columns=value)


def _shown(value: object) -> str:
  text = repr(value)
  return text if len(text) <= 60 else f"{text[:57]}..."
