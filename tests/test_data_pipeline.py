"""Batches are a function of (seed, position): any threads, hosts or restart."""

import itertools

import numpy as np
import pytest

from vta.data import pipeline, records

CLIPS = 11


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> records.Shards:
  """Clips that can be told from each other by their first sample."""
  folder = tmp_path_factory.mktemp("shards")
  clips = (
    records.Record(
      arrays={"wave": np.full((8, 2), i, np.int16)},
      meta={"id": str(i), "duration": 1.0},
    )
    for i in range(CLIPS)
  )
  records.write_shards(folder, clips, shard_size=4)
  return records.Shards([folder])


def example(record: records.Record, rng: np.random.Generator):
  """Which clip, and a draw that only depends on its place in the order."""
  return {
    "clip": record.arrays["wave"][0, 0],
    "draw": rng.integers(1 << 62),
  }


def take(source, count, *, batch_size=4, seed=3, **options):
  """The first batches as arrays [count, batch] of clips and of draws."""
  batches = pipeline.batches(
    source, example, batch_size=batch_size, seed=seed, **options
  )
  taken = list(itertools.islice(batches, count))
  return (
    np.stack([batch["clip"] for batch in taken]),
    np.stack([batch["draw"] for batch in taken]),
  )


def test_any_number_of_threads_gives_the_same_batches(source):
  clips, draws = take(source, 12, threads=1)
  for threads in (2, 5):
    again, drawn = take(source, 12, threads=threads)
    np.testing.assert_array_equal(again, clips)
    np.testing.assert_array_equal(drawn, draws)


def test_batches_of_one_are_the_same_clips(source):
  clips, draws = take(source, 6)
  again, drawn = take(source, 24, batch_size=1)
  np.testing.assert_array_equal(again[:, 0], clips.ravel())
  np.testing.assert_array_equal(drawn[:, 0], draws.ravel())


@pytest.mark.parametrize("start", [1, 4, 9])
def test_resuming_continues_exactly(source, start):
  clips, draws = take(source, 12)
  again, drawn = take(source, 12 - start, start=start)
  np.testing.assert_array_equal(again, clips[start:])
  np.testing.assert_array_equal(drawn, draws[start:])


@pytest.mark.parametrize("start", [0, 5])
def test_hosts_share_the_same_global_batches(source, start):
  clips, draws = take(source, 8, start=start)
  for hosts in (2, 4):
    parts = [
      take(source, 8, start=start, host=host, hosts=hosts)
      for host in range(hosts)
    ]
    assert parts[0][0].shape == (8, 4 // hosts)
    # Draws tell every visit of a clip apart, so sorting loses nothing.
    shared = np.concatenate([drawn for _, drawn in parts], axis=1)
    np.testing.assert_array_equal(np.sort(shared), np.sort(draws))
    shared = np.concatenate([clip for clip, _ in parts], axis=1)
    np.testing.assert_array_equal(np.sort(shared), np.sort(clips))


def test_every_epoch_shows_each_clip_once_in_a_new_order(source):
  clips, draws = take(source, 3, batch_size=CLIPS)
  for epoch in clips:
    assert sorted(epoch) == list(range(CLIPS))
  orders = {tuple(epoch.tolist()) for epoch in clips}
  assert len(orders) == 3
  assert len(np.unique(draws)) == draws.size


def test_another_seed_is_another_order_and_other_draws(source):
  clips, draws = take(source, 4)
  others, drawn = take(source, 4, seed=4)
  assert not np.array_equal(clips, others)
  assert not np.intersect1d(draws, drawn).size


def test_a_batch_that_hosts_cannot_share_is_refused(source):
  with pytest.raises(ValueError, match="no multiple of 3"):
    take(source, 1, hosts=3)


def test_evaluation_is_in_file_order_and_the_same_every_time(source):
  def evaluate(count):
    return pipeline.evaluation_batches(
      source, example, batch_size=4, count=count
    )

  one, two = evaluate(2), evaluate(2)
  np.testing.assert_array_equal(
    np.stack([batch["clip"] for batch in one]).ravel(), np.arange(8)
  )
  for a, b in zip(one, two, strict=True):
    np.testing.assert_array_equal(a["draw"], b["draw"])
  with pytest.raises(ValueError, match="the set has 2"):
    evaluate(3)
