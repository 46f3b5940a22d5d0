"""The denoiser's task on yard records, at a tiny size: data to release."""

import dataclasses
import pathlib

import batch_shapes
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_release

from data_prep import encode, see
from vta import errors
from vta.conditioning import inputs
from vta.data import records
from vta.data.yard import record as yard_record
from vta.data.yard import stage
from vta.encoders import picture, text
from vta.inference import generator, pictures
from vta.inference import job as job_lib
from vta.interop import release
from vta.signals import cues
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
  # What reads no tower is not to mind that records know one.
  records.write_shards(
    folder / "latents",
    encode.encode_records(
      records.Shards([wave_shard]),
      encode_wave=encode.wave_encoder(codec),
      texts=text.TextEncoder.load(),
      captions=2,
      tower=picture.PictureEncoder.load(),
    ),
    shard_size=3,
  )
  return folder / "latents"


@pytest.fixture
def config(shards):
  """configs/foley.py:starter at the size of the tiny release."""
  return tiny("starter", shards)


@pytest.fixture
def tower_config(shards):
  """The same with the tower."""
  return tiny("starter-tower", shards)


def tiny(variant, shards):
  return configs.load(
    f"{ROOT}/configs/foley.py:{variant}",
    [
      f"codec={tiny_release.folder()}",
      f"data.train=('{shards}',)",
      f"data.validation=('{shards}',)",
      "data.validation_batch=1",
      "data.validation_batches=2",
      "batch_size=2",
      "frames_from=",
      "frozen=()",
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
      "expected.first=1",
      "evaluate_every=3",
      "save_every=3",
    ],
  )


def test_training_writes_a_release_that_generates(config, tmp_path):
  assert loop.train(denoiser.DenoiserTask(config), config, tmp_path) == 0
  made = generator.Generator(tmp_path / "release")
  job = job_lib.Job(
    duration=1.0,
    frames=None,
    track=cues.Track(),
    seed=0,
  )
  (wave,) = made.generate([job], made.settings)
  assert wave.shape == (44_100, 2)
  assert np.isfinite(wave).all()


def test_the_frame_encoder_starts_where_a_predictor_s_ended(config, tmp_path):
  plain = denoiser.DenoiserTask(config).init(jax.random.key(0))["model"]
  start = jax.tree.map(
    lambda x: np.full(x.shape, 0.25, np.float32),
    plain["conditioner"]["frame_encoder"],
  )
  release.save(tmp_path, config={}, parts={"frame_encoder": start}, card="")
  with config.unlocked():
    config.frames_from = str(tmp_path)
  made = denoiser.DenoiserTask(config).init(jax.random.key(0))["model"]
  for leaf in jax.tree.leaves(made["conditioner"].pop("frame_encoder")):
    np.testing.assert_array_equal(leaf, 0.25)
  plain["conditioner"].pop("frame_encoder")
  jax.tree.map(np.testing.assert_array_equal, made, plain)


def test_a_preset_that_is_none_is_refused(config):
  with config.unlocked():
    config.preset = "folly"
  with pytest.raises(errors.InputError, match="'folly' is none of 'foley'"):
    denoiser.DenoiserTask(config)


def test_random_numbers_are_not_frozen(config):
  with config.unlocked():
    config.frozen = ("conditioner/frame_encoder/look",)
  with pytest.raises(errors.InputError, match="random numbers would stay"):
    denoiser.DenoiserTask(config)


@pytest.fixture
def seen_config(config, shards, tmp_path):
  """Trains on pictures by the encoder that it starts from."""
  start = denoiser.DenoiserTask(config).init(jax.random.key(0))["model"]
  encoder = config.conditioner.frames.to_dict()
  release.save(
    tmp_path / "predictor",
    config={
      "preset": "predictor",
      "frames": encoder,
      "clip": {"frame_rate": 15.0, "frame_size": 64},
    },
    parts={"frame_encoder": start["conditioner"]["frame_encoder"]},
    card="",
  )
  eyes = pictures.Pictures(tmp_path / "predictor")
  records.write_shards(
    tmp_path / "seen",
    see.seen_records(records.Shards([shards]), eyes),
    shard_size=3,
  )
  with config.unlocked():
    config.frames_from = str(tmp_path / "predictor")
    config.frozen = ("conditioner/frame_encoder",)
    config.data.train = config.data.validation = (str(tmp_path / "seen"),)
  return config


