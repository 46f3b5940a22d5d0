"""The papers' presets by T5 and CLIP: from frames and captions to a wave.

At random weights and tiny sizes, against transformers' own classes.
"""

import dataclasses
import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import test_encoders_clip as clip_lib
import test_encoders_t5 as t5_lib
import tiny_release
import torch

from data_prep import encode
from vta import errors
from vta.conditioning import composed
from vta.conditioning import frames as frames_lib
from vta.data import records
from vta.data.yard import record as yard_record
from vta.data.yard import stage
from vta.encoders import text
from vta.inference import composed as reader_lib
from vta.inference import generator as generator_lib
from vta.inference import job as job_lib
from vta.inference import windows
from vta.interop import release
from vta.media import read
from vta.signals import cues, masks, objects
from vta.training import configs, modules
from vta.training.tasks import denoiser, examples

ROOT = pathlib.Path(__file__).parents[1]
DURATION = 1.0
HALF = 2e-3  # of the largest value: records keep float16


@pytest.fixture(scope="module")
def towers(tmp_path_factory):
  """Public folders, as --set towers= names them, and the models in them."""
  root = tmp_path_factory.mktemp("towers")
  (root / "t5").mkdir()
  t5 = t5_lib.make_model("gated-gelu")
  t5.save_pretrained(root / "t5")
  t5_lib.write_tokenizer(root / "t5")
  _, clip, words = clip_lib.make(root / "clip")
  return {"root": root, "t5": t5, "clip": clip, "words": words}


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
  """Two clips, the second masked, in a shard."""
  staged = (stage.sample_scene(5, i, duration=DURATION) for i in range(60))
  staged = [scene for scene in staged if len(scene.sources) == 2][:2]
  made = [
    yard_record.record(staged[0]),
    yard_record.record(staged[1], heard=(0,)),
  ]
  assert [record.mask is None for record in made] == [True, False]
  folder = tmp_path_factory.mktemp("waves")
  records.write_shards(folder, made, shard_size=2)
  return folder


@pytest.fixture(scope="module")
def encoded(towers, waves, tmp_path_factory):
  """Records by both towers and by CLIP alone, as the command makes them."""
  digest = examples.codec_digest(release.load(tiny_release.folder()))
  flat = np.ones((22, 8), np.float32)
  fake = encode.WaveEncoder(
    encode=lambda wave: (flat, flat), digest=digest, rate=22.0
  )

  words = text.TextEncoder.load()

  def run(*tools):
    out = tmp_path_factory.mktemp("latents")
    command = ["encode", "--records", str(waves), "--out", str(out)]
    command += ["--codec", str(tiny_release.folder()), "--captions", "2"]
    for name in tools:
      command += [f"--{name}", str(towers["root"] / name)]
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(encode, "wave_encoder", lambda _: fake)
      patch.setattr(text.TextEncoder, "load", lambda: words)
      patch.setattr("sys.argv", command)
      assert encode.main() == 0
    return out

  made = {"t5": run("t5", "clip"), "clip": run("clip")}
  # As if nobody had named the towers: what foley's own encoders leave.
  plain = [
    records.Record(
      arrays=record.arrays,
      meta={k: v for k, v in record.meta.items() if not k.endswith("_by")},
    )
    for record in records.Shards([made["clip"]])
  ]
  made["none"] = tmp_path_factory.mktemp("plain")
  records.write_shards(made["none"], plain, shard_size=2)
  return made


def tiny(row, encoded, towers, *more):
  """A full-size row's config at a tiny size, on its records."""
  shards = encoded["t5" if row == "draw_an_audio" else "clip"]
  return configs.load(
    f"{ROOT}/configs/composed.py:{row}",
    [
      f"codec={tiny_release.folder()}",
      f"data.train=('{shards}',)",
      f"data.validation=('{shards}',)",
      "data.validation_batch=1",
      "data.validation_batches=1",
      "batch_size=2",
      f"towers={towers['root']}",
      "clip.frame_size=64",
      "clip.window=24",
      "clip.text_width=24",
      "conditioner.frames.tower=20",
      "conditioner.vector_width=8",
      "denoiser.latents=8",
      "denoiser.width=16",
      "denoiser.depth=1",
      "denoiser.heads=1",
      "denoiser.cross_heads=1",
      "denoiser.condition_width=8",
      "denoiser.remat=none",
      "denoiser.dtype=float32",
      "guidance.steps=2",
      *more,
    ],
  )


