"""LoRA against torch, and what of it ends up in an export."""

import json

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.models.embeddings import get_1d_rotary_pos_embed

from vta import cli, errors
from vta.conditioning.conditions import Conditions, Stream
from vta.interop import exchange, release, stable_audio, tables, tensors, trees
from vta.models import dit
from vta.training import lora

SMALL = dit.DiTConfig(
  latents=8,
  width=32,
  depth=2,
  heads=2,
  cross_heads=1,
  condition_width=24,
  time_features=16,
)
LORA = lora.LoraConfig(rank=3, alpha=6.0)
# Ours -> diffusers', below a block; the table of exchange is not asked.
LAYERS = {
  **{
    f"{block}/{ours}": f"{block}.{theirs}"
    for block in ("attn1", "attn2")
    for ours, theirs in (
      ("to_q", "to_q"),
      ("to_k", "to_k"),
      ("to_v", "to_v"),
      ("to_out_0", "to_out.0"),
    )
  },
  "ff/net_0_proj": "ff.net.0.proj",
  "ff/net_2": "ff.net.2",
}


def normal(seed, *shape):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def randomised(tree, *, seed, scale):
  leaves, structure = jax.tree.flatten(tree)
  drawn = [scale * normal([seed, i], *x.shape) for i, x in enumerate(leaves)]
  return jax.tree.unflatten(structure, drawn)


def inputs():
  conditions = Conditions(
    streams={
      "text": Stream(
        tokens=jnp.asarray(normal(1, 2, 5, 24)), mask=jnp.ones((2, 5), bool)
      )
    },
    vector=jnp.asarray(normal(2, 2, 20)),
  )
  return jnp.asarray(normal(0, 2, 11, 8)), jnp.array([0.2, 0.9]), conditions


@pytest.fixture(scope="module")
def base():
  shapes = jax.eval_shape(dit.DiT(SMALL).init, jax.random.key(0), *inputs())
  return {"denoiser": randomised(shapes["params"], seed=3, scale=0.25)}


@pytest.fixture(scope="module")
def adapters(base):
  made = lora.init(jax.random.key(1), base, LORA)
  return randomised(made, seed=4, scale=0.25)


@pytest.fixture(scope="module")
def denoise():
  @jax.jit
  def call(params):
    with lora.applied():
      return dit.DiT(SMALL).apply({"params": params["denoiser"]}, *inputs())

  return call


def in_torch(base, adapters):
  """diffusers' model, whose layers add s (A x) B by hooks."""
  model = diffusers.StableAudioDiTModel(
    in_channels=8,
    out_channels=8,
    num_layers=2,
    attention_head_dim=16,
    num_attention_heads=2,
    num_key_value_attention_heads=1,
    cross_attention_dim=24,
    cross_attention_input_dim=24,
    time_proj_dim=16,
    global_states_input_dim=20,
  )
  flat = trees.flatten(base["denoiser"])
  named = tables.to_theirs(
    list(stable_audio.denoiser(2, "diffusers")),
    lambda path, i: flat[path] if i is None else flat[path][i],
  )
  model.load_state_dict({k: torch.tensor(v) for k, v in named}, strict=True)
  pairs = trees.flatten(adapters["denoiser"]["transformer_blocks"])
  assert {p.rpartition("/")[0] for p in pairs} == set(LAYERS)
  for ours, theirs in LAYERS.items():
    for i in range(2):
      a, b = (
        torch.tensor(pairs[f"{ours}/{name}"][i])
        for name in ("lora_a", "lora_b")
      )

      def add(module, args, y, a=a, b=b):
        return y + LORA.alpha / LORA.rank * (args[0] @ a @ b)

      layer = model.get_submodule(f"transformer_blocks.{i}.{theirs}")
      layer.register_forward_hook(add)
  x, time, conditions = inputs()
  x, time, tokens, vector = (
    torch.tensor(np.asarray(v))
    for v in (x, time, conditions.streams["text"].tokens, conditions.vector)
  )
  rotary = get_1d_rotary_pos_embed(
    8, 12, use_real=True, repeat_interleave_real=False
  )
  with torch.no_grad():
    (y,) = model(
      x.transpose(1, 2),
      time,
      tokens,
      vector[:, None],
      rotary_embedding=rotary,
      return_dict=False,
    )
  return y.transpose(1, 2).numpy()


