"""Strict reading and canonical writing of the JSON that people edit.

Every check names the field that failed it, as a path: "tracks[0].events[2]".
What JSON lets pass in silence (a key given twice, NaN, true where a number
belongs) is refused here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vta.errors import InputError

_WIDTH = 80


class _Repeated:
  """Stands for an object that has a key twice, until its path is known."""

  def __init__(self, key: str):
    self.key = key


def decode(data: bytes, where: str) -> Any:
  """Bytes of a JSON file to Python values.

  NaN and Infinity, which Python's JSON reader accepts, come out as floats;
  `number` refuses them with the path of their field.

  Raises:
    InputError: not UTF-8 or not JSON.
  """
  try:
    # utf-8-sig: some editors begin every UTF-8 file with a byte order mark.
    text = data.decode("utf-8-sig")
    return json.loads(text, object_pairs_hook=_object)
  except UnicodeDecodeError as error:
    raise InputError(where, f"not UTF-8 (byte {error.start})") from None
  except json.JSONDecodeError as error:
    raise InputError(
      f"{where}: line {error.lineno}", f"not JSON: {error.msg}"
    ) from None
  except (RecursionError, ValueError):
    raise InputError(
      where, "not JSON: too deep, or a number too long"
    ) from None


def encode(value: Any) -> str:
  """Canonical text: two-space indent; a list on one line where it fits.

  Objects take a line per field; numbers that do not fit on one line are
  filled into several. Floats are written in full, so that reading gives back
  the same bits.
  """
  return _layout(value, "") + "\n"


def record(
  value: Any,
  where: str,
  *,
  required: Sequence[str] = (),
  optional: Sequence[str] = (),
) -> dict[str, Any]:
  """A JSON object with all of the required and none but the known fields."""
  if isinstance(value, _Repeated):
    raise InputError(where, f"the field {value.key!r} is given twice")
  if not isinstance(value, dict):
    raise InputError(where, f"must be an object, not {_kind(value)}")
  known = [*required, *optional]
  for key in value:
    if key not in known:
      raise InputError(
        where, f"unknown field {key!r}; known are {', '.join(known)}"
      )
  for key in required:
    if key not in value:
      raise InputError(where, f"the field {key!r} is missing")
  return value


def sequence(value: Any, where: str) -> list[Any]:
  """A JSON list."""
  if not isinstance(value, list):
    raise InputError(where, f"must be a list, not {_kind(value)}")
  return value


def text(value: Any, where: str) -> str:
  """A string with something in it."""
  if not isinstance(value, str):
    raise InputError(where, f"must be text, not {_kind(value)}")
  if not value.strip():
    raise InputError(where, "is empty; leave the field out instead")
  # JSON can spell half of a surrogate pair, which no file can hold.
  if any("\ud800" <= letter <= "\udfff" or not ord(letter) for letter in value):
    raise InputError(where, "holds a character that is not text")
  return value


def flag(value: Any, where: str) -> bool:
  """true or false."""
  if not isinstance(value, bool):
    raise InputError(where, f"must be true or false, not {_kind(value)}")
  return value


def number(
  value: Any, where: str, *, low: float, high: float, unit: str = ""
) -> float:
  """A finite number from low to high."""
  # bool is a subclass of int: true would pass for 1.
  if isinstance(value, bool) or not isinstance(value, (int, float)):
    raise InputError(where, f"must be a number, not {_kind(value)}")
  if isinstance(value, float) and not math.isfinite(value):
    raise InputError(where, f"must be a finite number, not {value}")
  # Compared before conversion: an int may be too long for a float.
  if not low <= value <= high:
    shown = repr(value) if abs(value) < 1e15 else f"{repr(value)[:12]}..."
    raise InputError(
      where, f"must lie between {low:g} and {high:g}{unit}, not {shown}"
    )
  return float(value)


def integer(value: Any, where: str, *, low: int, high: int) -> int:
  """A whole number from low to high, written without a point."""
  if isinstance(value, bool) or not isinstance(value, int):
    raise InputError(where, f"must be a whole number, not {_kind(value)}")
  if not low <= value <= high:
    raise InputError(where, f"must lie between {low} and {high}")
  return value


def table(
  value: Any,
  where: str,
  *,
  shape: Sequence[int],
  low: float,
  high: float,
  unit: str = "",
) -> Float[np.ndarray, "..."]:
  """Nested lists of numbers from low to high, of exactly this shape."""
  rows = sequence(value, where)
  if len(rows) != shape[0]:
    raise InputError(where, f"must have {shape[0]} entries, not {len(rows)}")
  inner = {"low": low, "high": high, "unit": unit}
  if len(shape) == 1:
    entries = [number(v, f"{where}[{i}]", **inner) for i, v in enumerate(rows)]
  else:
    entries = [
      table(v, f"{where}[{i}]", shape=shape[1:], **inner)
      for i, v in enumerate(rows)
    ]
  return np.array(entries, dtype=np.float64).reshape(shape)


def times(value: Any, where: str, *, duration: float) -> Float[np.ndarray, "n"]:
  """At least one time stamp, strictly increasing, within 0..duration."""
  count = len(sequence(value, where))
  if not count:
    raise InputError(where, "is empty; leave the signal out instead")
  stamps = table(
    value, where, shape=(count,), low=0.0, high=duration, unit=" s"
  )
  late = np.flatnonzero(np.diff(stamps) <= 0)
  if late.size:
    i = late[0].item() + 1
    raise InputError(
      f"{where}[{i}]",
      f"does not come after the one before ({stamps[i]} <= {stamps[i - 1]})",
    )
  return stamps


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeated:
  fields = {}
  for key, value in pairs:
    if key in fields:
      return _Repeated(key)
    fields[key] = value
  return fields


def _kind(value: Any) -> str:
  """What a person who reads JSON calls this value."""
  if value is None:
    return "null"
  if isinstance(value, bool):
    return "true" if value else "false"
  if isinstance(value, (int, float)):
    return "a number"
  if isinstance(value, str):
    return "text"
  return "a list" if isinstance(value, list) else "an object"


def _layout(value: Any, indent: str) -> str:
  """`value` as JSON whose lines after the first begin with `indent`."""
  inner = indent + "  "
  if isinstance(value, dict) and value:
    fields = [
      f"{inner}{_flat(key)}: {_layout(field, inner)}"
      for key, field in value.items()
    ]
    return "{\n" + ",\n".join(fields) + f"\n{indent}}}"
  line = _flat(value)
  if not isinstance(value, list) or (
    len(indent) + len(line) < _WIDTH and "{" not in line
  ):
    return line
  if any(isinstance(entry, (dict, list, str)) for entry in value):
    rows = [inner + _layout(entry, inner) for entry in value]
    return "[\n" + ",\n".join(rows) + f"\n{indent}]"
  rows = [inner]
  for i, entry in enumerate(value):
    word = _flat(entry) + ("," if i + 1 < len(value) else "")
    if len(rows[-1]) + len(word) + 1 > _WIDTH:
      rows.append(inner)
    rows[-1] += word if rows[-1] == inner else f" {word}"
  return "[\n" + "\n".join(rows) + f"\n{indent}]"


def _flat(value: Any) -> str:
  return json.dumps(value, ensure_ascii=False, allow_nan=False)
