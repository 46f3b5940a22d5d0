"""The LUFS predictor's task: the looks' own loudness, learned."""

import pathlib

import jax
import numpy as np
import pytest
import test_encoders_dinov2 as tower_lib
import tiny_release

from data_prep import encode
from vta import errors
from vta.data import records
from vta.data.yard import record as yard_record
from vta.data.yard import stage
from vta.encoders import dinov2, text
from vta.interop import release
from vta.training import configs, loop
from vta.training.tasks import lufs

ROOT = pathlib.Path(__file__).parents[1]


def clip(seed, duration=4.0):
  """Looks that tell how loud it is left and right, and nothing else."""
  rng = np.random.default_rng(seed)
  times = (np.arange(int(duration * 6)) + 0.5) / 6
  curve = rng.uniform(-70.0, 0.0, (len(times), 2))
  looks = np.pad(curve / 35.0 + 1.0, ((0, 0), (0, 6)))
  return records.Record(
    arrays={
      "looks": looks.astype(np.float16),
      "loudness": curve.astype(np.float32),
      "loudness_times": times.astype(np.float32),
    },
    meta={"id": f"clip-{seed}", "duration": duration},
  )


@pytest.fixture
def config(tmp_path):
  (shard,) = records.write_shards(
    tmp_path / "records", [clip(seed) for seed in range(4)], shard_size=4
  )
  return configs.load(
    f"{ROOT}/configs/lufs_predictor.py:tiny",
    [
      f"data.train=('{shard}',)",
      f"data.validation=('{shard}',)",
      "data.validation_batch=4",
      "data.validation_batches=1",
      "batch_size=4",
      "frames=16",
      "predictor.width=8",
      "predictor.depth=1",
      "steps=150",
      "evaluate_every=150",
      "save_every=150",
      "optimizer.learning_rate=0.01",
    ],
  )


def test_it_learns_what_the_looks_tell(config, tmp_path):
  task = lufs.LufsTask(config)
  before = task.evaluate(task.init(jax.random.key(0)))
  assert loop.train(task, config, tmp_path / "run") == 0
  made = release.load(tmp_path / "run/release")
  assert made.config["preset"] == "lufs_predictor"
  after = task.evaluate({"predictor": made.parts["predictor"]})
  assert after["validation/squared"] < 0.4 * before["validation/squared"]
  assert after["validation/lu"] < 0.7 * before["validation/lu"]
  assert 5.0 < before["validation/lu"] < 35.0


def test_an_example_s_loudness_is_that_of_its_looks(config):
  task = lufs.LufsTask(config)
  made = task.example(clip(1), np.random.default_rng(0))
  assert made["valid"].all()
  np.testing.assert_allclose(
    2.0 * made["loudness"] - 1.0, made["looks"][:, :2], atol=2e-3
  )
  short = task.example(clip(2, duration=1.0), np.random.default_rng(0))
  np.testing.assert_array_equal(short["valid"], np.arange(16) < 6)
  assert not short["looks"][6:].any()


def test_records_without_looks_are_refused_by_name(config):
  whole = clip(1)
  arrays = {k: v for k, v in whole.arrays.items() if k != "looks"}
  bare = records.Record(arrays=arrays, meta=whole.meta)
  with pytest.raises(errors.InputError, match="no looks: encode"):
    lufs.LufsTask(config).example(bare, np.random.default_rng(0))


def test_looks_are_of_the_frames_shown_at_their_times(tmp_path):
  tower_lib.make(tmp_path)
  tower = dinov2.Encoder.load(tmp_path)
  staged = [stage.sample_scene(5, i, duration=2.0) for i in range(40)]
  staged = next(s for s in staged if len(s.sources) == 2)
  wave = yard_record.record(staged, heard=(0,))
  (made,) = encode.encode_records(
    [wave],
    encode_wave=encode.wave_encoder(release.load(tiny_release.folder())),
    texts=text.TextEncoder.load(),
    captions=1,
    dinov2=tower,
  )
  looks = made.arrays["looks"]
  assert len(looks) == 12
  for i in (0, 5, 11):
    at = np.searchsorted(wave.arrays["frame_times"], (i + 0.5) / 6, "right") - 1
    frame = np.where(
      wave.mask[at, ..., None] > 0, wave.arrays["frames"][at], np.uint8(127)
    )
    expected = tower.encode(frame[None]).pooled[0]
    np.testing.assert_allclose(looks[i], expected, atol=5e-3, rtol=5e-3)
