"""Names and layouts of Stable Audio's two formats, both ways."""

import itertools
import re

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_audio import StableAudioProjectionModel

from vta.conditioning import stable_audio as stable_audio_lib
from vta.conditioning.conditions import Conditions, Stream
from vta.interop import stable_audio, tables, trees
from vta.models import autoencoder, dit

DEPTH = 3
STRIDES = (2, 4)


def denoiser():
  config = dit.DiTConfig(
    latents=8,
    width=64,
    depth=DEPTH,
    heads=4,
    cross_heads=2,
    condition_width=24,
    time_features=16,
  )
  conditions = Conditions(
    streams={
      "text": Stream(tokens=jnp.zeros((1, 2, 24)), mask=jnp.ones((1, 2), bool))
    },
    vector=jnp.zeros((1, 20)),
  )
  return dit.DiT(config).init, (jnp.zeros((1, 4, 8)), jnp.zeros(1), conditions)


def codec():
  config = autoencoder.AutoencoderConfig(
    latents=8, width=16, multiples=(1, 2), strides=STRIDES
  )
  arguments = (jnp.zeros((1, 32, 2)), jax.random.key(0))
  return autoencoder.Autoencoder(config).init, arguments


def conditioner():
  config = stable_audio_lib.StableAudioConfig(width=24, text_width=24)
  inputs = {
    "text_tokens": jnp.zeros((1, 2, 24)),
    "text_mask": jnp.ones((1, 2), bool),
    "timing": jnp.zeros((1, 2)),
  }
  keep = jnp.ones((1, 1), bool)
  return stable_audio_lib.StableAudio(config).init, (inputs, keep)


PARTS = {
  "denoiser": (denoiser, lambda form: stable_audio.denoiser(DEPTH, form)),
  "codec": (codec, lambda form: stable_audio.codec(len(STRIDES), form)),
  "conditioner": (conditioner, stable_audio.conditioner),
}
FORMATS = ("diffusers", "stable-audio-tools")


def ours(part):
  """Every parameter of a part at random values: path -> array."""
  init, arguments = PARTS[part][0]()
  shapes = jax.eval_shape(init, jax.random.key(0), *arguments)["params"]
  rng = np.random.default_rng(1)
  return {
    path: rng.normal(size=leaf.shape).astype(np.float32)
    for path, leaf in trees.flatten(shapes).items()
  }


def reading(arrays):
  """What `to_theirs` reads through, over arrays at hand."""
  return lambda path, i: arrays[path] if i is None else arrays[path][i]


def shapes(arrays):
  return {name: array.shape for name, array in arrays.items()}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("part", PARTS)
def test_diffusers_classes_have_these_names_and_shapes(part):
  with torch.device("meta"):
    model = {
      "denoiser": lambda: diffusers.StableAudioDiTModel(
        in_channels=8,
        out_channels=8,
        num_layers=DEPTH,
        attention_head_dim=16,
        num_attention_heads=4,
        num_key_value_attention_heads=2,
        cross_attention_dim=24,
        cross_attention_input_dim=24,
        time_proj_dim=16,
        global_states_input_dim=20,
      ),
      "codec": lambda: diffusers.AutoencoderOobleck(
        encoder_hidden_size=16,
        downsampling_ratios=list(STRIDES),
        channel_multiples=[1, 2],
        decoder_channels=16,
        decoder_input_channels=8,
      ),
      "conditioner": lambda: StableAudioProjectionModel(24, 24, 0, 512),
    }[part]()
  theirs = {k: tuple(v.shape) for k, v in model.state_dict().items()}
  rows = list(PARTS[part][1]("diffusers"))
  found = tables.mismatches(rows, ours=shapes(ours(part)), theirs=theirs)
  assert found == []


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("part", PARTS)
def test_there_and_back_is_bit_identical(part, form):
  arrays = ours(part)
  rows = list(PARTS[part][1](form))
  theirs = dict(tables.to_theirs(rows, reading(arrays)))
  assert (
    tables.mismatches(rows, ours=shapes(arrays), theirs=shapes(theirs)) == []
  )
  back = dict(tables.to_ours(rows, theirs.get))
  assert back.keys() == arrays.keys()
  for path, array in arrays.items():
    np.testing.assert_array_equal(back[path], array)


