"""Names of Stable Audio Open's parameters: diffusers and stable-audio-tools.

papers.md 3.9, after diffusers' scripts/convert_stable_audio.py. Ours are
diffusers' with an underscore beside each index, and the blocks stacked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from vta.interop import tables
from vta.interop.tables import Row

Format = Literal["diffusers", "stable-audio-tools"]

# stable-audio-tools keeps all parts in one file, under these.
TOOLS_DENOISER = "model.model."
TOOLS_CODEC = "pretransform.model."
TOOLS_CONDITIONER = "conditioner.conditioners."
# What its files hold besides, and a model does not: it is recomputed.
TOOLS_DERIVED = ("model.model.transformer.rotary_pos_emb.inv_freq",)

# A module of the denoiser: ours, diffusers', stable-audio-tools'.
_OUTER = (
  ("timestep_proj_0", "timestep_proj.0", "to_timestep_embed.0"),
  ("timestep_proj_2", "timestep_proj.2", "to_timestep_embed.2"),
  ("cross_attention_proj_0", "cross_attention_proj.0", "to_cond_embed.0"),
  ("cross_attention_proj_2", "cross_attention_proj.2", "to_cond_embed.2"),
  ("global_proj_0", "global_proj.0", "to_global_embed.0"),
  ("global_proj_2", "global_proj.2", "to_global_embed.2"),
  ("proj_in", "proj_in", "transformer.project_in"),
  ("proj_out", "proj_out", "transformer.project_out"),
)
# Those of a block; (i, n): the i-th of n shares of a fused layer.
_INNER = (
  ("attn1/to_q", "attn1.to_q", "self_attn.to_qkv", (0, 3)),
  ("attn1/to_k", "attn1.to_k", "self_attn.to_qkv", (1, 3)),
  ("attn1/to_v", "attn1.to_v", "self_attn.to_qkv", (2, 3)),
  ("attn1/to_out_0", "attn1.to_out.0", "self_attn.to_out", (0, 1)),
  ("attn2/to_q", "attn2.to_q", "cross_attn.to_q", (0, 1)),
  ("attn2/to_k", "attn2.to_k", "cross_attn.to_kv", (0, 2)),
  ("attn2/to_v", "attn2.to_v", "cross_attn.to_kv", (1, 2)),
  ("attn2/to_out_0", "attn2.to_out.0", "cross_attn.to_out", (0, 1)),
  ("ff/net_0_proj", "ff.net.0.proj", "ff.ff.0.proj", (0, 1)),
  ("ff/net_2", "ff.net.2", "ff.ff.2", (0, 1)),
)
_NORMS = (
  ("norm1", "norm1", "pre_norm"),
  ("norm2", "norm2", "cross_attend_norm"),
  ("norm3", "norm3", "ff_norm"),
)
_BIASED = ("timestep_proj_0", "timestep_proj_2", "ff/net_0_proj", "ff/net_2")


def denoiser(depth: int, naming: Format) -> Iterator[Row]:
  """Rows of the denoiser of so many blocks."""
  tools = naming == "stable-audio-tools"
  prefix = TOOLS_DENOISER if tools else ""
  yield Row(
    ours="time_proj/weight",
    theirs=f"{prefix}timestep_features.weight" if tools else "time_proj.weight",
    layout=tables.COLUMN if tools else tables.SAME,
  )
  for name in ("preprocess_conv", "postprocess_conv"):
    yield Row(
      ours=f"{name}/kernel",
      theirs=f"{prefix}{name}.weight",
      layout=tables.POINTWISE,
    )
  for ours, *both in _OUTER:
    yield from _dense(ours, prefix + both[tools])
  for layer in range(depth):
    stem = f"transformer_blocks.{layer}."
    if tools:
      stem = f"{prefix}transformer.layers.{layer}."
    for ours, diffusers, fused, part in _INNER:
      name, share = (fused, part) if tools else (diffusers, (0, 1))
      yield from _dense(ours, stem + name, layer=layer, part=share)
    for ours, *both in _NORMS:
      leaves = ("gamma", "beta") if tools else ("weight", "bias")
      for leaf, theirs in zip(("scale", "bias"), leaves, strict=True):
        yield Row(
          ours=f"transformer_blocks/{ours}/{leaf}",
          theirs=f"{stem}{both[tools]}.{theirs}",
          layer=layer,
        )


def _dense(ours, theirs, *, layer=None, part=(0, 1)) -> Iterator[Row]:
  path = ours if layer is None else f"transformer_blocks/{ours}"
  yield Row(
    ours=f"{path}/kernel",
    theirs=f"{theirs}.weight",
    layout=tables.LINEAR,
    layer=layer,
    part=part,
  )
  if ours in _BIASED:
    yield Row(ours=f"{path}/bias", theirs=f"{theirs}.bias", layer=layer)


def codec(stages: int, naming: Format) -> Iterator[Row]:
  """Rows of the codec of so many strides."""
  tools = naming == "stable-audio-tools"
  prefix = TOOLS_CODEC if tools else ""

  def snake(ours, theirs):
    for leaf in ("alpha", "beta"):
      yield Row(
        ours=f"{ours}/{leaf}",
        theirs=f"{prefix}{theirs}.{leaf}",
        layout=tables.SAME if tools else tables.CHANNEL,
      )

  def convolution(ours, theirs, *, layout=tables.CONVOLUTION, bias=True):
    name = prefix + theirs
    yield Row(ours=f"{ours}/v", theirs=f"{name}.weight_v", layout=layout)
    yield Row(ours=f"{ours}/g", theirs=f"{name}.weight_g", layout=tables.GAIN)
    if bias:
      yield Row(ours=f"{ours}/bias", theirs=f"{name}.bias")

  def unit(ours, theirs):
    names = ("snake1", "conv1", "snake2", "conv2")
    for i, name in enumerate(names):
      there = f"{theirs}.layers.{i}" if tools else f"{theirs}.{name}"
      make = snake if name.startswith("snake") else convolution
      yield from make(f"{ours}/{name}", there)

  # Position in torch's Sequential of each part of a block.
  places = {
    "encoder": ("res_unit1", "res_unit2", "res_unit3", "snake1", "conv1"),
    "decoder": ("snake1", "conv_t1", "res_unit1", "res_unit2", "res_unit3"),
  }
  for side, parts in places.items():

    def outer(place, name, side=side):
      return f"{side}.layers.{place}" if tools else f"{side}.{name}"

    yield from convolution(f"{side}/conv1", outer(0, "conv1"))
    for stage in range(stages):
      block = outer(stage + 1, f"block.{stage}")
      for place, name in enumerate(parts):
        ours = f"{side}/block_{stage}/{name}"
        theirs = f"{block}.layers.{place}" if tools else f"{block}.{name}"
        if name.startswith("res_unit"):
          yield from unit(ours, theirs)
        elif name.startswith("snake"):
          yield from snake(ours, theirs)
        elif name == "conv_t1":
          yield from convolution(ours, theirs, layout=tables.TRANSPOSED)
        else:
          yield from convolution(ours, theirs)
    yield from snake(f"{side}/snake1", outer(stages + 1, "snake1"))
    yield from convolution(
      f"{side}/conv2", outer(stages + 2, "conv2"), bias=side == "encoder"
    )


def conditioner(naming: Format, *, projected: bool = False) -> Iterator[Row]:
  """Rows of `vta.conditioning.stable_audio`.

  Args:
    naming: whose names.
    projected: whether the prompt's tokens are of another width than the
      denoiser's; diffusers alone has that.
  """
  tools = naming == "stable-audio-tools"
  for ours, diffusers, theirs in (
    ("start", "start_number_conditioner", "seconds_start"),
    ("total", "end_number_conditioner", "seconds_total"),
  ):
    path, stem = f"timing/{ours}", f"{diffusers}.time_positional_embedding"
    if tools:
      stem = f"{TOOLS_CONDITIONER}{theirs}.embedder.embedding"
    yield Row(ours=f"{path}/weights", theirs=f"{stem}.0.weights")
    yield Row(
      ours=f"{path}/project/kernel",
      theirs=f"{stem}.1.weight",
      layout=tables.LINEAR,
    )
    yield Row(ours=f"{path}/project/bias", theirs=f"{stem}.1.bias")
  if projected:
    yield Row(
      ours="text_projection/kernel",
      theirs="text_projection.weight",
      layout=tables.LINEAR,
    )
    yield Row(ours="text_projection/bias", theirs="text_projection.bias")
