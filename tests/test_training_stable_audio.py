"""Public weights, tuned on records and handed back, at a tiny size."""

import pathlib

import batch_shapes
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_stable_audio

from data_prep import encode
from vta import cli, errors
from vta.commands import train
from vta.conditioning import stable_audio
from vta.data import records
from vta.data.yard import record as yard_record
from vta.data.yard import stage
from vta.encoders import t5_text, text
from vta.inference import generator as generator_lib
from vta.inference import job as job_lib
from vta.interop import exchange, release, tensors, trees
from vta.signals import cues
from vta.training import configs, loop
from vta.training.tasks import denoiser

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def base():
  return tiny_stable_audio.folder()


@pytest.fixture(scope="module")
def waves():
  scenes = (stage.sample_scene(5, i, duration=1.0) for i in range(20))
  staged = [scene for scene in scenes if scene.sources][:2]
  return [yard_record.record(scene) for scene in staged]


@pytest.fixture(scope="module")
def shards(base, waves, tmp_path_factory):
  encoded = encode.encode_records(
    waves,
    encode_wave=encode.wave_encoder(release.load(base)),
    texts=text.TextEncoder.load(),
    captions=2,
    t5=t5_text.T5TextEncoder.load(base / exchange.TEXT_ENCODER),
  )
  (shard,) = records.write_shards(
    tmp_path_factory.mktemp("records"), encoded, shard_size=2
  )
  return shard


def tuning(base, shards, *more):
  return configs.load(
    f"{ROOT}/configs/finetune.py:{base}",
    [
      f"data.train=('{shards}',)",
      f"data.validation=('{shards}',)",
      "batch_size=2",
      "steps=2",
      "evaluate_every=1",
      "save_every=1",
      "lora.rank=2",
      "best=",
      "patience=0",
      *more,
    ],
  )


def test_records_gain_the_tokens_of_what_is_said(base, waves, shards):
  t5 = t5_text.T5TextEncoder.load(base / exchange.TEXT_ENCODER)
  for before, after in zip(waves, records.Shards([shards]), strict=True):
    made = t5.encode(before.meta["captions"][:2])
    size = after.arrays["t5_mask"].shape[1]
    assert size == made.mask.sum(axis=1).max()
    np.testing.assert_array_equal(after.arrays["t5_mask"], made.mask[:, :size])
    np.testing.assert_allclose(
      after.arrays["t5_tokens"], made.tokens[:, :size], atol=1e-2
    )


def test_an_example_ends_in_silence_that_is_denoised(base, shards):
  """24 latents are 1.1 s; the clip has 22, and the codec's silence follows."""
  task = denoiser.DenoiserTask(tuning(base, shards))
  record = records.Shards([shards])[0]
  made = task.of_preset.example(record, np.random.default_rng(0))
  batch_shapes.assert_as_promised(task, made)
  assert made["asked"].all()
  assert made["valid"].all()
  np.testing.assert_allclose(made["timing"], [0.0, 1.0])
  count = len(record.arrays["latent_mean"])
  assert count == 22
  np.testing.assert_array_equal(
    made["latent_mean"][:count], record.arrays["latent_mean"]
  )
  generator = generator_lib.Generator(base)
  silent = generator.encode(np.zeros((40 * 2048, 2), np.float32))[20]
  np.testing.assert_allclose(
    made["latent_mean"][count:], np.tile(silent, (2, 1)), atol=1e-5
  )
  assert (made["latent_std"] > 0).all()
  tokens, mask = made["text_tokens"], made["text_mask"]
  assert tokens.shape[0] == mask.shape[0] == stable_audio.TOKENS
  known = record.arrays["t5_tokens"].astype(np.float32)
  assert tokens[: known.shape[1]] in known
  assert not tokens[known.shape[1] :].any()
  assert mask.sum() in record.arrays["t5_mask"].sum(axis=1)


def test_the_prompt_is_dropped_as_often_as_asked(base, shards):
  config = tuning(base, shards, "drop.all=0.3")
  of_preset = denoiser.DenoiserTask(config).of_preset
  keep = of_preset.draw_keep(config.drop, jax.random.key(0), 4000)
  assert keep.shape == (4000, 1)
  assert abs(float(keep.mean()) - 0.7) < 0.03


def test_records_without_tokens_are_refused_by_name(base, shards):
  task = denoiser.DenoiserTask(tuning(base, shards))
  whole = records.Shards([shards])[0]
  arrays = {k: v for k, v in whole.arrays.items() if k != "t5_tokens"}
  bare = records.Record(arrays=arrays, meta=whole.meta)
  with pytest.raises(errors.InputError, match="no t5_tokens: encode the waves"):
    task.of_preset.example(bare, np.random.default_rng(0))


def test_tuned_weights_go_back_to_the_public_layout(base, shards, tmp_path):
  """Adapters are trained, merged, exported and imported: the same numbers."""
  config = tuning(base, shards)
  workdir = tmp_path / "run"
  assert loop.train(train._task("here", config), config, workdir) == 0
  tuned = workdir / "release"
  before, after = (trees.flatten(release.load(f).parts) for f in (base, tuned))
  moved = {path for path in before if np.any(before[path] != after[path])}
  assert any("attn1/to_q" in path for path in moved)
  assert all(path.startswith("denoiser/transformer") for path in moved)
  (wave,) = generator_lib.Generator(tuned).generate(
    [
      job_lib.Job(duration=1.0, frames=None, track=cues.Track(text="a"), seed=0)
    ],
    generator_lib.Settings(steps=2, solver="dpm", guidance=(3.0,)),
  )
  assert np.isfinite(wave).all()
  out, again = tmp_path / "public", tmp_path / "again"
  assert cli.main(["export", str(tuned), "--out", str(out)]) == 0
  assert (out / "text_encoder" / "model.safetensors").is_file()
  assert cli.main(["import", str(out), "--out", str(again)]) == 0
  back = trees.flatten(release.load(again).parts)
  assert back.keys() == after.keys()
  for path, leaf in after.items():
    np.testing.assert_array_equal(back[path], leaf, err_msg=path)


def test_what_is_tuned_whole_keeps_its_types_and_its_towers(
  base, shards, tmp_path
):
  held = release.load(base)
  precise, tuned = tmp_path / "precise", tmp_path / "tuned"
  release.save(
    precise,
    config=held.config,
    parts=held.parts,
    card="",
    dtype=jnp.bfloat16,
    like={"codec": base},
  )
  release.copy_rest(base, precise)
  (precise / "tower").symlink_to(tmp_path)
  task = denoiser.DenoiserTask(tuning(precise, shards, "lora.rank=0"))
  task.release(task.init(jax.random.key(0)), tuned)
  for part in ("codec", "conditioner", "denoiser"):
    before, after = (
      tensors.Reader(f / f"{part}.safetensors") for f in (precise, tuned)
    )
    assert after.dtypes == before.dtypes
    assert (jnp.bfloat16 in after.dtypes.values()) == (part != "codec")
    for name in before.shapes:
      np.testing.assert_array_equal(after.read(name), before.read(name))
  assert (tuned / exchange.TEXT_ENCODER / "model.safetensors").is_file()
  assert (tuned / "tower").is_symlink()