def assert_close(ours, theirs):
  theirs = np.asarray(theirs)
  assert ours.shape == theirs.shape
  assert np.abs(ours - theirs).max() < HALF * np.abs(theirs).max()


def embedded(clip, frames):
  """CLIPModel's image embeddings by CLIPImageProcessor."""
  pixels = clip_lib.PROCESSOR(list(frames), return_tensors="pt")
  with torch.no_grad():
    seen = clip.vision_model(pixels["pixel_values"]).pooler_output
    return clip.visual_projection(seen).numpy()


def test_records_hold_what_transformers_makes(towers, waves, encoded):
  clip = towers["clip"]
  both, alone = (records.Shards([encoded[k]]) for k in ("t5", "clip"))
  for before, after, other in zip(
    records.Shards([waves]), both, alone, strict=True
  ):
    arrays, frames = after.arrays, before.arrays["frames"]
    assert not {"frames", "mask", "wave"} & arrays.keys()
    shown = frames
    if before.mask is not None:
      # CLIP's mean colour, in grey levels.
      grey = np.array([123, 117, 104], np.uint8)
      shown = np.where(before.mask[..., None] > 0, frames, grey)
      assert_close(arrays["whole_features"], embedded(clip, frames))
      assert np.any(arrays["whole_features"] != arrays["frame_features"])
    assert ("whole_features" in arrays) == (before.mask is not None)
    assert_close(arrays["frame_features"], embedded(clip, shown))

    captions = after.meta["captions"]
    assert (after.meta["text_by"], other.meta["text_by"]) == ("t5", "clip")
    words = t5_lib.t5_text.T5TextEncoder.load(towers["root"] / "t5").tokenizer
    codes = words.encode_batch(captions)
    size = arrays["text_tokens"].shape[1]
    ids, seen = (
      np.array([getattr(code, name)[:size] for code in codes])
      for name in ("ids", "attention_mask")
    )
    np.testing.assert_array_equal(arrays["text_mask"], seen)
    hidden = t5_lib.hidden(towers["t5"], ids, seen)
    assert_close(arrays["text_tokens"], hidden * seen[..., None])

    codes = towers["words"](captions, padding=True, return_tensors="pt")
    with torch.no_grad():
      made = clip.text_model(codes["input_ids"]).last_hidden_state.numpy()
    seen = codes["attention_mask"].numpy()
    np.testing.assert_array_equal(other.arrays["text_mask"], seen)
    assert_close(other.arrays["text_tokens"], made * seen[..., None])

    for label, vector in zip(
      after.meta["objects"], arrays["object_vectors"], strict=True
    ):
      codes = towers["words"](label, return_tensors="pt")
      with torch.no_grad():
        pooled = clip.text_model(codes["input_ids"]).pooler_output
        assert_close(vector, clip.text_projection(pooled)[0].numpy())


def random(shapes):
  """Parameters far from the zeros that layers start at."""
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda leaf: (0.2 * rng.normal(size=leaf.shape)).astype(np.float32), shapes
  )


def frames_of(images):
  times = np.arange(len(images)) / 15.0
  report = read.FrameReport(
    duration=DURATION, fps=15.0, decoded=len(images), duplicated=0, missing=0
  )
  return read.Frames(times=times, images=images, report=report)


LEFT = masks.Masks(
  regions=(
    masks.Box(times=np.zeros(1), corners=np.array([[0.0, 0.0, 0.5, 1.0]])),
  )
)


