"""Records to batches: shuffled, cropped and resumable by arithmetic (Grain).

The order and every random choice are functions of (seed, position), and the
position of a training step is `step * batch_size`: nothing about the pipeline
needs saving, and a run resumes exactly, on any number of hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import grain
import numpy as np

from vta.data import records

Batch = Mapping[str, np.ndarray]
# (record, generator) -> example: what a task makes of a clip.
MakeExample = Callable[[records.Record, np.random.Generator], Batch]


def batches(
  source: records.Shards,
  make_example: MakeExample,
  *,
  batch_size: int,
  seed: int,
  start: int = 0,
  host: int = 0,
  hosts: int = 1,
  threads: int = 2,
) -> Iterator[Batch]:
  """Endless training batches, from batch number `start` on.

  The global batch of a step holds the same clips for any number of hosts; each
  host reads its own share, so `batch_size` is the global one.
  """
  if batch_size % hosts:
    raise ValueError(f"batch size {batch_size} is no multiple of {hosts} hosts")
  dataset = (
    grain.MapDataset.source(source)
    .seed(seed)
    .shuffle()
    .repeat()
    # Before the hosts part: a clip's draws follow its global position.
    .random_map(make_example)[host::hosts]
    # Endless: nothing remains. Rounded up, its length would overflow for 1.
    .batch(batch_size // hosts, drop_remainder=True)
    .to_iter_dataset(
      grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    )
  )
  iterator = iter(dataset)
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
