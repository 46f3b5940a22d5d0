"""Tri-Ergon from records to a release that scores a clip, at a tiny size."""

import dataclasses
import itertools
import pathlib

import batch_shapes
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import test_encoders_languagebind as towers_lib
import tiny_release
import tiny_stable_audio

from data_prep import encode, see
from vta import errors
from vta.conditioning import frames as frames_lib
from vta.data import records
from vta.data.yard import record as yard_record
from vta.data.yard import stage
from vta.encoders import text
from vta.inference import generator as generator_lib
from vta.inference import job as job_lib
from vta.inference import pictures, windows
from vta.inference import tri_ergon as reader_lib
from vta.interop import release, trees
from vta.media import read, write
from vta.signals import cues, events, loudness
from vta.training import configs, loop
from vta.training.tasks import denoiser

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def towers(tmp_path_factory):
  """LanguageBind's two folders, at random weights."""
  folder = tmp_path_factory.mktemp("languagebind")
  for name, vision in (
    ("video", towers_lib.VIDEO),
    ("audio", towers_lib.AUDIO),
  ):
    (folder / name).mkdir()
    towers_lib.make(folder / name, vision=vision)
  return folder


@pytest.fixture(scope="module")
def waves():
  """Two clips, one of them masked."""
  staged = [stage.sample_scene(5, i, duration=2.0) for i in range(40)]
  staged = [s for s in staged if len(s.sources) == 2][:2]
  return [
    yard_record.record(staged[0]),
    yard_record.record(staged[1], heard=(0,)),
  ]


@pytest.fixture(scope="module")
def shards(towers, waves, tmp_path_factory):
  encoded = encode.encode_records(
    waves,
    encode_wave=encode.wave_encoder(release.load(tiny_release.folder())),
    texts=text.TextEncoder.load(),
    captions=2,
    bound=encode.Bound.load(towers),
  )
  (shard,) = records.write_shards(
    tmp_path_factory.mktemp("records"), encoded, shard_size=2
  )
  return shard


@pytest.fixture
def config(shards):
  return configs.load(
    f"{ROOT}/configs/tri_ergon.py:yard",
    [
      "frames_from=",
      f"codec={tiny_release.folder()}",
      f"data.train=('{shards}',)",
      f"data.validation=('{shards}',)",
      "data.validation_batch=1",
      "data.validation_batches=1",
      "batch_size=2",
      "window=48",
      "conditioner.width=20",
      "conditioner.blocks=12",
      "denoiser.latents=8",
      "denoiser.width=16",
      "denoiser.depth=1",
      "denoiser.heads=1",
      "denoiser.cross_heads=1",
      "denoiser.condition_width=20",
      # Stable Audio's weights have no place for the other.
      "denoiser.conditioning=prepend",
      "guidance.steps=3",
      "steps=2",
      "evaluate_every=2",
      "save_every=2",
    ],
  )


def test_records_gain_the_vectors_of_what_is_shown_and_said(
  towers, waves, shards
):
  bound = encode.Bound.load(towers)
  made = records.Shards([shards])
  for before, after in zip(waves, made, strict=True):
    arrays = after.arrays
    captions = before.meta["captions"][:2]
    assert arrays["text_vectors"].shape == (2, 20)
    np.testing.assert_allclose(
      arrays["text_vectors"], bound.text.encode(captions).embedding, atol=1e-2
    )
    whole = bound.video.encode(before.arrays["frames"][None]).embedding[0]
    same = np.allclose(arrays["video_vector"], whole, atol=2e-3)
    assert same == (before.mask is None)
    wave = before.arrays["wave"][None] / np.float32(32768.0)
    heard = bound.audio.encode(wave, rate=44_100).embedding[0]
    np.testing.assert_allclose(arrays["audio_vector"], heard, atol=2e-3)
    assert not {"frames", "mask", "wave"} & arrays.keys()


def test_an_example_is_a_crop_with_the_clip_s_vectors(config, shards):
  task = denoiser.DenoiserTask(config)
  record = records.Shards([shards])[0]
  made = task.of_preset.example(record, np.random.default_rng(0))
  batch_shapes.assert_as_promised(task, made)
  assert made["asked"].all()
  np.testing.assert_array_equal(made["audio"], record.arrays["audio_vector"])
  np.testing.assert_array_equal(made["video"], record.arrays["video_vector"])
  assert made["text"] in record.arrays["text_vectors"].astype(np.float32)
  start, total = made["timing"]
  assert total == 2.0
  first = round(float(start) * 44_100 / 2048)
  latents = (record.arrays["latent_mean"].astype(np.float32) - 0.1) / 2.0
  count = min(48, len(latents) - first)
  np.testing.assert_allclose(
    made["latent_mean"][:count], latents[first : first + count], atol=1e-5
  )
  assert made["valid"].sum() == count