@pytest.fixture(scope="module")
def generator(towers, encoded, tmp_path_factory):
  """Of a release of Draw an Audio's row, with its towers beside it."""
  task = denoiser.DenoiserTask(tiny("draw_an_audio", encoded, towers))
  batch = next(task.batches(0))
  assert {"frame_features", "whole_features"} <= batch.keys()
  assert not {"frames", "mask"} & batch.keys()
  assert batch["asked"][:, :2].all()
  params = {
    "model": random(jax.eval_shape(task.system.init, jax.random.key(0)))
  }
  loss, _ = jax.eval_shape(
    task.phases[1].loss, params, batch, jax.random.key(0)
  )
  assert loss.shape == ()
  folder = tmp_path_factory.mktemp("run") / "release"
  task.release(params, folder)
  assert {"clip", "t5"} <= {entry.name for entry in folder.iterdir()}
  return generator_lib.Generator(folder)


def test_a_release_generates_by_its_towers(generator):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (15, 64, 64, 3), np.uint8)
  asked = {
    "nothing": (None, {}),
    "text": (None, {"text": "a dog on the ball"}),
    "frames": (images, {}),
    "masked": (images, {"masks": LEFT}),
  }
  waves = generator.generate(
    [
      job_lib.Job(
        duration=DURATION,
        frames=None if seen is None else frames_of(seen),
        track=cues.Track(**track),
        seed=0,
      )
      for seen, track in asked.values()
    ],
    # Random weights that are exaggerated leave nothing to hear.
    dataclasses.replace(generator.settings, guidance=(1.0, 1.0)),
  )
  for i, wave in enumerate(waves):
    assert np.isfinite(wave).all()
    assert np.abs(wave).max() > 1e-4
    for before in waves[:i]:
      assert np.abs(wave - before).max() > 1e-2 * np.abs(wave).max()


def reader(task, folder):
  """What reads jobs for a task's system, of a release that is no more."""
  kept = release.Release(
    folder=folder,
    config={"guidance": task._config.guidance.to_dict()},
    parts={},
  )
  return reader_lib.Reader(task.system, kept, lambda wave: wave)


def read_job(made, images, **track):
  cover = windows.cover(22, size=made._system.window)
  job = job_lib.Job(
    duration=DURATION,
    frames=frames_of(images),
    track=cues.Track(**track),
    seed=0,
  )
  rows, _ = made.inputs(job, cover)
  return rows[0]


@pytest.mark.parametrize("row", ["draw_an_audio", "smooth_foley", "vta_sam"])
def test_what_is_generated_from_is_what_was_trained_on(
  row, towers, waves, encoded
):
  task = denoiser.DenoiserTask(tiny(row, encoded, towers))
  made, wave = reader(task, towers["root"]), records.Shards([waves])[0]
  held = records.Shards(task._config.data.train)[0]
  likely = np.full_like(held.arrays["object_probability"], 0.5)
  # One caption, so that there is no choice.
  one = {name: held.arrays[name][:1] for name in ("text_tokens", "text_mask")}
  held = records.Record(
    arrays={**held.arrays, **one, "object_probability": likely}, meta=held.meta
  )
  trained = task.of_preset.example(held, np.random.default_rng(0))
  sheet = {
    "text": held.meta["captions"][0],
    "objects": objects.Objects(
      times=held.arrays["frame_times"].astype(np.float64),
      labels=tuple(held.meta["objects"]),
      probability=likely.astype(np.float64),
    ),
  }
  features = task.system.conditioner.config.features
  given = {name: value for name, value in sheet.items() if name in features}
  asked = read_job(made, wave.arrays["frames"], **given)
  # Strengths are the generator's to choose.
  others = {"latent_mean", "latent_std", "never_dropped", "strengths"}
  assert asked.keys() == trained.keys() - others
  names = {"text": "text_tokens", "objects": "objects"}
  for name in (*(names[name] for name in given), "frame_features"):
    assert_close(asked[name], trained[name])
  np.testing.assert_array_equal(asked["text_mask"], trained["text_mask"])
  np.testing.assert_array_equal(asked["asked"][:2], trained["asked"][:2])
  if row == "draw_an_audio":
    assert_close(asked["whole_features"], trained["whole_features"])


