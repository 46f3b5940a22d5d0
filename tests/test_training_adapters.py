"""Adapters trained on a release, and the releases that come of it."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
import tiny_release

from vta import cli, errors
from vta.commands import train
from vta.data import records
from vta.encoders import vocabulary
from vta.inference import generator
from vta.interop import release, trees
from vta.training import adapted_release, configs, loop, lora
from vta.training.tasks import denoiser

ROOT = pathlib.Path(__file__).parents[1]


def normal(seed, *shape):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def sounding(index, *, captions):
  """A latent record of 2 s with no truth in it."""
  frames, latents = 30, 44
  times = (np.arange(frames) / 15).astype(np.float32)
  return records.Record(
    arrays={
      "latent_mean": normal([index, 0], latents, 8).astype(np.float16),
      "latent_std": np.ones((latents, 8), np.float16),
      "frames": np.full((frames, 16, 16, 3), 40 * index, np.uint8),
      "frame_times": times,
      "loudness": np.full((12, 2), -20.0, np.float32),
      "loudness_times": ((np.arange(12) + 0.5) / 6).astype(np.float32),
      "events": np.array([[0.5, 1.0]], np.float32),
      "object_probability": np.zeros((frames, 0), np.float16),
      "object_vectors": np.zeros((0, 384), np.float16),
      "text_tokens": normal([index, 1], len(captions), 32, 384).astype(
        np.float16
      ),
      "text_mask": np.ones((len(captions), 32), bool),
    },
    meta={
      "id": str(index),
      "duration": 2.0,
      "captions": captions,
      "objects": [],
    },
  )


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  folder = tmp_path_factory.mktemp("latents")
  made = [sounding(i, captions=["a zither"][: i % 2]) for i in range(4)]
  records.write_shards(folder, made, shard_size=4)
  return folder


def finetuning(shards, *more):
  return configs.load(
    f"{ROOT}/configs/finetune.py:{tiny_release.folder()}",
    [
      f"data.train=('{shards}',)",
      f"data.validation=('{shards}',)",
      "batch_size=2",
      "steps=2",
      "evaluate_every=1",
      "save_every=1",
      "lora.rank=2",
      *more,
    ],
  )


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("run")
  config = finetuning(shards, "best=", "patience=0")
  assert loop.train(train._task("here", config), config, workdir) == 0
  return workdir


def test_training_moves_adapters_and_writes_both_releases(trained):
  before = release.load(tiny_release.folder())
  after = release.load(trained / "release")
  alone = lora.load(trained / "lora")
  products = lora.products(alone.tree)
  changed = set()
  for path, leaf in trees.flatten(after.parts).items():
    old = trees.flatten(before.parts)[path]
    if any(s in path for s in ("attn", "/ff/")) and path.endswith("kernel"):
      changed |= {path.split("blocks/")[1]} if np.any(leaf != old) else set()
      want = old
      if path in products:
        want = old + alone.config.scale * products[path]()
      np.testing.assert_allclose(leaf, want, rtol=1e-3, atol=1e-6)
    else:
      np.testing.assert_array_equal(leaf, old, err_msg=path)
  # One token, a dropped prompt's null, leaves nothing to ask or to answer.
  moving = {f"attn1/{name}" for name in ("to_q", "to_k", "to_v", "to_out_0")}
  moving |= {"attn2/to_v", "attn2/to_out_0", "ff/net_0_proj", "ff/net_2"}
  assert changed >= {f"{layer}/kernel" for layer in moving}
  # Words of the base and of the clips.
  words = vocabulary.Vocabulary.load(trained / "release").words
  assert words == ("ball", "wood", "zither")
  generator.Generator(trained / "release")


def test_what_is_evaluated_is_the_adapted_model(trained, shards):
  """Not the base, whose loss would say that nothing was ever better."""
  task = train._task("here", finetuning(shards))
  params = task.init(jax.random.key(0))
  params["lora"] = jax.tree.map(
    lambda x: x + 0.2 * normal([7, x.size], *x.shape), params["lora"]
  )
  adapted = task.evaluate(params)["validation/loss"]
  table = trees.flatten(params["model"])
  for path, product in lora.products(params["lora"]).items():
    table[path] = table[path] + task._lora.scale * product()
  whole = denoiser.DenoiserTask(finetuning(shards, "lora.rank=0"))
  merged = {"model": trees.unflatten(table)}
  want = whole.evaluate(merged)["validation/loss"]
  assert adapted == pytest.approx(want, rel=1e-4)
  base = whole.evaluate({"model": params["model"]})["validation/loss"]
  assert abs(adapted - base) > 1e-3 * base


def test_a_checkpoint_holds_no_base(trained):
  newest = max((trained / "checkpoints").iterdir(), key=lambda p: p.name)
  table = json.loads((newest / "state" / "_METADATA").read_text())
  names = str(table["tree_metadata"])
  assert "lora_a" in names
  assert "'kernel'" not in names


def test_merge_makes_the_release_that_training_made(trained, tmp_path, capsys):
  source, out = tiny_release.folder(), tmp_path / "out"
  arguments = ["merge", str(source), "--lora", str(trained / "lora")]
  assert cli.main([*arguments, "--out", str(out)]) == 0
  made, trained_one = (release.load(f) for f in (out, trained / "release"))
  assert made.config == trained_one.config | {
    "denoiser": made.config["denoiser"],
    "guidance": made.config["guidance"],
  }
  jax.tree.map(np.testing.assert_array_equal, made.parts, trained_one.parts)
  assert (out / "vocabulary.safetensors").exists()
  assert f"{trained}/lora, scale 1" in (out / "README.md").read_text()
  # Twice at half the scale is once.
  half = f"{trained}/lora:0.5"
  twice = ["merge", str(source), "--lora", half, "--lora", half]
  assert cli.main([*twice, "--out", str(tmp_path / "twice")]) == 0
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6),
    release.load(tmp_path / "twice").parts,
    made.parts,
  )
  # The result is another base, on which these adapters were not trained.
  again = ["merge", str(out), "--lora", str(trained / "lora")]
  assert cli.main([*again, "--out", str(tmp_path / "again")]) == 2
  assert "another denoiser" in capsys.readouterr().err
  assert not (tmp_path / "again").exists()
  with pytest.raises(SystemExit):
    cli.main([*arguments[:3], f"{trained}/lora:loud", "--out", "x"])
  assert "'loud' is no scale" in capsys.readouterr().err


def test_what_a_release_links_to_is_linked_and_not_copied(
  trained, tmp_path, monkeypatch
):
  source, out = tmp_path / "source", tmp_path / "out"
  shutil.copytree(tiny_release.folder(), source)
  (tmp_path / "towers").mkdir()
  (tmp_path / "towers" / "big").write_text("gigabytes")
  (source / "linked").symlink_to("../towers")
  (source / "folder").mkdir()
  (source / "folder" / "below").symlink_to("../../towers/big")
  (source / "folder" / "own").write_text("small")
  monkeypatch.chdir(tmp_path)
  chosen = [(trained / "lora", 1.0)]
  adapted_release.merge(pathlib.Path("source"), chosen, pathlib.Path("out"))
  source.rename(tmp_path / "elsewhere")
  for path in (out / "linked" / "big", out / "folder" / "below"):
    assert path.read_text() == "gigabytes"
  assert (out / "linked").is_symlink()
  assert (out / "folder" / "below").is_symlink()
  assert (out / "folder" / "own").read_text() == "small"
  assert not (out / "config.json").is_symlink()


def attempt(config, workdir):
  loop.train(train._task("here", config), config, workdir)


def test_what_cannot_be_tuned_is_refused(shards, tmp_path):
  for change, message in (
    ("lora.rank=-1", "config: lora: rank is -1"),
    ("lora.alpha=0.0", "config: lora: alpha is 0"),
    ("lora.rank=9", "config: lora: rank 9 is above"),
    ("init_from=", "config: init_from: is empty"),
    ("data.validation_batches=5", "not enough for 5 batches"),
    ("data.validation_batch=9", "not enough for 1 batches of 9"),
  ):
    config = finetuning(shards, change)
    with pytest.raises(errors.InputError, match=message):
      attempt(config, tmp_path / change)
  with pytest.raises(errors.InputError, match="not a vta release"):
    configs.load(f"{ROOT}/configs/finetune.py:{tmp_path}")
  release.write(tmp_path, config={"preset": "codec"}, parts={}, card="")
  with pytest.raises(errors.InputError, match="is of the preset 'codec'"):
    configs.load(f"{ROOT}/configs/finetune.py:{tmp_path}")


def test_sizes_are_the_base_s(tmp_path):
  sizes = {
    "window": 12,
    "conditioner": {"width": 24, "blocks": 3},
    "denoiser": {"width": 32},
    "guidance": {"groups": [["text"]], "scales": [2.0]},
  }
  release.write(
    tmp_path, config={"preset": "tri_ergon", **sizes}, parts={}, card=""
  )
  config = configs.load(f"{ROOT}/configs/finetune.py:{tmp_path}")
  assert config.init_from == config.codec == str(tmp_path)
  assert config.denoiser.width == 32
  assert config.denoiser.dtype == "float32"
  assert config.denoiser.remat == "none"
  # The defaults are of the published size.
  wide = {**sizes, "denoiser": {}}
  release.write(
    tmp_path, config={"preset": "tri_ergon", **wide}, parts={}, card=""
  )
  full = configs.load(f"{ROOT}/configs/finetune.py:{tmp_path}")
  assert full.denoiser.remat == "full"
  assert {n: config[n] for n in ("preset", "window")} == {
    "preset": "tri_ergon",
    "window": 12,
  }
