"""Batches are a function of (seed, step): any threads, hosts or restart."""

import collections
import fractions
import hashlib
import itertools
import json
import math

import grain
import numpy as np
import pytest

from vta import errors
from vta.data import buckets, lengths, mixture, pipeline, records

CLIPS, OTHERS = 11, 6


def write(folder, first, count):
  """Clips that can be told from each other by their first sample."""
  clips = (
    records.Record(
      arrays={"wave": np.full((8, 2), first + i, np.int16)},
      meta={"id": str(i), "duration": 1.0},
    )
    for i in range(count)
  )
  records.write_shards(folder, clips, shard_size=4)
  return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[str, str]:
  return (
    write(tmp_path_factory.mktemp("shards"), 0, CLIPS),
    write(tmp_path_factory.mktemp("others"), CLIPS, OTHERS),
  )


@pytest.fixture(scope="module")
def source(folders) -> records.Shards:
  return records.Shards(folders[:1])


def example(record: records.Record, rng: np.random.Generator):
  """Which clip, and a draw that only depends on its place in the order."""
  return {
    "clip": np.asarray(record.arrays["wave"][0, 0]),
    "draw": np.asarray(rng.integers(1 << 62)),
  }


def take(source, count, *, batch_size=4, seed=3, **options):
  """The first batches as arrays [count, batch] of clips and of draws.

  Of one set, or of what `mixture.read` makes of `data.train`.
  """
  stream = pipeline.Stream(
    parts=mixture.read(source)
    if isinstance(source, tuple)
    else [mixture.Part(clips=source)],
    make_example=example,
    batch_size=batch_size,
  )
  batches = pipeline.batches([stream], seed=seed, **options)
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


def test_the_order_is_a_pass_shuffled_by_its_number(source):
  """Derived anew: Grain's permutation under the seeds that its nodes have."""
  clips, _ = take(source, 3 * CLIPS, batch_size=1)
  (base,) = np.random.SeedSequence([3, 1]).generate_state(1)
  want = [
    grain.experimental.index_shuffle(
      place, max_index=CLIPS - 1, seed=int(base) + done, rounds=4
    )
    for done in range(3)
    for place in range(CLIPS)
  ]
  assert clips[:, 0].tolist() == want


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


@pytest.mark.parametrize(
  ("count", "digest"),
  [
    (1, "9032a1bd1d668c425f05d75725977037f72a57a48bab4469e5c886656243a2f6"),
    (2, "62b8dc77ed8d2f65a16706a3bbc17f639599911c316b26d5cdd2cdece1fa261d"),
  ],
)
def test_a_tuple_of_folders_is_drawn_as_it_was_before_mixtures(
  folders, count, digest
):
  """Golden: what the pipeline before it knew weights and buckets drew."""
  clips, draws = take(folders[:count], 12)
  drawn = clips.astype("<i8").tobytes() + draws.astype("<i8").tobytes()
  assert hashlib.sha256(drawn).hexdigest() == digest


@pytest.mark.parametrize(
  "shares", [(7, 3), (1, 1, 1), (1, 997, 2), (5,), (3, 1, 4, 1, 5)]
)
def test_turns_are_in_proportion_at_any_time_and_miss_none(shares):
  counts = [0] * len(shares)
  for position in range(3 * sum(shares)):
    which, number = mixture.turn(position, shares)
    assert number == counts[which]
    counts[which] += 1
    for count, share in zip(counts, shares, strict=True):
      exact = (position + 1) * share / sum(shares)
      assert abs(count - exact) < len(shares)
  assert counts == [3 * share for share in shares]


def test_shares_are_what_was_written():
  weights = [fractions.Fraction(str(x)) for x in (0.1, 0.25, 3)]
  assert mixture.whole(weights) == (2, 5, 60)