def merge(base, adapters, *, scale):
  table = trees.flatten(base)
  for path, product in lora.products(adapters).items():
    table[path] = table[path] + scale * product()
  return trees.unflatten(table)


def relative(got, want):
  return np.abs(np.asarray(got) - want).max() / np.abs(want).max()


def test_attached_and_merged_equal_torch(base, adapters, denoise):
  want = in_torch(base, adapters)
  attached = denoise(lora.attach(base, adapters, scale=LORA.scale))
  merged = denoise(merge(base, adapters, scale=LORA.scale))
  assert relative(denoise(base), want) > 0.1
  assert relative(attached, want) < 1e-5
  assert relative(merged, want) < 1e-5


def test_new_adapters_change_not_a_bit_and_can_learn(base, denoise):
  fresh = lora.init(jax.random.key(1), base, LORA)
  np.testing.assert_array_equal(
    denoise(lora.attach(base, fresh, scale=LORA.scale)), denoise(base)
  )
  for path, leaf in trees.flatten(fresh).items():
    if path.endswith("lora_a"):
      bound = leaf.shape[-2] ** -0.5
      assert 0.8 * bound < np.abs(leaf).max() <= bound
      # The blocks of a stack are not copies of one another.
      assert np.abs(leaf[0] - leaf[1]).max() > 0.1 * bound

  @jax.jit
  @jax.grad
  def slope(adapters):
    params = lora.attach(base, adapters, scale=LORA.scale)
    return jnp.mean(jnp.square(denoise(params)))

  for path, leaf in trees.flatten(slope(fresh)).items():
    assert bool(np.any(leaf)) == path.endswith("lora_b"), path


def test_adapters_add_up_each_with_its_scale(base, adapters):
  other = randomised(adapters, seed=9, scale=0.5)
  one = merge(merge(base, adapters, scale=0.5), other, scale=-2.0)
  path = "transformer_blocks/ff/net_2/kernel"
  kernel = trees.flatten(base["denoiser"])[path]
  expected = np.array(kernel, np.float64)
  for tree, scale in ((adapters, 0.5), (other, -2.0)):
    pair = tree["denoiser"]["transformer_blocks"]["ff"]["net_2"]
    expected += scale * np.einsum(
      "dir,dro->dio", *(np.float64(pair[n]) for n in ("lora_a", "lora_b"))
    )
  got = trees.flatten(one["denoiser"])
  np.testing.assert_allclose(got[path], expected, rtol=1e-5, atol=1e-5)
  # What is neither attention nor feed-forward stays as it is.
  np.testing.assert_array_equal(
    got["proj_in/kernel"], base["denoiser"]["proj_in"]["kernel"]
  )


def test_a_rank_must_fit(base):
  with pytest.raises(
    ValueError, match=r"rank 25 .*attn2/to_k/kernel .*24 x 16"
  ):
    lora.init(jax.random.key(0), base, lora.LoraConfig(rank=25, alpha=1.0))
  with pytest.raises(ValueError, match="no attention"):
    lora.init(jax.random.key(0), {"codec": {"kernel": np.ones((2, 2))}}, LORA)
  for wrong in ({"rank": 0}, {"alpha": 0.0}, {"alpha": float("nan")}):
    with pytest.raises(ValueError, match=next(iter(wrong))):
      lora.LoraConfig(**{"rank": 1, "alpha": 1.0, **wrong})


def test_every_mismatch_is_named(base, adapters):
  shapes = {k: np.shape(v) for k, v in trees.flatten(base).items()}
  assert lora.mismatches(shapes, adapters) == []
  table = trees.flatten(adapters)
  stem = "denoiser/transformer_blocks"
  del table[f"{stem}/attn1/to_q/lora_b"]
  table[f"{stem}/attn1/to_k/lora_b"] = np.zeros((2, 3, 31))
  table[f"{stem}/attn1/to_v/lora_a"] = np.zeros((3,))
  table[f"{stem}/attn9/to_q/lora_a"] = np.zeros((2, 32, 3))
  table[f"{stem}/attn9/to_q/lora_b"] = np.zeros((2, 3, 32))
  table[f"{stem}/ff/other"] = np.zeros(3)
  found = "; ".join(lora.mismatches(shapes, trees.unflatten(table)))
  for phrase in (
    "attn1/to_q/lora_a lacks its other half",
    "attn1/to_k: (2, 32, 3) by (2, 3, 31) does not make the kernel's",
    "attn1/to_v: (3,) by",
    "attn9/to_q/kernel is not in the model",
    "ff/other is no part of an adapter",
  ):
    assert phrase in found


