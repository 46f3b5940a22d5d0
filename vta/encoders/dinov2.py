"""DINOv2 in linen, inference only, reading Hugging Face folders.

Oquab et al. 2023 (arXiv 2304.07193) as in transformers' Dinov2Model, S/14 to
g/14: features of a whole picture and of its patches that no caption has
shaped. It is run on another size (224 pixels) than it was trained on last
(518): its positions are interpolated.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

from vta import errors
from vta.encoders import images, vit, weights

_CONFIG = "config.json"
_PUBLIC = "facebook/dinov2-base"
_PORTED: Mapping[str, tuple] = {
  "model_type": ("dinov2",),
  "hidden_act": ("gelu",),
  "qkv_bias": (True,),
  "num_channels": (3,),
}
# Our name of each part of a layer -> theirs.
_NAMES = {
  "attention_norm": "norm1",
  "query": "attention.attention.query",
  "key": "attention.attention.key",
  "value": "attention.attention.value",
  "attention_out": "attention.output.dense",
  "attention_scale": "layer_scale1.lambda1",
  "mlp_norm": "norm2",
  "mlp_scale": "layer_scale2.lambda1",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dinov2Config:
  """DINOv2's geometry, under the names and defaults of transformers."""

  hidden_size: int = 768
  num_hidden_layers: int = 12
  num_attention_heads: int = 12
  mlp_ratio: int = 4
  layer_norm_eps: float = 1e-6
  image_size: int = 224
  patch_size: int = 14
  use_swiglu_ffn: bool = False

  @property
  def stack(self) -> vit.Stack:
    inner = self.hidden_size * self.mlp_ratio
    if self.use_swiglu_ffn:
      # Two thirds, so that three matrices have the size of two; then whole
      # multiples of eight.
      inner = -(-int(inner * 2 / 3) // 8) * 8
    return vit.Stack(
      width=self.hidden_size,
      layers=self.num_hidden_layers,
      heads=self.num_attention_heads,
      inner=inner,
      epsilon=self.layer_norm_eps,
      activation="swiglu" if self.use_swiglu_ffn else "gelu",
      layer_scale=True,
    )


class Dinov2(nn.Module):
  """Pictures of any size to last hidden states, the class token first."""

  config: Dinov2Config
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, pictures: Float[Array, "b h w 3"]
  ) -> Float[Array, "b t d"]:
    config = self.config
    embed = vit.Picture(
      width=config.hidden_size,
      patch=config.patch_size,
      grid=(config.image_size // config.patch_size,) * 2,
      bias=True,
      dtype=self.dtype,
      name="picture",
    )
    x = vit.transform(embed(pictures), config.stack, dtype=self.dtype)
    return vit.norm("norm", config.layer_norm_eps)(x)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Features:
  """What the tower makes of n pictures.

  Attributes:
    pooled: the class token.
    patches: one token each, row by row.
  """

  pooled: Float[np.ndarray, "n d"]
  patches: Float[np.ndarray, "n p d"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoder:
  """The frozen tower and the processing before it.

  Attributes:
    tower: the module.
    params: its parameters, on the device.
    processor: makes pictures of frames.
  """

  tower: Dinov2
  params: dict
  processor: images.Processor

  @classmethod
  def load(
    cls, folder: str | os.PathLike, *, dtype: vit.Dtype = "float32"
  ) -> Encoder:
    """Reads a Dinov2Model's folder; its classifier's is fine.

    Raises:
      InputError: saying which files are expected where, or listing every
        tensor that does not fit.
    """
    path = weights.checked_folder(
      folder, (_CONFIG, weights.TENSORS, images.FILE), like=_PUBLIC
    )
    document = weights.read_config(path / _CONFIG)
    weights.require(document, _PORTED, where=path / _CONFIG)
    config = vit.parse(Dinov2Config, document, where=path / _CONFIG)
    processor = images.Processor.load(path / images.FILE)
    if processor.crop_size < config.patch_size:
      raise errors.InputError(
        path / images.FILE,
        f"crop_size {processor.crop_size} is less than a patch, "
        f"{config.patch_size}",
      )
    tensors = weights.read_folder_tensors(path)
    return cls(
      tower=Dinov2(config, jnp.dtype(dtype)),
      params=jax.device_put(convert(tensors, config, where=path)),
      processor=processor,
    )

  def encode(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Features:
    """Features of each RGB frame; they do not depend on the others."""
    tokens = vit.encode(self.tower, self.params, frames, prepare=self.processor)
    return Features(pooled=tokens[:, 0], patches=tokens[:, 1:])


def convert(
  tensors: Mapping[str, np.ndarray],
  config: Dinov2Config,
  *,
  where: str | os.PathLike,
) -> dict:
  """A Dinov2Model's state dict as the parameters of `Dinov2`.

  Raises:
    InputError: listing every tensor that does not fit the config.
  """
  width, patch = config.hidden_size, config.patch_size
  count = 1 + (config.image_size // patch) ** 2
  if config.use_swiglu_ffn:
    mlp = {"mlp_in": "mlp.weights_in", "mlp_out": "mlp.weights_out"}
  else:
    mlp = {"mlp_in": "mlp.fc1", "mlp_out": "mlp.fc2"}
  projection = "embeddings.patch_embeddings.projection"
  with weights.taking(
    tensors, prefix="dinov2.", whole="encoder.", where=where
  ) as take:
    return {
      "picture": {
        "class_token": take("embeddings.cls_token", 1, 1, width)[0],
        "patches": {
          "kernel": vit.convert_patches(take, projection, width, patch),
          "bias": take(f"{projection}.bias", width),
        },
        "positions": take("embeddings.position_embeddings", 1, count, width)[0],
      },
      "layers": vit.convert_layers(
        take, config.stack, "encoder.layer", _NAMES | mlp
      ),
      "norm": vit.convert_norm(take, "layernorm", width),
    }
