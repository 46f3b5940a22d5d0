"""The codec's task: both forms train, and their releases load."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vta import errors
from vta.data import records
from vta.data.yard import record as yard_record
from vta.data.yard import stage
from vta.interop import release
from vta.training import configs, loop, system
from vta.training.tasks import codec

ROOT = pathlib.Path(__file__).parents[1]
SMALL = [
  "batch_size=2",
  "data.validation_batches=1",
  "evaluate_every=100",
  "save_every=100",
  "log_every=1",
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  """Records without pictures, all that a codec needs."""
  folder = tmp_path_factory.mktemp("shards")
  scenes = (stage.sample_scene(3, i, duration=1.0) for i in range(3))
  made = (yard_record.record(scene, pictures=False) for scene in scenes)
  records.write_shards(folder, made, shard_size=4)
  return folder


def load(variant, shards, *overrides):
  sets = (f"data.{name}=('{shards}',)" for name in ("train", "validation"))
  location = f"{ROOT}/configs/codec.py{variant}"
  return configs.load(location, [*SMALL, *sets, *overrides])


@pytest.fixture
def starter(shards):
  return load(
    ":starter",
    shards,
    "steps=2",
    "crop=16384",
    "codec.latents=6",
    "codec.width=8",
    "spectral.ffts=(512,)",
  )


def test_the_starters_form_trains_from_the_levels(starter, tmp_path):
  assert loop.train(codec.CodecTask(starter), starter, tmp_path) == 0
  made = release.load(tmp_path / "release")
  model = system.codec(made.config["codec"])
  wave = 0.1 * np.random.default_rng(0).normal(size=(1, 16_384, 2))
  wave = jnp.asarray(wave, jnp.float32)
  posterior = jax.jit(
    lambda wave: model.apply(
      {"params": made.parts["codec"]}, wave, method="encode"
    )
  )(wave)
  assert posterior.mean.shape == (1, 8, 6)
  assert len(made.config["latent_mean"]) == 6
  assert len(set(made.config["latent_std"])) == 1


def test_frozen_parts_of_a_codec_stay(starter, tmp_path):
  assert loop.train(codec.CodecTask(starter), starter, tmp_path / "a") == 0
  with starter.unlocked():
    starter.init_from = str(tmp_path / "a/release")
    starter.frozen = ("encoder", "levels_in")
    starter.seed = 1
  assert loop.train(codec.CodecTask(starter), starter, tmp_path / "b") == 0
  first, second = (release.load(tmp_path / run / "release") for run in "ab")
  # Latents that are made mean what they did, whatever crops this run saw.
  assert first.config == second.config
  before, after = first.parts["codec"], second.parts["codec"]
  for part in ("encoder", "levels_in"):
    jax.tree.map(np.testing.assert_array_equal, before[part], after[part])
  moved = jax.tree.map(
    lambda x, y: bool(np.any(x != y)), before["decoder"], after["decoder"]
  )
  assert any(jax.tree.leaves(moved))


def test_the_published_form_trains_against_its_discriminator(shards, tmp_path):
  """One step alone, then the codec and the discriminator in turns."""
  config = load(
    "",
    shards,
    "steps=4",
    "crop=4096",
    "codec.latents=4",
    "codec.width=4",
    "codec.multiples=(1, 2)",
    "codec.strides=(2, 4)",
    "codec.dilations=(1,)",
    "spectral.ffts=(512,)",
    "adversarial.start=1",
    "discriminator.filters=2",
    "discriminator.ffts=(256,)",
  )
  task = codec.CodecTask(config)
  assert [phase.group for phase in task.phases] == [
    "codec",
    "codec",
    "discriminator",
  ]
  assert loop.train(task, config, tmp_path) == 0
  metrics = (tmp_path / "metrics.jsonl").read_text()
  for name in ("codec/spectral", "codec/matching", "discriminator/loss"):
    assert f'"{name}"' in metrics
  assert set(release.load(tmp_path / "release").parts) == {"codec"}


def test_levels_need_groups(starter):
  with starter.unlocked():
    starter.codec.groups = ()
  with pytest.raises(errors.InputError, match=r"weights\.level: levels are of"):
    codec.CodecTask(starter)
