"""The denoiser's task on yard records, at a tiny size: data to release."""

import pathlib

import jax
import numpy as np
import pytest
import tiny_release

from data_prep import encode
from vta.conditioning import inputs
from vta.data import records
from vta.data.yard import record as yard_record
from vta.data.yard import stage
from vta.encoders import text
from vta.inference import generator
from vta.interop import release
from vta.training import configs, loop
from vta.training.tasks import denoiser

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  """Latent records of three short clips, one of them masked."""
  folder = tmp_path_factory.mktemp("records")

  def rendered():
    for index in range(3):
      staged = stage.sample_scene(5, index, duration=2.0)
      heard = (0,) if index == 2 and staged.sources else None
      yield yard_record.record(staged, heard=heard)

  (wave_shard,) = records.write_shards(
    folder / "waves", rendered(), shard_size=3
  )
  codec = release.load(tiny_release.folder())
  records.write_shards(
    folder / "latents",
    encode.encode_records(
      records.Shards([wave_shard]),
      encode_wave=encode.wave_encoder(codec),
      texts=text.TextEncoder.load(),
      captions=2,
    ),
    shard_size=3,
  )
  return folder / "latents"


@pytest.fixture
def config(shards):
  """configs/foley.py:starter at the size of the tiny release."""
  return configs.load(
    f"{ROOT}/configs/foley.py:starter",
    [
      f"codec={tiny_release.folder()}",
      f"data.train=('{shards}',)",
      f"data.validation=('{shards}',)",
      "data.validation_batch=1",
      "data.validation_batches=2",
      "batch_size=2",
      "clip.window=32",
      "conditioner.vector_width=8",
      "conditioner.frames.widths=(4, 4, 4, 4)",
      "conditioner.frames.features=8",
      "denoiser.latents=8",
      "denoiser.width=16",
      "denoiser.depth=1",
      "denoiser.heads=1",
      "denoiser.cross_heads=1",
      "denoiser.condition_width=8",
      "steps=3",
      "evaluate_every=3",
      "save_every=3",
    ],
  )


def test_training_writes_a_release_that_generates(config, tmp_path):
  assert loop.train(denoiser.DenoiserTask(config), config, tmp_path) == 0
  made = generator.Generator(tmp_path / "release")
  job = generator.Job(
    duration=1.0,
    frames=None,
    track=generator.cues.Track(),
    seed=0,
  )
  (wave,) = made.generate([job], made.settings)
  assert wave.shape == (44_100, 2)
  assert np.isfinite(wave).all()


def test_an_example_is_cut_where_it_says(config, shards):
  task = denoiser.DenoiserTask(config)
  record = records.Shards([shards])[0]
  latents = record.arrays["latent_mean"].astype(np.float32)
  made = denoiser.training_example(
    record,
    np.random.default_rng(1),
    system=task.system,
    mean=np.full(8, 0.1, np.float32),
    std=np.full(8, 2.0, np.float32),
  )
  start, total = made["timing"]
  first = round(float(start) * 44_100 / 2048)
  np.testing.assert_allclose(
    made["latent_mean"],
    (latents[first : first + 32] - 0.1) / 2.0,
    atol=1e-5,
  )
  assert total == 2.0
  assert made["asked"].all() or not len(record.arrays["object_vectors"])
  # The frame a latent looks at is the one that its time stamp asks for.
  times = record.arrays["frame_times"]
  begin = np.searchsorted(times, start, side="right") - 1
  seen = record.arrays["frames"][begin + made["frame_left"][10]]
  np.testing.assert_array_equal(made["frames"][made["frame_left"][10]], seen)


def test_drops_follow_their_probabilities(config):
  count = 20_000
  keep = np.asarray(denoiser.draw_keep(jax.random.key(0), count, config.drop))
  drop = config.drop
  nothing = (~keep).all(axis=1).mean()
  other = 1.0 - drop.all - drop.all_but_frames
  expected = drop.all + other * np.prod(
    [drop.entries[name] for name in inputs.NAMES]
  )
  assert nothing == pytest.approx(expected, abs=0.01)
  for i, name in enumerate(inputs.NAMES):
    share = other * (1.0 - drop.entries[name])
    share += drop.all_but_frames * (name == "frames")
    assert keep[:, i].mean() == pytest.approx(share, abs=0.015)


def test_the_posterior_is_drawn_or_not(config):
  task = denoiser.DenoiserTask(config)
  batch = {
    "latent_mean": np.zeros((1, 400, 8), np.float32),
    "latent_std": np.full((1, 400, 8), 3.0, np.float32),
  }
  drawn = task._draw(batch, jax.random.key(0))
  np.testing.assert_array_equal(drawn, 0.0)
  with config.unlocked():
    config.posterior = 0.5
  drawn = task._draw(batch, jax.random.key(0))
  assert float(drawn.std()) == pytest.approx(1.5, rel=0.05)