def test_pictures_train_what_pixels_would(seen_config, shards, tmp_path):
  with seen_config.unlocked():
    # The whole clip: a stretch of pixels does not know what moves at its ends.
    seen_config.clip.window = 48
  made = denoiser.DenoiserTask(seen_config).init(jax.random.key(0))["model"]
  # Zero-initialised layers would hide what is seen.
  noisy = jax.tree.map(
    lambda x: x + 0.2 * jax.random.normal(jax.random.key(x.size), x.shape), made
  )
  noisy["conditioner"]["frame_encoder"] = made["conditioner"]["frame_encoder"]

  def loss(folder):
    with seen_config.unlocked():
      seen_config.data.validation = (str(folder),)
    task = denoiser.DenoiserTask(seen_config)
    return task.evaluate({"model": noisy})["validation/loss"]

  def shuffled():
    rng = np.random.default_rng(0)
    for record in records.Shards([tmp_path / "seen"]):
      seen = rng.permutation(record.arrays["pictures"])
      arrays = {**record.arrays, "pictures": seen}
      yield dataclasses.replace(record, arrays=arrays)

  records.write_shards(tmp_path / "shuffled", shuffled(), shard_size=3)
  by_pictures, by_pixels = loss(tmp_path / "seen"), loss(shards)
  by_others = loss(tmp_path / "shuffled")
  assert by_pictures == pytest.approx(by_pixels, rel=3e-3)
  assert by_others != pytest.approx(by_pixels, rel=2e-2)


def test_a_run_on_pictures_ends_in_a_release_that_reads_pixels(
  seen_config, tmp_path
):
  task = denoiser.DenoiserTask(seen_config)
  assert loop.train(task, seen_config, tmp_path / "run") == 0
  generator.Generator(tmp_path / "run/release")
  parts = release.load(tmp_path / "predictor").parts
  digest = release.digest(parts["frame_encoder"])
  kept = release.load(tmp_path / "run/release").parts["conditioner"]
  assert release.digest(kept["frame_encoder"]) == digest


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("frozen", ("conditioner/frame_encoder/look",), "freeze conditioner/frame"),
    ("frames_from", "other", "another frame encoder"),
  ],
)
def test_pictures_of_another_encoder_are_refused(
  seen_config, tmp_path, field, value, message
):
  if value == "other":
    value = str(tmp_path / value)
    parts = release.load(tmp_path / "predictor").parts
    other = jax.tree.map(lambda x: x + 1.0, parts)
    release.save(value, config={}, parts=other, card="")
  with seen_config.unlocked():
    seen_config[field] = value
  with pytest.raises(errors.InputError, match=message):
    denoiser.DenoiserTask(seen_config)