def test_a_folder_of_adapters_is_read_as_it_was_written(adapters, tmp_path):
  given = lora.Adapters(config=LORA, base="abc", tree=adapters)
  lora.save(tmp_path, given)
  found = lora.load(tmp_path)
  assert (found.config, found.base) == (LORA, "abc")
  jax.tree.map(np.testing.assert_array_equal, found.tree, adapters)
  path = tmp_path / "config.json"
  right = json.loads(path.read_text())
  for change, message in (
    ({"rank": 4}, "says rank 4"),
    ({"rank": "many"}, "is not of adapters"),
    ({"format": "vta-release-1"}, "vta-lora-1"),
  ):
    path.write_text(json.dumps(right | change))
    with pytest.raises(errors.InputError, match=message):
      lora.load(tmp_path)
  path.unlink()
  with pytest.raises(errors.InputError, match="holds no adapters"):
    lora.load(tmp_path)


def test_a_rewrite_that_is_interrupted_leaves_no_adapters(
  adapters, tmp_path, monkeypatch
):
  given = lora.Adapters(config=LORA, base="abc", tree=adapters)
  lora.save(tmp_path, given)

  def power_cut(*_):
    raise RuntimeError("power cut")

  monkeypatch.setattr(lora.tensors, "write", power_cut)
  with pytest.raises(RuntimeError):
    lora.save(tmp_path, given)
  with pytest.raises(errors.InputError, match="holds no adapters"):
    lora.load(tmp_path)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_an_imported_release_is_merged_in_its_type_and_exported(
  dtype, tmp_path
):
  config = exchange.defaults(
    {
      "codec": {
        "channels": 2,
        "latents": 8,
        "width": 16,
        "multiples": (1,),
        "strides": (4,),
      },
      "conditioner": {"width": 24, "text_width": 24},
      "denoiser": {
        "latents": 8,
        "width": 32,
        "depth": 2,
        "heads": 2,
        "cross_heads": 1,
        "condition_width": 24,
        "time_features": 16,
      },
      "window": 12,
    }
  )
  shapes = exchange.shapes(config, where=tmp_path)
  parts = {
    name: {
      path: normal([7, i], *shape).astype(dtype)
      for i, (path, shape) in enumerate(table.items())
    }
    for name, table in shapes.items()
  }
  source = tmp_path / "base"
  tables_of = {name: table.items() for name, table in parts.items()}
  release.write(source, config=config, parts=tables_of, card="# Base\n")
  base = {"denoiser": trees.unflatten(parts["denoiser"])}
  tree = randomised(lora.init(jax.random.key(0), base, LORA), seed=5, scale=0.3)
  digest = release.digest(base["denoiser"])
  lora.save(
    tmp_path / "lora", lora.Adapters(config=LORA, base=digest, tree=tree)
  )
  merged, out = tmp_path / "merged", tmp_path / "out"
  chosen = ["--lora", f"{tmp_path}/lora:0.5", "--out", str(merged)]
  assert cli.main(["merge", str(source), *chosen]) == 0
  assert cli.main(["export", str(merged), "--out", str(out)]) == 0
  reader = tensors.Reader(
    out / "transformer/diffusion_pytorch_model.safetensors"
  )
  for ours, theirs in LAYERS.items():
    path = f"transformer_blocks/{ours}"
    pair = trees.flatten(tree["denoiser"])
    a, b = (pair[f"{path}/{name}"][1] for name in ("lora_a", "lora_b"))
    kernel = parts["denoiser"][f"{path}/kernel"][1].astype(np.float32)
    found = reader.read(f"transformer_blocks.1.{theirs}.weight")
    assert found.dtype == dtype
    np.testing.assert_allclose(
      found.T, kernel + 0.5 * 2.0 * (a @ b), rtol=1e-3, atol=1e-3
    )