# Names in a stable-audio-tools checkpoint, with a shell's braces: what its
# modules are called (stable_audio_tools/models/{dit,transformer,autoencoders,
# conditioners}.py) and what diffusers' scripts/convert_stable_audio.py looks
# for. Our table is not asked.
TOOLS = {
  "denoiser": (
    "model.model.",
    """
    timestep_features.weight
    to_timestep_embed.{0,2}.{weight,bias}
    to_cond_embed.{0,2}.weight
    to_global_embed.{0,2}.weight
    {preprocess_conv,postprocess_conv}.weight
    transformer.{project_in,project_out}.weight
    transformer.layers.{0,1,2}.pre_norm.{gamma,beta}
    transformer.layers.{0,1,2}.self_attn.{to_qkv,to_out}.weight
    transformer.layers.{0,1,2}.cross_attend_norm.{gamma,beta}
    transformer.layers.{0,1,2}.cross_attn.{to_q,to_kv,to_out}.weight
    transformer.layers.{0,1,2}.ff_norm.{gamma,beta}
    transformer.layers.{0,1,2}.ff.ff.0.proj.{weight,bias}
    transformer.layers.{0,1,2}.ff.ff.2.{weight,bias}
  """,
  ),
  "codec": (
    "pretransform.model.",
    """
    encoder.layers.0.{weight_g,weight_v,bias}
    encoder.layers.{1,2}.layers.{0,1,2}.layers.{0,2}.{alpha,beta}
    encoder.layers.{1,2}.layers.{0,1,2}.layers.{1,3}.{weight_g,weight_v,bias}
    encoder.layers.{1,2}.layers.3.{alpha,beta}
    encoder.layers.{1,2}.layers.4.{weight_g,weight_v,bias}
    encoder.layers.3.{alpha,beta}
    encoder.layers.4.{weight_g,weight_v,bias}
    decoder.layers.0.{weight_g,weight_v,bias}
    decoder.layers.{1,2}.layers.0.{alpha,beta}
    decoder.layers.{1,2}.layers.1.{weight_g,weight_v,bias}
    decoder.layers.{1,2}.layers.{2,3,4}.layers.{0,2}.{alpha,beta}
    decoder.layers.{1,2}.layers.{2,3,4}.layers.{1,3}.{weight_g,weight_v,bias}
    decoder.layers.3.{alpha,beta}
    decoder.layers.4.{weight_g,weight_v}
  """,
  ),
  "conditioner": (
    "conditioner.conditioners.",
    """
    {seconds_start,seconds_total}.embedder.embedding.0.weights
    {seconds_start,seconds_total}.embedder.embedding.1.{weight,bias}
  """,
  ),
}


def expanded(prefix, names):
  """Every name that a shell would make of them."""
  for name in names.split():
    parts = re.split(r"\{(.*?)\}", name)
    choices = [
      part.split(",") if i % 2 else [part] for i, part in enumerate(parts)
    ]
    yield from (prefix + "".join(c) for c in itertools.product(*choices))


@pytest.mark.parametrize("part", PARTS)
def test_tools_names_are_those_of_its_modules(part):
  found = {row.theirs for row in PARTS[part][1]("stable-audio-tools")}
  assert found == set(expanded(*TOOLS[part]))


def test_tools_fuse_queries_keys_and_values():
  """papers.md 3.9: chunks of axis 0, in the order q, k, v."""
  arrays = ours("denoiser")
  diffusers_rows = list(stable_audio.denoiser(DEPTH, "diffusers"))
  tools_rows = list(stable_audio.denoiser(DEPTH, "stable-audio-tools"))
  split = dict(tables.to_theirs(diffusers_rows, reading(arrays)))
  fused = dict(tables.to_theirs(tools_rows, reading(arrays)))
  there, here = "model.model.transformer.layers.2.", "transformer_blocks.2."
  for name, parts in (
    ("self_attn.to_qkv", ("attn1.to_q", "attn1.to_k", "attn1.to_v")),
    ("cross_attn.to_kv", ("attn2.to_k", "attn2.to_v")),
    ("ff.ff.0.proj", ("ff.net.0.proj",)),
  ):
    want = np.concatenate([split[f"{here}{p}.weight"] for p in parts])
    np.testing.assert_array_equal(fused[f"{there}{name}.weight"], want)
  assert fused["model.model.timestep_features.weight"].shape == (8, 1)


def test_every_mismatch_is_named():
  rows = list(stable_audio.conditioner("diffusers"))
  arrays = ours("conditioner")
  theirs = shapes(dict(tables.to_theirs(rows, reading(arrays))))
  stem = "start_number_conditioner.time_positional_embedding"
  theirs[f"{stem}.1.weights"] = theirs.pop(f"{stem}.1.weight")
  theirs[f"{stem}.1.bias"] = (7,)
  assert tables.mismatches(rows, ours=shapes(arrays), theirs=theirs) == [
    f"{stem}.1.weight is missing",
    f"{stem}.1.weights is unknown",
    f"{stem}.1.bias has shape (7,), the model's is (24,)",
  ]
  with pytest.raises(ValueError, match="timing/total/weights"):
    tables.mismatches(rows[:3], ours=shapes(arrays), theirs=theirs)