def test_records_without_vectors_are_refused_by_name(config, shards):
  task = denoiser.DenoiserTask(config)
  whole = records.Shards([shards])[0]
  arrays = {k: v for k, v in whole.arrays.items() if k != "video_vector"}
  bare = records.Record(arrays=arrays, meta=whole.meta)
  with pytest.raises(errors.InputError, match="no video_vector: encode"):
    task.of_preset.example(bare, np.random.default_rng(0))


def test_clips_of_like_length_are_trained_on_together(config, shards, tmp_path):
  """Steps of whole and of half windows; resumed where one follows another."""
  made = list(records.Shards([shards]))
  short = records.Record(
    arrays={
      **made[1].arrays,
      **{k: made[1].arrays[k][:22] for k in ("latent_mean", "latent_std")},
    },
    meta={**made[1].meta, "duration": 22 * 2048 / 44_100},
  )
  records.write_shards(tmp_path / "shards", [made[0], short], shard_size=2)
  folder = str(tmp_path / "shards")
  with config.unlocked():
    config.data.train = ((folder, 1), (str(shards), 0.5))
    config.data.divisions = (1, 2)
    config.data.validation = (folder,)

  task = denoiser.DenoiserTask(config)
  batches = list(itertools.islice(task.batches(0), 6))
  shapes = [batch["latent_mean"].shape for batch in batches]
  assert set(shapes) == {(2, 48, 8), (4, 24, 8)}
  for batch in batches:
    whole = batch["valid"].shape[1] == 48
    # Of the short one all but 2 of 24 latents are its own.
    assert np.all(batch["valid"].sum(axis=1) == (44 if whole else 22))
  switch = next(i for i in range(1, 6) if shapes[i] != shapes[i - 1])

  for one, two in zip(batches[switch:], task.batches(switch), strict=False):
    jax.tree.map(np.testing.assert_array_equal, dict(one), dict(two))
  with config.unlocked():
    config.steps = config.evaluate_every = config.save_every = switch + 1
  assert loop.train(task, config, tmp_path) == 0


@pytest.fixture
def generator(config, towers, tmp_path):
  """Trained for two steps; then far from the zeros that layers start at."""
  assert loop.train(denoiser.DenoiserTask(config), config, tmp_path) == 0
  made = release.load(tmp_path / "release")
  parts = {
    name: jax.tree.map(
      lambda x: x + 0.2 * jax.random.normal(jax.random.key(x.size), x.shape),
      tree,
    )
    for name, tree in made.parts.items()
  }
  folder = tmp_path / "noisy"
  release.save(folder, config=made.config, parts=parts, card="")
  (folder / reader_lib.FOLDER).symlink_to(towers)
  return generator_lib.Generator(folder)


def test_every_control_is_heard(generator, tmp_path):
  rng = np.random.default_rng(0)
  write.write_wave(
    tmp_path / "door.wav", rng.normal(0, 0.1, (22_050, 2)).astype(np.float32)
  )
  frames = read.Frames(
    times=generator.reader.frame_times(1.5),
    images=rng.integers(0, 256, (8, 40, 52, 3), np.uint8),
    report=read.FrameReport(
      duration=1.5, fps=15.0, decoded=8, duplicated=0, missing=0
    ),
  )
  curve = loudness.Loudness(
    times=np.array([0.0, 1.5]), lufs=np.array([[-60.0, -20.0], [-20.0, -60.0]])
  )
  nothing = cues.Track()
  asked = {
    "nothing": (None, nothing),
    "text": (None, cues.Track(text="rain on a roof")),
    "negative": (None, cues.Track(negative_text="rain on a roof")),
    "reference": (None, cues.Track(reference=tmp_path / "door.wav")),
    "loudness": (None, cues.Track(loudness=curve)),
    "picture": (frames, nothing),
    "off screen": (frames, cues.Track(on_screen=False)),
  }
  settings = dataclasses.replace(generator.settings, solver="dpm")
  waves = generator.generate(
    [
      job_lib.Job(duration=1.5, frames=seen, track=track, seed=0)
      for seen, track in asked.values()
    ],
    settings,
  )
  waves = dict(zip(asked, waves, strict=True))
  still = waves.pop("nothing")
  assert still.shape == (66_150, 2)
  assert np.isfinite(still).all()
  np.testing.assert_allclose(waves.pop("off screen"), still, atol=1e-5)
  for name, wave in waves.items():
    assert np.abs(wave - still).max() > 1e-3 * np.abs(still).max(), name


def test_what_it_has_no_place_for_is_refused(generator):
  track = cues.Track(events=events.Events(intervals=np.array([[0.0, 0.5]])))
  job = job_lib.Job(duration=1.5, frames=None, track=track, seed=0)
  with pytest.raises(errors.InputError, match="tracks: events: a tri_ergon"):
    generator.generate([job], generator.settings)


def starting(config, folder, **more):
  with config.unlocked():
    config.denoiser_from = str(folder)
    config.conditioner.update(more)
  task = denoiser.DenoiserTask(config)
  return task.init(jax.random.key(0))["model"]


