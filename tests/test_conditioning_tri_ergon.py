"""Tri-Ergon's eight tokens: the task, the nulls, the curve, the timing."""

import pathlib

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vta.conditioning import tri_ergon
from vta.signals import loudness
from vta.training import configs, system

RATE = 44_100 / 2048
CONFIG = tri_ergon.TriErgonConfig(width=8, blocks=12)
ALIGNED = tri_ergon.TriErgonConfig(width=8, blocks=12, aligned=True)
ROOT = pathlib.Path(__file__).parents[1]


def geometry(config=CONFIG):
  return tri_ergon.Geometry(latents=40, latent_rate=RATE, config=config)


def inputs(config=CONFIG):
  rng = np.random.default_rng(0)
  vectors = {
    name: rng.normal(size=8).astype(np.float32)
    for name in ("text", "audio", "video")
  }
  curve = loudness.Loudness(
    times=np.array([0.0, 4.0]), lufs=np.array([[-40.0, -20.0], [-30.0, -60.0]])
  )
  return tri_ergon.assemble(
    geometry(config), start=1.0, total=2.5, loudness=curve, **vectors
  )


def batch(one, count=1):
  return {k: jnp.repeat(jnp.asarray(v)[None], count, 0) for k, v in one.items()}


@pytest.fixture(scope="module")
def module():
  model = tri_ergon.TriErgon(CONFIG)
  given = batch(inputs())
  params = model.init(jax.random.key(0), given, given["asked"])
  return lambda given, keep: model.apply(params, given, keep), params["params"]


def keep(**kept):
  return jnp.array([[kept.get(name, False) for name in tri_ergon.NAMES]])


def tokens(made):
  assert made.streams["prompt"].mask.all()
  return np.asarray(made.streams["prompt"].tokens[0])


def test_the_example_of_the_paper_is_task_five(module):
  apply, params = module
  given = inputs()
  made = tokens(
    apply(batch(given), keep(prompt=True, text=True, video=True, loudness=True))
  )
  assert made.shape == (8, 8)
  np.testing.assert_array_equal(made[0], params["task"][5])
  np.testing.assert_array_equal(made[1], given["text"])
  np.testing.assert_array_equal(made[2], 0.0)
  np.testing.assert_array_equal(made[3], given["video"])


def test_every_combination_has_a_task_of_its_own(module):
  apply, params = module
  for task in range(8):
    bits = [bool(task & 4), bool(task & 2), bool(task & 1)]
    asked = dict(zip(("text", "audio", "video"), bits, strict=True))
    made = tokens(apply(batch(inputs()), keep(prompt=True, **asked)))
    np.testing.assert_array_equal(made[0], params["task"][task])
    for bit, row in zip(bits, made[1:4], strict=True):
      assert np.any(row) == bit


def test_loudness_without_a_curve_is_not_silence(module):
  apply, params = module
  silent = {**inputs(), "loudness": np.zeros((12, 2), np.float32)}
  asked = tokens(apply(batch(silent), keep(prompt=True, loudness=True)))
  null = tokens(apply(batch(silent), keep(prompt=True)))
  np.testing.assert_array_equal(asked[4:6], 0.0)
  np.testing.assert_array_equal(null[4:6], params["null_loudness"])
  assert np.abs(null[4:6]).min() > 0
  np.testing.assert_array_equal(asked[6:], null[6:])


def test_without_a_prompt_all_is_zero_but_the_vector(module):
  apply, _ = module
  everything = dict.fromkeys(tri_ergon.NAMES, True)
  made = apply(batch(inputs()), keep(**{**everything, "prompt": False}))
  np.testing.assert_array_equal(tokens(made), 0.0)
  whole = apply(batch(inputs()), keep(**everything))
  np.testing.assert_array_equal(made.vector, whole.vector)
  timing = np.asarray(whole.vector[0])
  np.testing.assert_array_equal(tokens(whole)[6:].ravel(), timing)


def test_a_curve_is_stretched_as_torch_does():
  curve = np.random.default_rng(1).normal(size=(2, 360, 2)).astype(np.float32)
  made = tri_ergon.stretch(jnp.asarray(curve), 768)
  expected = torch.nn.functional.interpolate(
    torch.from_numpy(curve).double().swapaxes(1, 2),
    size=768,
    mode="linear",
    align_corners=True,
  )
  np.testing.assert_allclose(made, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("config", [CONFIG, ALIGNED])
def test_the_curve_is_the_stretch_s_own_and_ends_with_the_clip(config):
  made = inputs(config)
  count, step = (40, 1 / RATE) if config.aligned else (12, 1 / 6)
  at = 1.0 + (np.arange(count) + 0.5) * step
  left = (-40.0 + 2.5 * at + 70.0) / 70.0
  inside = at < 2.5
  assert 0 < inside.sum() < count
  np.testing.assert_allclose(
    made["loudness"][inside, 0], left[inside], atol=1e-6
  )
  np.testing.assert_array_equal(made["loudness"][~inside], 0.0)
  assert made["asked"].all()


def test_aligned_loudness_is_a_sequence_and_no_token():
  model = tri_ergon.TriErgon(ALIGNED)
  given = batch(inputs(ALIGNED))
  params = model.init(jax.random.key(0), given, given["asked"])
  made = model.apply(params, given, given["asked"])
  assert tokens(made).shape == (6, 8)
  assert made.input["loudness"].shape == (1, 40, 8)
  null = model.apply(params, given, keep(prompt=True))
  np.testing.assert_array_equal(
    null.input["loudness"][0],
    np.tile(params["params"]["null_loudness"], (40, 1)),
  )


def test_nothing_asked_for_is_marked_as_such():
  made = tri_ergon.assemble(geometry(), start=0.0, total=0.5)
  assert not made["asked"].any()
  assert made["valid"].sum() == np.ceil(0.5 * RATE)


def test_drops_are_the_paper_s():
  kept = np.asarray(tri_ergon.draw_keep(jax.random.key(0), 20_000))
  np.testing.assert_allclose(
    kept.mean(axis=0), [0.9, 0.7, 0.7, 0.7, 0.7], atol=0.015
  )
  # Independently of each other.
  assert np.abs(np.corrcoef(kept.T) - np.eye(5)).max() < 0.03


@pytest.mark.parametrize(
  ("variant", "depth", "published"), [("s", 20, 881e6), ("l", 24, 1.06e9)]
)
def test_the_denoiser_is_as_large_as_published(variant, depth, published):
  config = configs.load(f"{ROOT}/configs/tri_ergon.py:{variant}")
  made = system.build(
    {
      "preset": "tri_ergon",
      "codec": {"latents": 64, "width": 2, "multiples": (1,) * 5},
      **{k: config[k].to_dict() for k in ("conditioner", "denoiser")},
      "window": config.window,
    }
  )
  shapes = jax.eval_shape(made.init, jax.random.key(0))["denoiser"]
  count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
  with torch.device("meta"):
    theirs = diffusers.StableAudioDiTModel(num_layers=depth)
  assert count == sum(p.numel() for p in theirs.parameters())
  assert count == pytest.approx(published, rel=0.005)
