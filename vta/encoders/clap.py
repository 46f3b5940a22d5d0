"""CLAP's audio tower in linen, inference only, reading Hugging Face folders.

Wu et al. 2023 (arXiv 2211.06687), laion/clap-htsat-unfused and what has its
layout in transformers' ClapModel. What config.json and the tensors say becomes
the tower of htsat.py; an embedding of sound, for a reference or a score.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vta import errors
from vta.encoders import clap_audio, htsat, vit, weights

_CONFIG = "config.json"
_PUBLIC = "laion/clap-htsat-unfused"
# What the names of the other tower's tensors begin with.
_TEXT = ("text_model.", "text_projection.")
_PORTED: Mapping[str, tuple] = {
  "hidden_act": ("gelu",),
  "projection_hidden_act": ("relu",),
  "patch_embed_input_channels": (1,),
  "flatten_patch_embeds": (True,),
  "enable_patch_layer_norm": (True,),
  "qkv_bias": (True,),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Features:
  """What the tower makes of n sounds.

  Attributes:
    tokens: last hidden states, by time (32 in ten seconds) and band (2).
    pooled: their mean.
    projected: in the space of both of CLAP's towers.
    embedding: `projected` made of length one, what get_audio_features returns.
  """

  tokens: Float[np.ndarray, "n t f d"]
  pooled: Float[np.ndarray, "n d"]
  projected: Float[np.ndarray, "n p"]
  embedding: Float[np.ndarray, "n p"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioEncoder:
  """The frozen audio tower and the processing before it.

  Attributes:
    tower: the module.
    params: its parameters, on the device.
    processor: makes decibels of sound.
  """

  tower: htsat.Tower
  params: dict
  processor: clap_audio.Processor

  @classmethod
  def load(
    cls, folder: str | os.PathLike, *, dtype: vit.Dtype = "float32"
  ) -> AudioEncoder:
    """Reads a ClapModel's or a ClapAudioModelWithProjection's folder.

    Raises:
      InputError: saying which files are expected where, or listing every
        tensor that does not fit.
    """
    path = weights.checked_folder(
      folder, (_CONFIG, weights.TENSORS, clap_audio.FILE), like=_PUBLIC
    )
    config = _parse(path / _CONFIG)
    processor = clap_audio.Processor.load(path / clap_audio.FILE)
    longest = config.spec_size * config.parts
    if (
      processor.feature_size != config.num_mel_bins
      or processor.frames > longest
    ):
      raise errors.InputError(
        path / clap_audio.FILE,
        f"makes {processor.frames} frames of {processor.feature_size} bands, "
        f"but {_CONFIG} is of {longest} of {config.num_mel_bins}",
      )
    tensors = weights.read_folder_tensors(path, without=_TEXT)
    return cls(
      tower=htsat.Tower(config, jnp.dtype(dtype)),
      params=jax.device_put(convert(tensors, config, where=path)),
      processor=processor,
    )

  def encode(self, waves: Float[np.ndarray, "n t c"], *, rate: int) -> Features:
    """Features of each sound at `rate` Hz, of its channels' mean.

    Raises:
      ValueError: the sounds are empty.
    """

    def prepare(batch):
      return np.stack([self.processor(wave, rate) for wave in batch])

    tokens, pooled, projected = vit.encode(
      self.tower, self.params, waves, prepare=prepare
    )
    norms = np.linalg.norm(projected, axis=-1, keepdims=True)
    return Features(
      tokens=tokens,
      pooled=pooled,
      projected=projected,
      embedding=projected / norms,
    )


def _parse(path: pathlib.Path) -> htsat.Config:
  document = weights.read_config(path)
  alone = "clap_audio_model"
  weights.require(document, {"model_type": ("clap", alone)}, where=path)
  if document.get("model_type") != alone:
    own = document.get("audio_config")
    if not isinstance(own, dict):
      raise errors.InputError(path, "audio_config must be an object")
    shared = ("projection_dim", "projection_hidden_act")
    document = own | {n: document[n] for n in shared if n in document}
  weights.require(document, _PORTED, where=path)
  if document.get("enable_fusion"):
    raise errors.InputError(
      path,
      "enable_fusion is true; only models without fusion are supported, such "
      "as laion/clap-htsat-unfused",
    )
  # One number, or one for rows and one for columns.
  patch, stride = (
    _number(document.get(name, 4)) for name in ("patch_size", "patch_stride")
  )
  config = vit.parse(htsat.Config, document | {"patch_size": patch}, where=path)
  wrong = []
  if patch != stride:
    wrong.append(f"patch_stride must be patch_size, not {stride}")
  if config.spec_size % config.num_mel_bins:
    wrong.append("spec_size must be a multiple of num_mel_bins")
  if len(config.depths) != len(config.num_attention_heads):
    wrong.append("num_attention_heads must be as many as depths")
  elif any(
    w % h
    for w, h in zip(config.widths, config.num_attention_heads, strict=True)
  ):
    wrong.append("num_attention_heads must divide the stages' widths")
  if config.hidden_size != config.widths[-1]:
    wrong.append(f"hidden_size must be the last stage's, {config.widths[-1]}")
  if config.spec_size != config.sides[0] * config.patch_size or any(
    side << stage != config.sides[0] or side % config.window_size
    for stage, side in enumerate(config.sides)
  ):
    wrong.append("every stage must consist of whole windows")
  if wrong:
    raise errors.InputError(path, "; ".join(wrong))
  return config


def _number(value: Any) -> Any:
  """The number that a list repeats; what is none comes back."""
  alike = isinstance(value, list) and len(value) == 2 and len(set(value)) == 1
  return value[0] if alike else value


def convert(
  tensors: Mapping[str, np.ndarray],
  config: htsat.Config,
  *,
  where: str | os.PathLike,
) -> dict:
  """A ClapModel's state dict as the parameters of `htsat.Tower`.

  Raises:
    InputError: listing every tensor that does not fit the config.
  """
  root = "audio_encoder"
  with weights.taking(
    tensors, prefix="audio_model.", whole=root, where=where
  ) as take:
    bands, patch = config.num_mel_bins, config.patch_size
    norm = f"{root}.batch_norm"
    mean, variance, weight, bias = (
      take(f"{norm}.{name}", bands)
      for name in ("running_mean", "running_var", "weight", "bias")
    )
    gain = weight / np.sqrt(variance + htsat.EPSILON)
    first, last, size = (
      config.widths[0],
      config.widths[-1],
      config.projection_dim,
    )
    embed = f"{root}.patch_embed"
    kernel = take(f"{embed}.proj.weight", first, 1, patch, patch)
    params = {
      "band_gain": gain,
      "band_shift": bias - mean * gain,
      "patches": {
        "kernel": kernel.reshape(first, -1).T,
        "bias": take(f"{embed}.proj.bias", first),
      },
      "norm_in": vit.convert_norm(take, f"{embed}.norm", first),
      "norm_out": vit.convert_norm(take, f"{root}.norm", last),
      "projection_in": vit.convert_dense(
        take, "audio_projection.linear1", last, size
      ),
      "projection": vit.convert_dense(
        take, "audio_projection.linear2", size, size
      ),
    }
    for stage, (width, depth) in enumerate(
      zip(config.widths, config.depths, strict=True)
    ):
      if stage:
        name = f"{root}.layers.{stage - 1}.downsample"
        merged = take(f"{name}.reduction.weight", width, 2 * width)
        params[f"merge_{stage}"] = {"kernel": merged.T}
        params[f"merge_{stage}_norm"] = vit.convert_norm(
          take, f"{name}.norm", 2 * width
        )
      for i in range(depth):
        params[f"stage_{stage}_layer_{i}"] = _convert_layer(
          take, f"{root}.layers.{stage}.blocks.{i}", config, stage
        )
    return params


def _convert_layer(
  take: vit.Take, root: str, config: htsat.Config, stage: int
) -> dict:
  width = config.widths[stage]
  inner, heads = (
    int(config.mlp_ratio * width),
    config.num_attention_heads[stage],
  )
  sizes = {
    "query": ("attention.self.query", width, width),
    "key": ("attention.self.key", width, width),
    "value": ("attention.self.value", width, width),
    "attention_out": ("attention.output.dense", width, width),
    "mlp_in": ("intermediate.dense", width, inner),
    "mlp_out": ("output.dense", inner, width),
  }
  table = "attention.self.relative_position_bias_table"
  return {
    "attention_norm": vit.convert_norm(take, f"{root}.layernorm_before", width),
    "mlp_norm": vit.convert_norm(take, f"{root}.layernorm_after", width),
    "places": take(f"{root}.{table}", (2 * config.window_size - 1) ** 2, heads),
    **{
      ours: vit.convert_dense(take, f"{root}.{name}", *size)
      for ours, (name, *size) in sizes.items()
    },
  }
