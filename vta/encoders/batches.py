"""Rows of any number through a program that is compiled for a few sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
from jaxtyping import Int, Shaped

_Made = TypeVar("_Made")


def power_of_two(count: int) -> int:
  """The lowest that is no less than `count`; 1 for none."""
  return 1 << max(count - 1, 0).bit_length()


def pad(
  rows: Shaped[np.ndarray, "n ..."], size: int, value: int = 0
) -> Shaped[np.ndarray, "{size} ..."]:
  """Adds rows of `value` up to `size`."""
  more = [(0, size - len(rows))] + [(0, 0)] * (rows.ndim - 1)
  return np.pad(rows, more, constant_values=value)


def by_length(
  lengths: Int[np.ndarray, "n"], size: int
) -> Iterator[Int[np.ndarray, "b"]]:
  """Where the texts of each batch are, shortest first: little is padded."""
  order = np.argsort(lengths, kind="stable")
  for start in range(0, len(order), size):
    yield order[start : start + size]


def ahead(made: Iterable[_Made]) -> Iterator[_Made]:
  """The same items, each once the next has been asked for.

  Results of JAX are promises: with a batch in flight the device computes while
  the host fetches what came before and prepares what comes next.
  """
  waiting: list[_Made] = []
  for item in made:
    yield from waiting
    waiting = [item]
  yield from waiting