@pytest.mark.parametrize("aligned", [False, True])
def test_it_starts_from_stable_audio_s_weights(config, aligned):
  """What they have a place for; aligned loudness is read by a fresh layer."""
  public = release.load(tiny_stable_audio.folder(width=20)).parts
  made = starting(config, tiny_stable_audio.folder(width=20), aligned=aligned)
  ours = trees.flatten(made["denoiser"])
  for path, leaf in trees.flatten(public["denoiser"]).items():
    np.testing.assert_array_equal(ours.pop(path), leaf, err_msg=path)
  assert all(path.startswith("input_loudness") for path in ours)
  assert bool(ours) == aligned
  jax.tree.map(
    np.testing.assert_array_equal,
    made["conditioner"]["timing"],
    public["conditioner"]["timing"],
  )


def test_a_start_of_another_size_is_refused_by_name(config):
  with pytest.raises(errors.InputError, match="arrays do not fit"):
    starting(config, tiny_stable_audio.folder())


def test_towers_that_are_missing_are_named(config, tmp_path):
  assert loop.train(denoiser.DenoiserTask(config), config, tmp_path) == 0
  bare = generator_lib.Generator(tmp_path / "release")
  job = job_lib.Job(
    duration=1.5, frames=None, track=cues.Track(text="rain"), seed=0
  )
  with pytest.raises(errors.InputError, match="languagebind/video"):
    bare.generate([job], bare.settings)


@pytest.fixture(scope="module")
def small(waves, tmp_path_factory):
  """A predictor, and records that it has seen, without LanguageBind."""
  folder = tmp_path_factory.mktemp("small")
  sizes = frames_lib.FrameEncoderConfig(widths=(4, 4, 4), features=6, taps=3)
  encoder = frames_lib.FrameEncoder(sizes)
  blank = jnp.zeros((1, 2, 64, 64, 3), jnp.uint8)
  params = jax.jit(encoder.init)(jax.random.key(0), blank, blank[..., 0])
  release.save(
    folder / "predictor",
    config={
      "preset": "predictor",
      "frames": {"widths": (4, 4, 4), "features": 6, "taps": 3},
      "clip": {"frame_rate": 15.0, "frame_size": 64},
    },
    parts={"frame_encoder": params["params"]},
    card="",
  )
  encoded = encode.encode_records(
    waves,
    encode_wave=encode.wave_encoder(release.load(tiny_release.folder())),
    texts=text.TextEncoder.load(),
    captions=2,
  )
  eyes = pictures.Pictures(folder / "predictor")
  records.write_shards(
    folder / "seen", see.seen_records(encoded, eyes), shard_size=2
  )
  return folder


def small_config(config, small):
  with config.unlocked():
    config.frames_from = str(small / "predictor")
    config.data.train = config.data.validation = (str(small / "seen"),)
    config.conditioner.width = config.denoiser.condition_width = 400
  return config


def test_small_towers_say_in_training_what_they_say_of_a_clip(
  config, small, waves, tmp_path
):
  task = denoiser.DenoiserTask(small_config(config, small))
  record = records.Shards([small / "seen"])[0]
  example = task.of_preset.example(record, np.random.default_rng(0))
  assert loop.train(task, config, tmp_path) == 0
  made = generator_lib.Generator(tmp_path / "release")
  write.write_wave(
    tmp_path / "door.wav",
    (waves[0].arrays["wave"] / 32768.0).astype(np.float32),
  )
  seen = read.Frames(
    times=made.reader.frame_times(2.0),
    images=waves[0].arrays["frames"],
    report=read.FrameReport(
      duration=2.0, fps=15.0, decoded=30, duplicated=0, missing=0
    ),
  )
  captions = waves[0].meta["captions"][:2]
  found = []
  for caption in captions:
    track = cues.Track(text=caption, reference=tmp_path / "door.wav")
    job = job_lib.Job(duration=2.0, frames=seen, track=track, seed=0)
    rows, _ = made.reader.inputs(job, windows.cover(44, size=48))
    found.append(rows[0])
    (wave,) = made.generate([job], made.settings)
    assert np.isfinite(wave).all()
  np.testing.assert_allclose(example["video"], found[0]["video"], atol=5e-3)
  np.testing.assert_allclose(example["audio"], found[0]["audio"], atol=5e-2)
  assert (
    min(np.abs(example["text"] - row["text"]).max() for row in found) < 5e-3
  )
  assert np.abs(example["audio"]).max() > 0.1


def test_pictures_by_another_encoder_are_refused(config, small, shards):
  small_config(config, small)
  record = next(iter(records.Shards([shards])))
  preset = denoiser.DenoiserTask(config).of_preset
  with pytest.raises(
    errors.InputError, match=r"no pictures by .*data_prep.see"
  ):
    preset.example(record, np.random.default_rng(0))
