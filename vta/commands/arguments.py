"""Types for argparse: numbers within bounds, refused in one line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
  """A whole number from `low` to `high`, both included."""
  return _bounded(int, "a whole number", low, high)


def real(low: float, high: float | None = None) -> Callable[[str], float]:
  """A finite number from `low` to `high`, both included."""
  return _bounded(float, "a number", low, high)


def weight(text: str) -> tuple[str, float]:
  """NAME=WEIGHT, of 0 to 10."""
  name, given, value = text.partition("=")
  if not name or not given:
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME=WEIGHT")
  return name, real(0.0, 10.0)(value)


def _bounded(kind, words, low, high):
  bounds = f"{low} or more" if high is None else f"{low} to {high}"
  limit = math.inf if high is None else high

  def parse(text: str):
    try:
      value = kind(text)
    except ValueError:
      raise argparse.ArgumentTypeError(f"{text!r} is not {words}") from None
    # Not the negation: NaN compares false with everything.
    if low <= value <= limit and math.isfinite(value):
      return value
    raise argparse.ArgumentTypeError(f"{text} is not {bounds}")

  return parse
