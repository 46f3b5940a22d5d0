"""CLIP's towers in linen, inference only, reading Hugging Face folders.

Radford et al. 2021 (arXiv 2103.00020) as in transformers' CLIPModel: pictures
and texts become vectors of one space, whose cosines compare them. Every
geometry comes from config.json: OpenAI's B/32, B/16 and L/14, OpenCLIP's H/14.
A folder holds a CLIPModel, or one tower with its projection.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import tokenizers
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, UInt8

from vta import errors
from vta.encoders import clip_tokens, images, vit, weights
from vta.encoders import tokens as tokens_lib

_CONFIG = "config.json"
_PUBLIC = "openai/clip-vit-base-patch32"
# What the names of a tower's tensors begin with, in a model of both.
VISION = ("vision_model.", "visual_projection.")
TEXT = ("text_model.", "text_projection.")
# Our name of each part of a layer -> theirs.
PARTS = {
  "attention_norm": "layer_norm1",
  "query": "self_attn.q_proj",
  "key": "self_attn.k_proj",
  "value": "self_attn.v_proj",
  "attention_out": "self_attn.out_proj",
  "mlp_norm": "layer_norm2",
  "mlp_in": "mlp.fc1",
  "mlp_out": "mlp.fc2",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TowerConfig:
  """What both towers have, under the names and defaults of transformers."""

  causal: ClassVar[bool] = False
  parts: ClassVar[Mapping[str, str]] = PARTS
  hidden_size: int
  intermediate_size: int
  num_attention_heads: int
  num_hidden_layers: int = 12
  hidden_act: str = "quick_gelu"
  layer_norm_eps: float = 1e-5
  projection_dim: int = 512

  @property
  def stack(self) -> vit.Stack:
    return vit.Stack(
      width=self.hidden_size,
      layers=self.num_hidden_layers,
      heads=self.num_attention_heads,
      inner=self.intermediate_size,
      epsilon=self.layer_norm_eps,
      activation=self.hidden_act,
      causal=self.causal,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig(_TowerConfig):
  """Geometry of the image tower."""

  hidden_size: int = 768
  intermediate_size: int = 3072
  num_attention_heads: int = 12
  image_size: int = 224
  patch_size: int = 32

  @property
  def grid(self) -> tuple[int, int]:
    """Rows and columns of patches."""
    return (self.image_size // self.patch_size,) * 2

  @property
  def classes(self) -> int:
    """How many class tokens pictures have in turn."""
    return 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextConfig(_TowerConfig):
  """Geometry of the text tower."""

  causal: ClassVar[bool] = True
  hidden_size: int = 512
  intermediate_size: int = 2048
  num_attention_heads: int = 8
  vocab_size: int = 49408
  max_position_embeddings: int = 77
  eos_token_id: int = 49407


_Config = TypeVar("_Config", ImageConfig, TextConfig)


class ImageTower(nn.Module):
  """Pictures to last hidden states, their pooled and the projected one."""

  config: ImageConfig
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, pictures: Float[Array, "b h w 3"]
  ) -> tuple[Float[Array, "b t d"], Float[Array, "b d"], Float[Array, "b p"]]:
    config = self.config
    embed = vit.Picture(
      width=config.hidden_size,
      patch=config.patch_size,
      grid=config.grid,
      classes=config.classes,
      bias=False,
      dtype=self.dtype,
      name="picture",
    )
    x = vit.norm("norm_in", config.layer_norm_eps)(embed(pictures))
    x = vit.transform(x, config.stack, dtype=self.dtype)
    pooled = vit.norm("norm_out", config.layer_norm_eps)(x[:, 0])
    return x, pooled, _project(pooled, config.projection_dim, self.dtype)


class TextTower(nn.Module):
  """Token ids to last hidden states, their pooled and the projected one."""

  config: TextConfig
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, ids: Int[Array, "b t"]
  ) -> tuple[Float[Array, "b t d"], Float[Array, "b d"], Float[Array, "b p"]]:
    config = self.config
    table = functools.partial(nn.Embed, features=config.hidden_size)
    positions = table(config.max_position_embeddings, name="positions")
    x = table(config.vocab_size, name="words")(ids)
    x = x + positions(jnp.arange(ids.shape[1]))
    x = vit.transform(x, config.stack, dtype=self.dtype)
    x = vit.norm("norm_out", config.layer_norm_eps)(x)
    # The first end: the same token may pad.
    legacy = config.eos_token_id == clip_tokens.LEGACY_END
    last = jnp.argmax(ids if legacy else ids == config.eos_token_id, axis=1)
    pooled = jnp.take_along_axis(x, last[:, None, None], axis=1)[:, 0]
    return x, pooled, _project(pooled, config.projection_dim, self.dtype)


def _project(
  pooled: Float[Array, "b d"], features: int, dtype: DTypeLike
) -> Float[Array, "b p"]:
  y = vit.dense(features, "projection", dtype, bias=False)(pooled)
  return y.astype(jnp.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Features:
  """What a tower makes of n pictures or texts.

  Attributes:
    tokens: last hidden states. Of a picture the class token and its patches,
      row by row; of a text those of the padding too: diffusion models that are
      conditioned on CLIP's tokens attend to all of them.
    pooled: the class token after a norm of its own; the token of a text's end.
    projected: in the space of both towers; not of length one.
  """

  tokens: Float[np.ndarray, "n t d"]
  pooled: Float[np.ndarray, "n d"]
  projected: Float[np.ndarray, "n p"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextFeatures(Features):
  """What the text tower makes of n texts.

  Attributes:
    mask: true on real tokens, start and end included.
    cut: for each text the end of it that did not fit and was not read; "" for
      a text that was read whole. Callers tell the user.
  """

  mask: Bool[np.ndarray, "n t"]
  cut: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageEncoder:
  """A frozen image tower and the processing before it.

  Attributes:
    tower: the module.
    params: its parameters, on the device.
    processor: makes pictures of frames.
  """

  tower: ImageTower
  params: dict
  processor: images.Processor

  @classmethod
  def load(
    cls, folder: str | os.PathLike, *, dtype: vit.Dtype = "float32"
  ) -> ImageEncoder:
    """Reads a CLIPModel's or a CLIPVisionModelWithProjection's folder.

    Raises:
      InputError: saying which files are expected where, or listing every
        tensor that does not fit.
    """
    path = weights.checked_folder(
      folder, (_CONFIG, weights.TENSORS, images.FILE), like=_PUBLIC
    )
    config = parse(ImageConfig, "vision", path / _CONFIG)
    processor = images.Processor.load(path / images.FILE)
    if processor.crop_size != config.image_size:
      raise errors.InputError(
        path / images.FILE,
        f"crop_size is {processor.crop_size}, but {_CONFIG} has image_size "
        f"{config.image_size}",
      )
    tensors = weights.read_folder_tensors(path, without=TEXT)
    return cls(
      tower=ImageTower(config, jnp.dtype(dtype)),
      params=jax.device_put(convert_image(tensors, config, where=path)),
      processor=processor,
    )

  def encode(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Features:
    """Features of each RGB frame; they do not depend on the others."""
    tokens, pooled, projected = vit.encode(
      self.tower, self.params, frames, prepare=self.processor
    )
    return Features(tokens=tokens, pooled=pooled, projected=projected)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextEncoder:
  """A frozen text tower and its tokenizer.

  Attributes:
    tower: the module.
    params: its parameters, on the device.
    tokenizer: set up for as many tokens a text as there are positions, 77.
  """

  tower: TextTower
  params: dict
  tokenizer: tokenizers.Tokenizer

  @classmethod
  def load(
    cls,
    folder: str | os.PathLike,
    *,
    dtype: vit.Dtype = "float32",
    models: Sequence[str] = ("clip",),
    like: str = _PUBLIC,
  ) -> TextEncoder:
    """Reads a CLIPModel's or a CLIPTextModelWithProjection's folder.

    Args:
      folder: where it is.
      dtype: of the matrix products.
      models: what a config.json may call a model that has both towers.
      like: a public folder of such a model.

    Raises:
      InputError: saying which files are expected where, or listing every
        tensor that does not fit.
    """
    path = weights.checked_folder(
      folder, (_CONFIG, weights.TENSORS, clip_tokens.FILES), like=like
    )
    config = parse(TextConfig, "text", path / _CONFIG, models=models)
    tokenizer = clip_tokens.load(
      path,
      limit=config.vocab_size,
      end=config.eos_token_id,
      length=config.max_position_embeddings,
    )
    tensors = weights.read_folder_tensors(path, without=VISION)
    return cls(
      tower=TextTower(config, jnp.dtype(dtype)),
      params=jax.device_put(convert_text(tensors, config, where=path)),
      tokenizer=tokenizer,
    )

  def encode(self, texts: Sequence[str]) -> TextFeatures:
    """Features of each text; they do not depend on the others in the list."""
    codes = self.tokenizer.encode_batch(list(texts))
    shape = (-1, self.tower.config.max_position_embeddings)
    ids = np.array([c.ids for c in codes], np.int32).reshape(shape)
    mask = np.array([c.attention_mask for c in codes], bool).reshape(shape)
    tokens, pooled, projected = vit.encode(self.tower, self.params, ids)
    cut = tuple(tokens_lib.cut(t, c) for t, c in zip(texts, codes, strict=True))
    return TextFeatures(
      tokens=tokens, mask=mask, pooled=pooled, projected=projected, cut=cut
    )


def parse(
  kind: type[_Config],
  part: Literal["vision", "text"],
  path: pathlib.Path,
  *,
  models: Sequence[str] = ("clip",),
) -> _Config:
  """A tower's config out of its own config.json or of one of `models`.

  Raises:
    InputError: the file is of another model, or listing what is of no use.
  """
  document = weights.read_config(path)
  alone = f"clip_{part}_model"
  weights.require(document, {"model_type": (*models, alone)}, where=path)
  if document.get("model_type") != alone:
    # In old files what ends in "_dict" counts, and alone.
    old, new = (document.get(f"{part}_config{end}") for end in ("_dict", ""))
    own = new if old is None else old
    if not isinstance(own, dict):
      raise errors.InputError(path, f"{part}_config must be an object")
    document = own | {"projection_dim": document.get("projection_dim", 512)}
  ported = {"hidden_act": ("quick_gelu", "gelu"), "num_channels": (3,)}
  weights.require(document, ported, where=path)
  return vit.parse(kind, document, where=path)


def convert_image(
  tensors: Mapping[str, np.ndarray],
  config: ImageConfig,
  *,
  where: str | os.PathLike,
) -> dict:
  """A state dict's image half as the parameters of `ImageTower`.

  Raises:
    InputError: listing every tensor that does not fit the config.
  """
  width, patch = config.hidden_size, config.patch_size
  count, turns = 1 + math.prod(config.grid), config.classes
  with weights.taking(
    tensors, prefix="vision_model.", whole="encoder.", where=where
  ) as take:
    patches = vit.convert_patches(
      take, "embeddings.patch_embedding", width, patch
    )
    shape = (width,) if turns == 1 else (turns, width)
    first = take("embeddings.class_embedding", *shape)
    return {
      "picture": {
        "class_token": first.reshape(turns, width),
        "patches": {"kernel": patches},
        "positions": take("embeddings.position_embedding.weight", count, width),
      },
      # Theirs is spelt so.
      "norm_in": vit.convert_norm(take, "pre_layrnorm", width),
      **_convert_rest(take, config, "post_layernorm", "visual_projection"),
    }


def convert_text(
  tensors: Mapping[str, np.ndarray],
  config: TextConfig,
  *,
  where: str | os.PathLike,
) -> dict:
  """A state dict's text half as the parameters of `TextTower`.

  Raises:
    InputError: listing every tensor that does not fit the config.
  """
  width, count = config.hidden_size, config.max_position_embeddings
  with weights.taking(
    tensors, prefix="text_model.", whole="encoder.", where=where
  ) as take:
    words = take("embeddings.token_embedding.weight", config.vocab_size, width)
    positions = take("embeddings.position_embedding.weight", count, width)
    return {
      "words": {"embedding": words},
      "positions": {"embedding": positions},
      **_convert_rest(take, config, "final_layer_norm", "text_projection"),
    }


def _convert_rest(
  take: vit.Take, config: _TowerConfig, norm: str, projection: str
) -> dict:
  """What both towers have."""
  width = config.hidden_size
  kernel = take(f"{projection}.weight", config.projection_dim, width).T
  return {
    "layers": vit.convert_layers(
      take, config.stack, "encoder.layers", config.parts
    ),
    "norm_out": vit.convert_norm(take, norm, width),
    "projection": {"kernel": kernel},
  }
