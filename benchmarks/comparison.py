"""How far apart two computations of the same thing are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
  """One comparison.

  Attributes:
    name: the component.
    against: the class that it equals.
    package: whose class it is.
    inputs: their shapes.
    parameters: how many were compared.
    error: `relative` of the outputs.
  """

  name: str
  against: str
  package: str
  inputs: str
  parameters: int
  error: float


def relative(ours: Arrays, theirs: Arrays) -> float:
  """Largest difference over largest value; the worst of all outputs.

  Raises:
    ValueError: they do not have the same outputs, of the same shapes.
  """
  shapes = [{k: x.shape for k, x in side.items()} for side in (ours, theirs)]
  if shapes[0] != shapes[1]:
    raise ValueError(f"{shapes[0]} against {shapes[1]}")
  errors = [
    np.abs(ours[name] - want).max() / np.abs(want).max()
    for name, want in theirs.items()
  ]
  # np.max, unlike max, is not a number where one of them is not.
  return float(np.max(errors))


def shape(*arrays: np.ndarray) -> str:
  """Shapes as a table has them."""
  return ", ".join(" x ".join(map(str, x.shape)) for x in arrays)