def test_weighted_folders_come_in_their_proportions(folders):
  """Whatever their sizes; within a pass, and a clip of each once per pass."""
  mixed = ((folders[0], 0.3), (folders[1], 0.7))
  clips, draws = take(mixed, 30, batch_size=10)
  others = clips >= CLIPS
  np.testing.assert_array_equal(others.sum(axis=1), 7)
  for here, size in ((clips[~others], CLIPS), (clips[others], OTHERS)):
    passes = here[: len(here) // size * size].reshape(-1, size)
    assert all(len(set(one)) == size for one in passes.tolist())
    assert len({tuple(one) for one in passes.tolist()}) > len(passes) // 2
  assert len(np.unique(draws)) == draws.size


def test_a_folder_of_a_mixture_is_in_the_order_of_its_own_seed(folders):
  clips, _ = take(tuple((folder, 1) for folder in folders), 30, batch_size=2)
  seeds = pipeline._seeds(3, 2)
  for i, folder in enumerate(folders):
    alone, _ = take((folder,), 30, batch_size=1, seed=seeds[i])
    mine = clips[(clips >= CLIPS) == bool(i)]
    np.testing.assert_array_equal(mine, alone[:, 0])


@pytest.mark.parametrize(
  ("train", "says"),
  [
    ((), "names no folder"),
    (("a", ("b", 0.3)), "'a' is no (folder, weight) pair"),
    (("a", 0.7), "'a' is no (folder, weight) pair"),
    ((("a", 0.7, 1), ("b", 0.3)), "('a', 0.7, 1) is no (folder, weight) pair"),
    ((("a", 0), ("b", 1)), "the weight of a is 0, not a number above 0"),
    ((("a", 1), ("b", -0.5)), "the weight of b is -0.5"),
    ((("a", math.nan), ("b", 1)), "the weight of a is nan"),
    ((("a", math.inf), ("b", 1)), "the weight of a is inf"),
    ((("a", "much"), ("b", 1)), "the weight of a is 'much'"),
    ((("a", True), ("b", 1)), "the weight of a is True"),
  ],
)
def test_what_is_no_mixture_is_named(train, says):
  with pytest.raises(errors.InputError) as caught:
    mixture.folders(train)
  assert str(caught.value).startswith("config: data.train")
  assert says in str(caught.value)


# Latents of the clips of two folders; windows of 24, 12 and 6 are divided.
LATENTS = ((3, 6, 7, 30, 12, 5, 24, 10, 11, 6), (22, 6, 13, 19, 20))
WHOLE, DIVISIONS = 24, (1, 2, 4)


@pytest.fixture(scope="module")
def long_and_short(tmp_path_factory) -> tuple[str, ...]:
  """Latent clips; `latent_mean` tells which one, and which frame of it."""
  made = []
  for first, sizes in zip((0, len(LATENTS[0])), LATENTS, strict=True):
    folder = tmp_path_factory.mktemp("latents")
    clips = []
    for i, size in enumerate(sizes):
      latents = np.full((size, 2), first + i, np.float16)
      latents[:, 1] = np.arange(size)
      arrays = {"latent_mean": latents, "latent_std": latents}
      meta = {"id": str(i), "duration": 1.0}
      clips.append(records.Record(arrays=arrays, meta=meta))
    records.write_shards(folder, clips, shard_size=3)
    made.append(str(folder))
  return tuple(made)


def cut(record, rng, window):
  size = len(record.arrays["latent_mean"])
  return {
    "clip": np.asarray(int(record.arrays["latent_mean"][0, 0])),
    "draw": np.asarray(rng.integers(1 << 62)),
    "frames": np.zeros(window),
    "size": np.asarray(size),
  }


def take_buckets(train, count, *, batch_size=4, seed=3, **options):
  streams = [
    pipeline.Stream(
      parts=bucket.parts,
      make_example=lambda record, rng, w=bucket.window: cut(record, rng, w),
      batch_size=batch_size * bucket.times,
      share=bucket.share,
    )
    for bucket in buckets.split(
      mixture.read(train), window=WHOLE, divisions=DIVISIONS
    )
  ]
  batches = pipeline.batches(streams, seed=seed, **options)
  return list(itertools.islice(batches, count))


def test_clips_go_where_they_fill_four_fifths():
  sizes = [size for size, _ in buckets.windows(1292, (1, 2, 3, 4, 6))]
  assert sizes == [216, 323, 431, 646, 1292]
  latents = np.array([1, 216, 258, 259, 344, 345, 517, 1033, 1034, 9999])
  np.testing.assert_array_equal(
    np.array(sizes)[buckets.place(latents, sizes)],
    [216, 216, 216, 323, 323, 431, 646, 646, 1292, 1292],
  )


@pytest.mark.parametrize("divisions", [(), (2, 4), (1, 0), (1, 2.5), (1, 2, 2)])
def test_divisions_that_are_none_are_named(divisions):
  with pytest.raises(errors.InputError, match=r"data\.divisions"):
    buckets.windows(24, divisions)


def test_a_batch_is_of_one_length_and_as_large_as_it_is_short(long_and_short):
  batches = take_buckets(long_and_short, 30)
  seen = collections.Counter()
  for batch in batches:
    count, window = batch["frames"].shape
    assert count * window == 4 * WHOLE
    assert len({len(x) for x in batch.values()}) == 1
    home = {6: (0, 10), 12: (10, 20), 24: (20, 99)}[window]
    assert np.all((home[0] <= batch["size"]) & (batch["size"] < home[1]))
    seen[window] += 1
  # 6, 5 and 4 of 15 clips, in batches of 16, 8 and 4.
  assert seen[6] + seen[12] + seen[24] == 30
  weights = {6: 6 / 16, 12: 5 / 8, 24: 4 / 4}
  for window, weight in weights.items():
    assert abs(seen[window] - 30 * weight / sum(weights.values())) < 2


@pytest.mark.parametrize("weights", [None, (0.25, 0.75)])
def test_buckets_show_every_clip_as_often_as_its_weight_says(
  long_and_short, weights
):
  train = long_and_short
  if weights:
    train = tuple(zip(train, weights, strict=True))
  batches = take_buckets(train, 80)
  visits = np.bincount(np.concatenate([b["clip"] for b in batches]))
  folders = np.split(visits, [len(LATENTS[0])])
  for folder, weight in zip(folders, weights or (10, 5), strict=True):
    total = weight / sum(weights or (10, 5)) * visits.sum()
    # A bucket is ahead of the others by part of a batch, and of its pass.
    np.testing.assert_allclose(folder, total / len(folder), atol=6)
  assert visits.min() > 12


def test_in_a_bucket_a_clip_is_visited_once_per_pass(long_and_short):
  batches = take_buckets(long_and_short, 30)
  for window, size in ((6, 6), (12, 5), (24, 4)):
    here = [b["clip"] for b in batches if b["frames"].shape[1] == window]
    order = np.concatenate(here)
    passes = order[: len(order) // size * size].reshape(-1, size)
    assert all(len(set(one)) == size for one in passes.tolist())


@pytest.mark.parametrize("weights", [None, (0.3, 0.7)])
def test_buckets_do_not_depend_on_threads_hosts_or_restarts(
  long_and_short, weights
):
  train = long_and_short
  if weights:
    train = tuple(zip(train, weights, strict=True))
  batches = take_buckets(train, 11, threads=1)
  assert len({b["frames"].shape for b in batches}) == 3
  for options in ({"threads": 2}, {"threads": 4}, {"start": 7}):
    first = options.get("start", 0)
    again = take_buckets(train, 11 - first, **options)
    for one, two in zip(batches[first:], again, strict=True):
      for name, value in one.items():
        np.testing.assert_array_equal(two[name], value)
  for hosts in (2, 4):
    parts = [
      take_buckets(train, 4, start=7, host=host, hosts=hosts)
      for host in range(hosts)
    ]
    for step, batch in enumerate(batches[7:]):
      for name in ("clip", "draw"):
        shared = [part[step][name] for part in parts]
        # Host h has clips h, h + hosts, ... of the global batch.
        together = np.stack(shared, axis=1).ravel()
        np.testing.assert_array_equal(together, batch[name])


def test_lengths_are_kept_beside_a_shard_and_belong_to_it(tmp_path):
  def latents(count):
    arrays = {"latent_mean": np.zeros((count, 2), np.float16)}
    return records.Record(arrays=arrays, meta={"id": "a", "duration": 1.0})

  (shard,) = records.write_shards(
    tmp_path, map(latents, (3, 5, 4)), shard_size=3
  )
  kept = tmp_path / "00000.lengths.json"
  assert lengths.latents([shard]).tolist() == [3, 5, 4]
  known = json.loads(kept.read_text())
  assert known == {"bytes": shard.stat().st_size, "latents": [3, 5, 4]}
  # What is kept is what is asked, unless it is of another shard of that name.
  kept.write_text(json.dumps({**known, "latents": [7, 7, 7]}))
  assert lengths.latents([shard, shard]).tolist() == [7] * 6
  records.write_shards(tmp_path, map(latents, (300, 5)), shard_size=3)
  assert lengths.latents([shard]).tolist() == [300, 5]
  kept.write_text(json.dumps({"bytes": 1, "latents": [7, 7]}))
  assert lengths.latents([shard]).tolist() == [300, 5]


def test_clips_without_latents_have_no_place_in_buckets(folders):
  with pytest.raises(errors.InputError, match="holds no latents"):
    buckets.split(mixture.read(folders), window=24, divisions=(1, 2))
