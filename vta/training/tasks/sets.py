"""The training and the validation set of a task's config."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np

from vta import errors
from vta.data import buckets, mixture, pipeline, records


class Sets:
  """What the section "data" names, as batches of a task's examples."""

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    example: pipeline.MakeExample,
    *,
    validation_batch: int,
    window: int = 0,
  ):
    """`window` is of whom data.divisions divides the windows of.

    Their `example` takes one, in latents; without it, it is the whole.
    """
    self._config = config
    self._example = example
    self._validation_batch = validation_batch
    divisions = config.data.get("divisions", (1,))
    # Asked here, and not when the first batch is wanted.
    buckets.windows(window, divisions)
    self._divisions = divisions
    self._window = window

  def batches(self, start: int) -> Iterator[pipeline.Batch]:
    """Endless training batches from batch `start` on; this host's share."""
    return pipeline.batches(
      self._streams(),
      seed=self._config.seed,
      start=start,
      host=jax.process_index(),
      hosts=jax.process_count(),
    )

  def _streams(self) -> list[pipeline.Stream]:
    """One, or one for every division of the window."""
    parts = mixture.read(self._config.data.train)
    size = self._config.batch_size
    if tuple(self._divisions) == (1,):
      return [
        pipeline.Stream(
          parts=parts, make_example=self._example, batch_size=size
        )
      ]
    return [
      pipeline.Stream(
        parts=bucket.parts,
        make_example=functools.partial(self._example, window=bucket.window),
        batch_size=size * bucket.times,
        share=bucket.share,
      )
      for bucket in buckets.split(
        parts, window=self._window, divisions=self._divisions
      )
    ]

  @functools.cached_property
  def validation(self) -> list[pipeline.Batch]:
    """The batches that every evaluation of every run looks at.

    As many as data.validation_batches says; 0 is all that the set fills.
    """
    data = self._config.data
    if self._validation_batch < 1:
      raise errors.InputError(
        "config: data.validation_batch",
        f"is {self._validation_batch}, it must be 1 or more",
      )
    shards = records.Shards(data.validation)
    available = len(shards) // self._validation_batch
    if max(data.validation_batches, 1) > available:
      raise errors.InputError(
        ", ".join(data.validation),
        f"holds {len(shards)} clips: not enough for "
        f"{max(data.validation_batches, 1)} batches of "
        f"{self._validation_batch}",
      )
    return pipeline.evaluation_batches(
      shards,
      self._example,
      batch_size=self._validation_batch,
      count=data.validation_batches or available,
    )

  def evaluate(
    self, rows: Callable[[pipeline.Batch, int], Mapping[str, Any]]
  ) -> Mapping[str, float]:
    """Means over the validation batches of what `rows(batch, number)` says."""
    found = [rows(batch, i) for i, batch in enumerate(self.validation)]
    return {
      f"validation/{name}": float(np.mean([row[name] for row in found]))
      for name in found[0]
    }
