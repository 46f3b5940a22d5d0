"""The predictor's task: it learns, and a denoiser can start from its eyes."""

import pathlib

import jax
import numpy as np
import pytest

from vta.data import records
from vta.data.yard import record as yard_record
from vta.data.yard import stage
from vta.interop import release
from vta.training import configs, loop
from vta.training.tasks import predictor

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  """Two short clips with something to see, one of them masked."""
  staged = [stage.sample_scene(5, i, duration=2.0) for i in range(40)]
  staged = [s for s in staged if len(s.sources) == 2][:2]
  (shard,) = records.write_shards(
    tmp_path_factory.mktemp("records"),
    [
      yard_record.record(staged[0]),
      yard_record.record(staged[1], heard=(0,)),
    ],
    shard_size=2,
  )
  return shard


@pytest.fixture
def config(shards):
  return configs.load(
    f"{ROOT}/configs/predictor.py",
    [
      f"data.train=('{shards}',)",
      f"data.validation=('{shards}',)",
      "data.validation_batch=2",
      "data.validation_batches=1",
      "batch_size=2",
      "clip.window=32",
      "frames.widths=(4, 8, 8, 16)",
      "frames.features=16",
      "optimizer.warmup=0.9",
      "steps=60",
      "evaluate_every=60",
      "save_every=60",
    ],
  )


def test_it_learns_two_clips_by_heart(config, tmp_path):
  task = predictor.PredictorTask(config)
  before = task.evaluate(task.init(jax.random.key(0)))
  assert loop.train(task, config, tmp_path) == 0
  made = release.load(tmp_path / "release")
  params = {**made.parts["heads"], "frame_encoder": made.parts["frame_encoder"]}
  after = task.evaluate({"predictor": params})
  assert after["validation/loudness"] < 0.6 * before["validation/loudness"]
  assert after["validation/events"] < 0.8 * before["validation/events"]


def test_an_example_holds_the_stretch_s_own_signals(config, shards):
  task = predictor.PredictorTask(config)
  record = records.Shards([shards])[1]
  made = task._example(record, np.random.default_rng(0))
  assert made["valid"].all()
  assert made["mask"].min() == 0
  assert made["mask"].max() == 255
  assert made["asked"].sum() == 3  # frames, loudness, events
  start = float(made["timing"][0])
  times = start + (np.arange(32) + 0.5) * 2048 / 44_100
  curve = np.stack(
    [
      np.interp(times, record.arrays["loudness_times"], channel)
      for channel in record.arrays["loudness"].T
    ],
    axis=1,
  )
  np.testing.assert_allclose(made["loudness"], curve / 70.0 + 1.0, atol=1e-5)


def test_a_tower_s_features_are_read(shards, tmp_path):
  whole = records.Shards([shards])[0]
  rng = np.random.default_rng(0)
  features = rng.normal(size=(len(whole.arrays["frames"]), 5))
  (shard,) = records.write_shards(
    tmp_path,
    [
      records.Record(
        arrays={**whole.arrays, "frame_features": features.astype(np.float16)},
        meta=whole.meta,
      )
    ],
    shard_size=1,
  )
  task = predictor.PredictorTask(
    configs.load(
      f"{ROOT}/configs/predictor.py:tower",
      [
        f"data.train=('{shard}',)",
        "batch_size=2",
        "clip.window=32",
        "frames.widths=(4, 8, 8, 16)",
        "frames.features=16",
        "frames.tower=5",
      ],
    )
  )
  params = task.init(jax.random.key(1))["predictor"]
  batch = next(task.batches(0))
  before = task._evaluate(params, batch)
  other = {**batch, "frame_features": -batch["frame_features"]}
  after = task._evaluate(params, other)
  assert abs(float(after["events"] - before["events"])) > 1e-3


def test_only_valid_latents_count(config):
  task = predictor.PredictorTask(config)
  batch = {k: np.asarray(v) for k, v in next(task.batches(0)).items()}
  params = task.init(jax.random.key(1))["predictor"]
  batch["valid"][:, 16:] = False
  before = task._evaluate(params, batch)
  batch["loudness"][:, 16:] = 0.0
  batch["events"][:, 16:] = 1.0
  after = task._evaluate(params, batch)
  np.testing.assert_allclose(after["loudness"], before["loudness"], rtol=1e-6)
  np.testing.assert_allclose(after["events"], before["events"], rtol=1e-6)
  batch["events"][:, :16] = 1.0 - batch["events"][:, :16]
  assert not np.allclose(
    task._evaluate(params, batch)["events"], after["events"]
  )