def test_a_tower_s_mask_is_left_out_in_some_visits(towers, encoded):
  """papers.md 1.3: in 0.4 of them."""
  task = denoiser.DenoiserTask(tiny("draw_an_audio", encoded, towers))
  every = records.Shards(task._config.data.train)
  masked = next(r for r in every if "whole_features" in r.arrays)
  seen = []
  for seed in range(60):
    made = task.of_preset.example(masked, np.random.default_rng(seed))
    seen.append(np.array_equal(made["frame_features"], made["whole_features"]))
  assert 12 <= sum(seen) <= 36


def test_what_the_mask_hides_is_seen_whole_alone(towers, encoded):
  task = denoiser.DenoiserTask(tiny("draw_an_audio", encoded, towers))
  made, rng = reader(task, towers["root"]), np.random.default_rng(0)
  images = rng.integers(0, 256, (15, 64, 64, 3), np.uint8)
  hidden = images.copy()
  hidden[:, :, 32:] = 255 - hidden[:, :, 32:]
  one, two = (read_job(made, x, masks=LEFT) for x in (images, hidden))
  np.testing.assert_array_equal(one["frame_features"], two["frame_features"])
  assert np.any(one["whole_features"] != two["whole_features"])
  bare = read_job(made, images)
  np.testing.assert_array_equal(bare["whole_features"], one["whole_features"])
  np.testing.assert_array_equal(bare["frame_features"], bare["whole_features"])


@pytest.mark.parametrize(
  ("projector", "names"),
  [
    ("linear", {"frames_in"}),
    ("norm", {"frames_in", "frames_norm"}),
    ("mlp", {"frames_in", "frames_out"}),
  ],
)
def test_frames_have_no_parameters_but_the_projector_s(projector, names):
  model = composed.Composed(
    composed.ComposedConfig(
      width=6,
      vector_width=8,
      places=(("frames", "concat"),),
      frames=frames_lib.TowerConfig(by="clip", tower=5),
      positions=False,
      projector=projector,
    )
  )
  rng = np.random.default_rng(0)
  seen = rng.normal(3.0, 1.0, (1, 4, 5)).astype(np.float32)
  inputs = {
    "frame_features": jnp.asarray(seen),
    "timing": jnp.zeros((1, 2)),
    "valid": jnp.ones((1, 3), bool),
    "strengths": jnp.ones((1, 2)),
    "events": jnp.zeros((1, 3, 2)),
  }
  keep = jnp.ones((1, 6), bool)
  shapes = jax.eval_shape(model.init, jax.random.key(0), inputs, keep)["params"]
  assert {name for name in shapes if "frame" in name} == {*names, "null_frames"}
  params = random(shapes)
  tokens = (
    model.apply({"params": params}, inputs, keep).streams["frames"].tokens
  )
  kernel, bias = (params["frames_in"][name] for name in ("kernel", "bias"))
  wanted = seen @ kernel + bias
  if projector == "norm":
    spread = np.sqrt(wanted.var(axis=-1, keepdims=True) + 1e-5)
    wanted = (wanted - wanted.mean(axis=-1, keepdims=True)) / spread
    wanted = wanted * params["frames_norm"]["scale"]
    wanted = wanted + params["frames_norm"]["bias"]
  if projector == "mlp":
    wanted = np.asarray(jax.nn.gelu(wanted)) @ params["frames_out"]["kernel"]
    wanted = wanted + params["frames_out"]["bias"]
  np.testing.assert_allclose(tokens, wanted, atol=1e-5)


