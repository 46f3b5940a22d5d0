"""The predictor's task: it learns, and a denoiser can use its eyes."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_release

from data_prep import encode, see
from vta import errors
from vta.conditioning import frames as frames_lib
from vta.data import records
from vta.data.yard import record as yard_record
from vta.data.yard import stage
from vta.interop import release
from vta.training import configs, loop
from vta.training.tasks import predictor

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  """Latents of two short clips with something to see, one of them masked."""
  staged = [stage.sample_scene(5, i, duration=2.0) for i in range(40)]
  staged = [s for s in staged if len(s.sources) == 2][:2]
  encode_wave = encode.wave_encoder(release.load(tiny_release.folder()))

  def encoded(record):
    arrays = dict(record.arrays)
    mean, std = encode_wave(arrays.pop("wave").astype(np.float32) / 32768.0)
    latents = {"latent_mean": mean, "latent_std": std}
    latents = {k: v.astype(np.float16) for k, v in latents.items()}
    return records.Record(arrays={**arrays, **latents}, meta=record.meta)

  (shard,) = records.write_shards(
    tmp_path_factory.mktemp("records"),
    [
      encoded(yard_record.record(staged[0])),
      encoded(yard_record.record(staged[1], heard=(0,))),
    ],
    shard_size=2,
  )
  return shard


@pytest.fixture
def config(shards):
  return configs.load(
    f"{ROOT}/configs/predictor.py",
    [
      f"codec={tiny_release.folder()}",
      f"data.train=('{shards}',)",
      f"data.validation=('{shards}',)",
      "data.validation_batch=2",
      "data.validation_batches=1",
      "batch_size=2",
      "clip.window=32",
      "frames.widths=(4, 8, 8, 16)",
      "frames.features=16",
      "optimizer.warmup=0.9",
      "steps=90",
      "evaluate_every=90",
      "save_every=90",
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
  assert after["validation/latents"] < 0.8 * before["validation/latents"]


def test_it_starts_from_another_s_eyes(config, tmp_path):
  plain = predictor.PredictorTask(config).init(jax.random.key(0))["predictor"]
  start = jax.tree.map(
    lambda x: np.full(x.shape, 0.25, np.float32), plain["frame_encoder"]
  )
  release.save(tmp_path, config={}, parts={"frame_encoder": start}, card="")
  with config.unlocked():
    config.frames_from = str(tmp_path)
  made = predictor.PredictorTask(config).init(jax.random.key(0))["predictor"]
  for leaf in jax.tree.leaves(made.pop("frame_encoder")):
    np.testing.assert_array_equal(leaf, 0.25)
  plain.pop("frame_encoder")
  jax.tree.map(np.testing.assert_array_equal, made, plain)


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
  # The tiny release's latents have mean 0.1 and deviation 2.
  whole = (record.arrays["latent_mean"].astype(np.float32) - 0.1) / 2.0
  first = round(start * 44_100 / 2048)
  np.testing.assert_allclose(
    made["latents"], whole[first : first + 32], atol=1e-5
  )


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
        f"codec={tiny_release.folder()}",
        f"data.train=('{shard}',)",
        f"data.validation=('{shard}',)",
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
  batch["latents"][:, 16:] = 5.0
  after = task._evaluate(params, batch)
  np.testing.assert_allclose(after["loudness"], before["loudness"], rtol=1e-6)
  np.testing.assert_allclose(after["events"], before["events"], rtol=1e-6)
  np.testing.assert_allclose(after["latents"], before["latents"], rtol=1e-6)
  batch["events"][:, :16] = 1.0 - batch["events"][:, :16]
  assert not np.allclose(
    task._evaluate(params, batch)["events"], after["events"]
  )


def test_silence_has_no_timbre(config):
  task = predictor.PredictorTask(config)
  batch = {k: np.asarray(v) for k, v in next(task.batches(0)).items()}
  params = task.init(jax.random.key(1))["predictor"]
  batch["loudness"][:, :16] = 0.0
  before = task._evaluate(params, batch)
  batch["latents"][:, :16] += 5.0
  after = task._evaluate(params, batch)
  np.testing.assert_allclose(after["latents"], before["latents"], rtol=1e-6)


@pytest.fixture
def seen(config, shards, tmp_path, monkeypatch, capsys):
  """The clips as an untrained predictor sees them, and that predictor."""
  with config.unlocked():
    config.steps = 0
  task = predictor.PredictorTask(config)
  params = task.init(jax.random.key(0))
  task.release(params, tmp_path / "predictor")
  command = ["see", "--records", str(shards.parent)]
  command += ["--predictor", str(tmp_path / "predictor")]
  monkeypatch.setattr("sys.argv", [*command, "--out", str(tmp_path / "seen")])
  assert see.main() == 0
  return tmp_path


def test_pictures_are_what_the_encoder_makes_of_the_masked_frames(seen, shards):
  plain, made = records.Shards([shards]), records.Shards([seen / "seen"])
  encoder = release.load(seen / "predictor").parts["frame_encoder"]
  for before, after in zip(plain, made, strict=True):
    assert not {"frames", "mask"} & after.arrays.keys()
    frames = before.arrays["frames"]
    mask = before.mask
    if mask is None:
      mask = np.full(frames.shape[:3], 255, np.uint8)
    config = frames_lib.FrameEncoderConfig(widths=(4, 8, 8, 16), features=16)
    expected = frames_lib.FrameEncoder(config).apply(
      {"params": encoder}, jnp.asarray(frames)[None], jnp.asarray(mask)[None]
    )[0]
    # Padding shows at the clip's end: copies of a frame have no motion.
    np.testing.assert_allclose(
      after.arrays["pictures"][:-4], expected[:-4], atol=0.02
    )
    assert ("whole_pictures" in after.arrays) == (before.mask is not None)
  # The last one is masked.
  whole = frames_lib.FrameEncoder(config).apply(
    {"params": encoder},
    jnp.asarray(frames)[None],
    jnp.full_like(mask, 255)[None],
  )[0]
  np.testing.assert_allclose(
    after.arrays["whole_pictures"][:-4], whole[:-4], atol=0.02
  )


def test_pictures_of_another_predictor_are_not_kept(seen, capsys):
  capsys.readouterr()
  assert see.main() == 0
  assert "1 of 1 shards were there" in capsys.readouterr().out
  made = release.load(seen / "predictor")
  parts = jax.tree.map(lambda x: x + 1.0, made.parts)
  release.save(seen / "predictor", config=made.config, parts=parts, card="")
  with pytest.raises(errors.InputError, match=r"seen: .*other pictures_by"):
    see.main()
