"""Tables of names: our parameters beside those of a torch checkpoint.

A row says which share of which torch tensor is which layer of which of our
arrays; all that differs between two formats is rows. Both directions read the
same table, so one cannot drift from the other, and every name that a table
does not know, on either side, is an error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

Tensor = Shaped[np.ndarray, "..."]
Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
  """How a tensor's axes lie there and here."""

  ours: Callable[[Tensor], Tensor]
  theirs: Callable[[Tensor], Tensor]


SAME = Layout(ours=lambda x: x, theirs=lambda x: x)
# torch's Linear is [out, in], flax's [in, out].
LINEAR = Layout(ours=lambda x: x.T, theirs=lambda x: x.T)
# A convolution of one tap, [out, in, 1], is a linear layer here.
POINTWISE = Layout(ours=lambda x: x[..., 0].T, theirs=lambda x: x.T[..., None])
# [out, in, taps] and [taps, in, out].
CONVOLUTION = Layout(
  ours=lambda x: x.transpose(2, 1, 0), theirs=lambda x: x.transpose(2, 1, 0)
)
# [in, out, taps] and [taps, in, out].
TRANSPOSED = Layout(
  ours=lambda x: x.transpose(2, 0, 1), theirs=lambda x: x.transpose(1, 2, 0)
)
# [channels, 1, 1]: torch's length of a weight-normalised kernel.
GAIN = Layout(ours=lambda x: x[:, 0, 0], theirs=lambda x: x[:, None, None])
# [1, channels, 1].
CHANNEL = Layout(ours=lambda x: x[0, :, 0], theirs=lambda x: x[None, :, None])
# [n, 1].
COLUMN = Layout(ours=lambda x: x[:, 0], theirs=lambda x: x[:, None])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
  """One correspondence.

  Attributes:
    ours: path in our tree, "transformer_blocks/attn1/to_q/kernel".
    theirs: name in torch's state.
    layout: of the axes.
    layer: which index of our array's first axis; None is the whole array.
    part: (i, n): the i-th of n equal shares of their first axis.
  """

  ours: str
  theirs: str
  layout: Layout = SAME
  layer: int | None = None
  part: tuple[int, int] = (0, 1)


def mismatches(
  rows: Sequence[Row],
  *,
  ours: Mapping[str, Shape],
  theirs: Mapping[str, Shape],
) -> list[str]:
  """Everything in which a checkpoint is not the model's, one phrase each.

  Args:
    rows: the table.
    ours: path -> shape of every parameter of the model.
    theirs: name -> shape of every tensor of the checkpoint.

  Raises:
    ValueError: the table is not of this model; a bug, not a user's mistake.
  """
  grouped = _by(rows, "ours")
  if grouped.keys() != ours.keys():
    raise ValueError(f"not in both: {sorted(grouped.keys() ^ ours.keys())}")
  known = {row.theirs for row in rows}
  problems = [f"{name} is missing" for name in sorted(known - theirs.keys())]
  problems += [f"{name} is unknown" for name in sorted(theirs.keys() - known)]
  wanted = _their_shapes(rows, ours)
  return problems + [
    f"{name} has shape {theirs[name]}, the model's is {shape}"
    for name, shape in wanted.items()
    if name in theirs and theirs[name] != shape
  ]


def to_ours(
  rows: Sequence[Row], read: Callable[[str], Tensor]
) -> Iterator[tuple[str, Tensor]]:
  """Our arrays, one at a time: no more than one is held.

  Args:
    rows: the table.
    read: their tensor of a name.
  """
  for path, found in _by(rows, "ours").items():
    layers = [
      row.layout.ours(np.split(read(row.theirs), row.part[1])[row.part[0]])
      for row in sorted(found, key=lambda row: row.layer or 0)
    ]
    whole = found[0].layer is None
    yield path, layers[0] if whole else np.stack(layers)


def to_theirs(
  rows: Sequence[Row], read: Callable[[str, int | None], Tensor]
) -> Iterator[tuple[str, Tensor]]:
  """Their tensors, one at a time.

  Args:
    rows: the table.
    read: our array of a path, or that index of its first axis: all blocks are
      one array, of which each of their tensors wants one.
  """
  for name, found in _by(rows, "theirs").items():
    parts = [
      row.layout.theirs(read(row.ours, row.layer))
      for row in sorted(found, key=lambda row: row.part)
    ]
    yield name, np.ascontiguousarray(np.concatenate(parts))


def _their_shapes(
  rows: Sequence[Row], ours: Mapping[str, Shape]
) -> dict[str, Shape]:
  # Of views of one number: a model of any size costs nothing.
  blank = np.zeros((), np.float32)
  shapes = {}
  for name, found in _by(rows, "theirs").items():
    row = found[0]
    shape = ours[row.ours][row.layer is not None :]
    shape = row.layout.theirs(np.broadcast_to(blank, shape)).shape
    shapes[name] = (shape[0] * row.part[1], *shape[1:])
  return shapes


def _by(rows: Iterable[Row], field: str) -> dict[str, list[Row]]:
  groups: dict[str, list[Row]] = {}
  for row in rows:
    groups.setdefault(getattr(row, field), []).append(row)
  return groups