def test_an_example_is_cut_where_it_says(config, shards):
  task = denoiser.DenoiserTask(config)
  record = records.Shards([shards])[0]
  latents = record.arrays["latent_mean"].astype(np.float32)
  made = task.of_preset.example(record, np.random.default_rng(1))
  batch_shapes.assert_as_promised(task, made)
  start, total = made["timing"]
  first = round(float(start) * 44_100 / 2048)
  np.testing.assert_allclose(
    made["latent_mean"],
    # The tiny release's latents have mean 0.1 and deviation 2.
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


def test_a_record_s_tower_sees_what_its_mask_shows(shards):
  encoder = picture.PictureEncoder.load()
  masked = 0
  for record in records.Shards([shards]):
    arrays = record.arrays
    seen = encoder.encode(arrays["frames"], record.mask)
    np.testing.assert_allclose(
      arrays["frame_features"], seen, rtol=1e-3, atol=1e-3
    )
    if record.mask is not None and not record.mask.all():
      masked += 1
      whole = encoder.encode(arrays["frames"])
      assert np.abs(whole - arrays["frame_features"]).max() > 0.1
  assert masked


def test_an_example_s_features_are_those_of_its_frames(tower_config, shards):
  task = denoiser.DenoiserTask(tower_config)
  record = records.Shards([shards])[0]
  made = task.of_preset.example(record, np.random.default_rng(1))
  start = made["timing"][0]
  times = record.arrays["frame_times"]
  begin = np.searchsorted(times, start, side="right") - 1
  assert begin > 0
  for i in (0, made["frame_left"][10], made["frame_left"][31]):
    for name in ("frames", "frame_features"):
      np.testing.assert_array_equal(
        made[name][i], record.arrays[name][begin + i]
      )


def test_records_without_features_are_refused_by_name(tower_config, shards):
  task = denoiser.DenoiserTask(tower_config)
  whole = records.Shards([shards])[0]
  arrays = {k: v for k, v in whole.arrays.items() if k != "frame_features"}
  bare = records.Record(arrays=arrays, meta=whole.meta)
  with pytest.raises(errors.InputError, match="--tower efficientnet-lite0"):
    task.of_preset.example(bare, np.random.default_rng(0))


def test_training_with_a_tower_writes_a_release_that_loads(
  tower_config, tmp_path
):
  assert (
    loop.train(denoiser.DenoiserTask(tower_config), tower_config, tmp_path) == 0
  )
  made = generator.Generator(tmp_path / "release")
  assert made.system.geometry(32).tower == picture.WIDTH


def test_drops_follow_their_probabilities(config):
  count = 20_000
  of_preset = denoiser.DenoiserTask(config).of_preset
  keep = np.asarray(of_preset.draw_keep(config.drop, jax.random.key(0), count))
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


@pytest.fixture
def without_masks(config):
  """Every masked clip is shown without its mask."""
  with config.unlocked():
    config.drop.mask = 1.0
  return config


def test_a_clip_without_its_mask_keeps_its_objects(without_masks, shards):
  task = denoiser.DenoiserTask(without_masks)
  masked = 0
  for record in records.Shards([shards]):
    made = task.of_preset.example(record, np.random.default_rng(0))
    kept = np.array(inputs.NAMES)[made["never_dropped"]].tolist()
    assert made["mask"].all()
    masked += record.mask is not None
    assert kept == ([] if record.mask is None else ["objects"])
  assert masked
  with without_masks.unlocked():
    without_masks.drop.mask = 0.0
  made = task.of_preset.example(record, np.random.default_rng(0))
  assert not made["mask"].all()
  assert not made["never_dropped"].any()


def test_what_is_never_dropped_is_not(without_masks, shards):
  task = denoiser.DenoiserTask(without_masks)
  made = task.of_preset.example(
    records.Shards([shards])[2], np.random.default_rng(0)
  )
  params = task.init(jax.random.key(0))["model"]
  with without_masks.unlocked():
    without_masks.drop.all = 1.0  # read when conditions are made

  def block(never):
    batch = {k: jnp.asarray(v)[None] for k, v in made.items()}
    batch["never_dropped"] = jnp.full((1, len(inputs.NAMES)), never)
    made_of = task.objective.conditions(params, batch, jax.random.key(1))
    return np.asarray(made_of.block["objects"])[0]

  null = np.asarray(params["conditioner"]["null_objects"])
  np.testing.assert_array_equal(block(False), np.tile(null, (32, 1)))
  assert np.abs(block(True) - null).max() > 1e-3


def test_a_tower_and_pictures_show_what_is_behind_a_mask(
  tower_config, seen_config, shards, tmp_path
):
  for config, folder, name in (
    (tower_config, shards, "frame_features"),
    (seen_config, tmp_path / "seen", "pictures"),
  ):
    with config.unlocked():
      config.drop.mask = 1.0
    task = denoiser.DenoiserTask(config)
    record = records.Shards([folder])[2]
    made = task.of_preset.example(record, np.random.default_rng(0))
    first = np.searchsorted(
      record.arrays["frame_times"], made["timing"][0], side="right"
    )
    whole = record.arrays[f"whole_{name.removeprefix('frame_')}"]
    np.testing.assert_array_equal(made[name][0], whole[max(first - 1, 0)])
    assert np.abs(record.arrays[name] - whole).max() > 0.01


def test_the_posterior_is_drawn_or_not(config):
  task = denoiser.DenoiserTask(config)
  batch = {
    "latent_mean": np.zeros((1, 400, 8), np.float32),
    "latent_std": np.full((1, 400, 8), 3.0, np.float32),
  }
  drawn = task.objective.draw(batch, jax.random.key(0))
  np.testing.assert_array_equal(drawn, 0.0)
  with config.unlocked():
    config.posterior = 0.5
  drawn = task.objective.draw(batch, jax.random.key(0))
  assert float(drawn.std()) == pytest.approx(1.5, rel=0.05)
