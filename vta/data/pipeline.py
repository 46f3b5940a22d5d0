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
  # One stream alone keeps the seed as it is: runs from before there were
  # several go on in their order.
  seeds = [seed] if len(streams) == 1 else _seeds(seed, len(streams))
  steps = _Steps(
    [
      _Batches(stream, seed=own, host=host, hosts=hosts)
      for stream, own in zip(streams, seeds, strict=True)
    ],
    mixture.whole([stream.share for stream in streams]),
  )
  iterator = iter(
    grain.MapDataset.source(steps).to_iter_dataset(
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


class _Passes:
  """An endless sequence of a part's clips: every pass in another order."""

  def __init__(self, clips: Sequence[records.Record], *, seed: int):
    self._clips = clips
    self._seed = _stage(seed, _SHUFFLE)

  def __getitem__(self, number: int) -> records.Record:
    done, place = divmod(number, len(self._clips))
    shuffled = grain.experimental.index_shuffle(
      place,
      max_index=len(self._clips) - 1,
      seed=(self._seed + done) % 2**32,
      rounds=4,
    )
    return self._clips[shuffled]


class _Batches:
  """A stream's batches, of which each host makes its share.

  What could be a chain of Grain's datasets, a node for every thing that is done
  to a clip, is a loop: the nodes took as long as reading did. Orders and draws
  are the chain's.
  """

  def __init__(self, stream: Stream, *, seed: int, host: int, hosts: int):
    parts = stream.parts
    seeds = [seed] if len(parts) == 1 else _seeds(seed, len(parts))
    # Those without a share had seeds all the same: the others' stay theirs.
    used = [i for i, part in enumerate(parts) if part.share]
    self._passes = [_Passes(parts[i].clips, seed=seeds[i]) for i in used]
    self._shares = mixture.whole([parts[i].share for i in used])
    self._make_example = stream.make_example
    self._size = stream.batch_size // hosts
    self._host, self._hosts = host, hosts
    self._seed = _stage(seed, _DRAWS)

  def __getitem__(self, number: int) -> Batch:
    rng = np.random.Generator(np.random.Philox(self._seed))
    fresh = rng.bit_generator.state
    made = []
    for place in range(number * self._size, (number + 1) * self._size):
      # Of all hosts' clips, whose draws follow it.
      position = self._host + self._hosts * place
      fresh["state"]["counter"][3] = position
      rng.bit_generator.state = fresh
      part, turn = mixture.turn(position, self._shares)
      made.append(self._make_example(self._passes[part][turn], rng))
    return {name: np.stack([one[name] for one in made]) for name in made[0]}


class _Steps:
  """The batches of several streams, one a step."""

  def __init__(self, streams: Sequence[_Batches], shares: Sequence[int]):
    self._streams = streams
    self._shares = shares

  def __len__(self) -> int:
    return sys.maxsize

  def __getitem__(self, step: int) -> Batch:
    stream, number = mixture.turn(step, self._shares)
    return self._streams[stream][number]


# Where the shuffle and the draws were in the chain, from its seed on.
_SHUFFLE, _DRAWS = 1, 3


def _stage(seed: int, place: int) -> int:
  """The seed that Grain gives to a node of a chain."""
  return int(np.random.SeedSequence([seed, place]).generate_state(1)[0])


def _seeds(seed: int, count: int) -> list[int]:
  """Seeds that have nothing to do with each other; Grain takes 32 bits."""
  children = np.random.SeedSequence(seed).spawn(count)
  return [int(child.generate_state(1)[0]) for child in children]
