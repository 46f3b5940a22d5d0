"""HTS-AT in linen, inference only: CLAP's audio tower.

Chen et al. 2022 (arXiv 2202.00874), as in transformers' ClapAudioModel without
fusion. It is a Swin transformer (Liu et al. 2021, arXiv 2103.14030): attention
in windows of a log-mel picture, every other layer in windows moved by half, and
stages between which two by two tokens become one. The picture is made square:
the sound's quarters lie below each other.
"""

from __future__ import annotations

import dataclasses
import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vta.encoders import vit

# Of the norms for which the config has none, and of the batch norm.
EPSILON = 1e-5
# Added to scores between what was not beside each other before windows moved.
_APART = -100.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """The tower's geometry, under the names and defaults of transformers."""

  window_size: int = 8
  num_mel_bins: int = 64
  spec_size: int = 256
  patch_size: int = 4
  patch_embeds_hidden_size: int = 96
  depths: tuple[int, ...] = (2, 2, 6, 2)
  num_attention_heads: tuple[int, ...] = (4, 8, 16, 32)
  mlp_ratio: float = 4.0
  layer_norm_eps: float = 1e-5
  hidden_size: int = 768
  projection_dim: int = 512
  enable_fusion: bool = False

  @property
  def parts(self) -> int:
    """How many stretches of time the picture has below each other."""
    return self.spec_size // self.num_mel_bins

  @property
  def widths(self) -> tuple[int, ...]:
    """Of a token in each stage."""
    width = self.patch_embeds_hidden_size
    return tuple(width << stage for stage in range(len(self.depths)))

  @property
  def sides(self) -> tuple[int, ...]:
    """Rows, and columns, of tokens in each stage."""
    side = self.spec_size // self.patch_size
    return tuple(side >> stage for stage in range(len(self.depths)))


class Tower(nn.Module):
  """Decibels to last hidden states, their mean and the projected one."""

  config: Config
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, decibels: Float[Array, "b t m"]
  ) -> tuple[Float[Array, "b u f d"], Float[Array, "b d"], Float[Array, "b p"]]:
    config, batch = self.config, len(decibels)
    ones, zeros = nn.initializers.ones, nn.initializers.zeros
    shape = (config.num_mel_bins,)
    x = decibels * self.param("band_gain", ones, shape)
    x = x + self.param("band_shift", zeros, shape)
    x = _square(x, config)
    side, patch = config.sides[0], config.patch_size
    x = x.reshape(batch, side, patch, side, patch).swapaxes(2, 3)
    x = x.reshape(batch, side, side, -1)
    x = vit.dense(config.widths[0], "patches", self.dtype)(x)
    x = vit.norm("norm_in", EPSILON)(x)
    for stage, depth in enumerate(config.depths):
      if stage:
        # Of two by two tokens, those in a column first.
        corners = [x[:, i::2, j::2] for j in range(2) for i in range(2)]
        name = f"merge_{stage}"
        x = vit.norm(f"{name}_norm", EPSILON)(jnp.concatenate(corners, -1))
        x = vit.dense(config.widths[stage], name, self.dtype, bias=False)(x)
        # What the branches are added to.
        x = x.astype(jnp.float32)
      for i in range(depth):
        name = f"stage_{stage}_layer_{i}"
        x = _Layer(config, stage, i % 2 == 1, self.dtype, name=name)(x)
    x = vit.norm("norm_out", EPSILON)(x)
    pooled = x.mean(axis=(1, 2))
    y = vit.dense(config.projection_dim, "projection_in", self.dtype)(pooled)
    y = vit.dense(config.projection_dim, "projection", self.dtype)(nn.relu(y))
    # (part, band), time in it -> time, band.
    x = x.reshape(batch, config.parts, -1, x.shape[2], x.shape[3])
    x = x.swapaxes(2, 3).reshape(batch, -1, x.shape[2], x.shape[4])
    return x.astype(jnp.float32), pooled, y.astype(jnp.float32)


class _Layer(nn.Module):
  """Attention in windows and MLP, each after its norm, each added."""

  config: Config
  stage: int
  moved: bool
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: Float[Array, "b s s d"]) -> Float[Array, "b s s d"]:
    config = self.config
    batch, side, _, width = x.shape
    window, heads = config.window_size, config.num_attention_heads[self.stage]
    count, inside = side // window, window**2
    # One window is all there is: nothing to move.
    shift = window // 2 if self.moved and side > window else 0
    y = vit.norm("attention_norm", config.layer_norm_eps)(x)
    y = jnp.roll(y, (-shift, -shift), (1, 2))
    y = y.reshape(batch, count, window, count, window, width).swapaxes(2, 3)
    y = y.reshape(batch, count**2, inside, width)
    q, k, v = (
      vit.dense(width, name, self.dtype)(y).reshape(*y.shape[:3], heads, -1)
      for name in ("query", "key", "value")
    )
    scores = jnp.einsum(
      "bwqhd,bwkhd->bwhqk",
      q,
      k,
      precision=vit.PRECISION,
      preferred_element_type=jnp.float32,
    )
    shape = ((2 * window - 1) ** 2, heads)
    table = self.param("places", nn.initializers.zeros, shape)
    scores = scores / math.sqrt(width // heads)
    scores = scores + table[_offsets(window)].transpose(2, 0, 1)
    if shift:
      scores = scores + _apart(side, window, shift)[:, None]
    y = jnp.einsum(
      "bwhqk,bwkhd->bwqhd",
      nn.softmax(scores).astype(v.dtype),
      v,
      precision=vit.PRECISION,
    )
    y = vit.dense(width, "attention_out", self.dtype)(
      y.reshape(batch, count**2, inside, width)
    )
    y = y.reshape(batch, count, count, window, window, width).swapaxes(2, 3)
    x = x + jnp.roll(y.reshape(x.shape), (shift, shift), (1, 2))
    y = vit.norm("mlp_norm", config.layer_norm_eps)(x)
    y = vit.dense(int(config.mlp_ratio * width), "mlp_in", self.dtype)(y)
    y = nn.gelu(y, approximate=False)
    return x + vit.dense(width, "mlp_out", self.dtype)(y)


def _square(x: Float[Array, "b t m"], config: Config) -> Float[Array, "b s s"]:
  """The picture: time stretched to fit, and its parts below each other."""
  side, parts = config.spec_size, config.parts
  matrix = vit.cubic(x.shape[1], side * parts, corners=True)
  x = jnp.einsum("ut,btm->bum", matrix, x, precision=vit.PRECISION)
  x = x.reshape(len(x), parts, side, -1).swapaxes(2, 3)
  return x.reshape(len(x), side, side)


def _offsets(window: int) -> np.ndarray:
  """Row of the table for each pair of a window's tokens."""
  places = np.stack(np.indices((window, window)), -1).reshape(-1, 2)
  rows, columns = (places[:, None] - places + window - 1).transpose(2, 0, 1)
  return rows * (2 * window - 1) + columns


def _apart(side: int, window: int, shift: int) -> np.ndarray:
  """For each moved window and pair of its tokens, 0 or `_APART`."""
  # What came around the edge lies in the last `shift` rows and columns.
  around = np.arange(side) >= side - shift
  region = 2 * around[:, None] + around
  count = side // window
  region = region.reshape(count, window, count, window).swapaxes(1, 2)
  region = region.reshape(count**2, window**2)
  return np.where(region[:, :, None] == region[:, None], 0, _APART).astype(
    np.float32
  )
