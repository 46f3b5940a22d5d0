"""Records to batches: shuffled, cropped and resumable by arithmetic (Grain).

The order and every random choice are functions of (seed, step): which batch a
step has, and which clips that has, is computed, not remembered. Nothing about
the pipeline needs saving, and a run resumes exactly, on any number of hosts.
"""

from __future__ import annotations

import dataclasses
import fractions
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grain
import numpy as np

from vta.data import mixture, records

Batch = Mapping[str, np.ndarray]
# (record, generator) -> example: what a task makes of a clip.
MakeExample = Callable[[records.Record, np.random.Generator], Batch]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
  """Batches of one shape.

  Attributes:
    parts: the clips, in proportion.
    make_example: what is made of each.
    batch_size: of all hosts together.
    share: of the steps, relative to the other streams'.
  """

  parts: Sequence[mixture.Part]
  make_example: MakeExample
  batch_size: int
  share: fractions.Fraction = fractions.Fraction(1)


def batches(
  streams: Sequence[Stream],
  *,
  seed: int,
  start: int = 0,
  host: int = 0,
  hosts: int = 1,
  threads: int = 2,
) -> Iterator[Batch]:
  """Endless training batches, from batch number `start` on.

  A step's batch is of one stream, the same for all hosts. The global batch
  holds the same clips for any number of hosts; each reads its own share.
  """
  for stream in streams:
    if stream.batch_size % hosts:
      raise ValueError(
        f"batch size {stream.batch_size} is no multiple of {hosts} hosts"
      )
  # One stream alone keeps the seed as it is; so does one part, in `_clips`:
  # runs from before there were several go on in their order.
  seeds = [seed] if len(streams) == 1 else _seeds(seed, len(streams))
  made = [
    _clips(stream.parts, seed=own)
    # Before the hosts part: a clip's draws follow its global position.
    .random_map(stream.make_example)[host::hosts]
    # Endless: nothing remains. Rounded up, its length would overflow for 1.
    .batch(stream.batch_size // hosts, drop_remainder=True)
    for stream, own in zip(streams, seeds, strict=True)
  ]
  dataset = _in_turn(made, [stream.share for stream in streams])
  iterator = iter(
    dataset.to_iter_dataset(
      grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    )
  )
  iterator.set_state({"next_index": start})
  return iterator


def evaluation_batches(
  source: records.Shards,
  make_example: MakeExample,
  *,
  batch_size: int,
  count: int,
  seed: int = 0,
) -> list[Batch]:
  """The first `count` batches in file order: the same for every run."""
  available = len(source) // batch_size
  if available < count:
    raise ValueError(
      f"{count} batches of {batch_size} asked for, the set has {available}"
    )
  dataset = (
    grain.MapDataset.source(source)
    .seed(seed)
    .random_map(make_example)
    .batch(batch_size)
  )
  return [dataset[i] for i in range(count)]


def _clips(
  parts: Sequence[mixture.Part], *, seed: int
) -> grain.MapDataset[records.Record]:
  """An endless sequence of clips: passes of each part, in proportion."""
  seeds = [seed] if len(parts) == 1 else _seeds(seed, len(parts))
  passes = [
    (grain.MapDataset.source(part.clips).seed(own).shuffle().repeat(), part)
    for part, own in zip(parts, seeds, strict=True)
    if part.share  # those of the others stay what they are without it
  ]
  mixed = _in_turn(
    [dataset for dataset, _ in passes], [part.share for _, part in passes]
  )
  return mixed if len(parts) == 1 else mixed.seed(seed)


def _in_turn(
  datasets: Sequence[grain.MapDataset], shares: Sequence[fractions.Fraction]
) -> grain.MapDataset:
  """Endless ones mixed; Grain's own mix rounds proportions to 1 %."""
  if len(datasets) == 1:
    return datasets[0]
  return grain.MapDataset.source(_Turns(datasets, shares))


class _Turns:
  """An endless sequence whose items are those of several, in their order."""

  def __init__(
    self, datasets: Sequence[Any], shares: Sequence[fractions.Fraction]
  ):
    self._datasets = datasets
    self._shares = mixture.whole(shares)

  def __len__(self) -> int:
    return sys.maxsize

  def __getitem__(self, position: int) -> Any:
    which, number = mixture.turn(position, self._shares)
    return self._datasets[which][number]


def _seeds(seed: int, count: int) -> list[int]:
  """Seeds that have nothing to do with each other; Grain takes 32 bits."""
  children = np.random.SeedSequence(seed).spawn(count)
  return [int(child.generate_state(1)[0]) for child in children]