@pytest.mark.parametrize(
  ("row", "shards", "change", "message"),
  [
    ("draw_an_audio", "clip", [], "text encoder is clip, the model's t5: enc"),
    ("text", "none", [], "text encoder is minilm, the model's t5"),
    ("vta_sam", "none", [], "tower is None, the model's clip"),
    ("vta_sam-yard", "clip", [], "tower is clip, the model's None"),
    ("vta_sam", "clip", ["conditioner.frames.tower=21", "towers="], "is 20, "),
    ("text-clip", "clip", ["clip.text_width=25", "towers="], "width is 24, "),
    ("vta_sam", "clip", ["clip.frame_size=224"], r"size is \[64, 64\], the"),
    ("vta_sam", "clip", ["towers=/none"], "/none/clip: expected config"),
    (
      "vta_sam",
      "clip",
      ["conditioner.frames.tower=21"],
      "clip: its embeddings are 20 wide, the model's 21",
    ),
    (
      "draw_an_audio",
      "t5",
      ["clip.text_width=25"],
      "t5: its tokens are 24 wide, the model's 25",
    ),
    ("text-clip", "clip", ["clip.text_tokens=32"], "is 32, clip has 77"),
    ("text", "t5", ["clip.text_by=bert"], "'bert' is none of 'minilm', 't5'"),
    ("vta_sam", "clip", ["conditioner.frames.by=dino"], "'dino' is none of"),
    ("vta_sam", "clip", ["frames_from=x"], "there is no encoder to start"),
  ],
)
def test_what_does_not_fit_is_named(
  row, shards, change, message, towers, encoded
):
  data = [f"data.{part}=('{encoded[shards]}',)" for part in ("train",)]
  if row.endswith("-yard"):
    config = configs.load(
      f"{ROOT}/configs/composed.py:{row}",
      [f"codec={tiny_release.folder()}", "denoiser.latents=8", *data],
    )
    with config.unlocked():
      config.data.validation = config.data.train
      config.frozen, config.frames_from = (), ""
  else:
    config = tiny(row, encoded, towers, *data, *change)
    with config.unlocked():
      config.data.validation = config.data.train
  with pytest.raises(errors.InputError, match=message) as caught:
    denoiser.DenoiserTask(config)
  assert "\n" not in str(caught.value)


def test_foley_refuses_what_other_towers_read(encoded):
  config = configs.load(
    f"{ROOT}/configs/finetune.py:{tiny_release.folder()}",
    [f"data.{part}=('{encoded['t5']}',)" for part in ("train", "validation")],
  )
  with pytest.raises(errors.InputError, match="read by t5, not MiniLM"):
    denoiser.DenoiserTask(config)


def test_a_release_without_its_towers_says_which(towers, encoded, tmp_path):
  """Trained where they were not, and one put there that is another."""
  config = tiny("draw_an_audio", encoded, towers, "towers=")
  made = reader(denoiser.DenoiserTask(config), tmp_path)
  images = np.zeros((15, 64, 64, 3), np.uint8)
  with pytest.raises(errors.InputError, match="/clip: expected config"):
    read_job(made, images)
  shutil.copytree(towers["root"], tmp_path, dirs_exist_ok=True)
  path = tmp_path / "t5" / "config.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | {"d_model": 30}))
  with pytest.raises(errors.InputError, match="t5: its tokens are 30 wide"):
    read_job(made, images, text="rain")
  assert read_job(made, images)["frame_features"].any()


def test_how_frames_are_seen_is_their_own_module_s_matter(tmp_path):
  """Joined before a module that does not look at any, and after it."""
  plain = {"places": [["text", "concat"]], "masked": False}
  rows = {
    "base": plain,
    "frames": {
      "places": [*plain["places"], ["frames", "layer"]],
      "masked": True,
    },
    "events": {**plain, "places": [*plain["places"], ["events", "control"]]},
  }
  for name, conditioner in rows.items():
    own = {} if name == "base" else {name: np.ones((2, 2), np.float32)}
    release.save(
      tmp_path / name,
      config={
        "preset": "composed",
        "conditioner": conditioner,
        "denoiser": {"control_depth": 0},
        "guidance": {"groups": [["text"]]},
      },
      parts={
        "codec": {"one": np.ones((2, 2), np.float32)},
        "conditioner": {"text": np.ones((2, 2), np.float32)},
        "denoiser": {"text": np.ones((2, 2), np.float32), **own},
      },
      card="",
    )
  for name in ("frames", "events"):
    modules.save(
      tmp_path / f"{name}-alone",
      whole=tmp_path / name,
      base=str(tmp_path / "base"),
    )
  chosen = [(tmp_path / f"{n}-alone", None) for n in ("frames", "events")]
  for i, order in enumerate((chosen, chosen[::-1])):
    modules.join(tmp_path / "base", order, tmp_path / str(i))
    joined = release.load(tmp_path / str(i)).config["conditioner"]
    assert joined["masked"] is True
    assert len(joined["places"]) == 3
