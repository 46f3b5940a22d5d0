"""From frames to a drawn loudness curve: Tri-Ergon's LUFS predictor.

Tri-Ergon (arXiv 2412.20378; papers.md 3.3). The paper's: a transformer encoder
on DINOv2 features at 6 frames a second, up to 60 s, trained by the mean squared
error; S has 12 layers with 8 heads, L has 14 with 12, both are 768 wide; one
LUFS value per channel and frame, on [0, 1] for -70 to 0 LUFS.

Ours, where the paper is silent: the features are CLS tokens, used as they are,
since a ViT-B's are 768 wide; sinusoidal positions; pre-norm layers with a norm
after the last, exact GELU, a feed-forward of 4 times the width, no dropout; a
linear head with a sigmoid; the error's mean is over the valid frames of the
whole batch, so that each weighs the same whichever clip it is from.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from vta.models import layers
from vta.models.attention import attend

FRAME_RATE = 6  # frames a second
MAX_FRAMES = 360  # 60 s


@dataclasses.dataclass(frozen=True, kw_only=True)
class LufsPredictorConfig:
  """Sizes of `LufsPredictor`.

  Attributes:
    depth: number of layers.
    heads: of attention; divides `width`.
    width: channels of the features and of the residual stream.
    ff_multiple: hidden channels of the feed-forward over `width`.
    dtype: of matrix products and the residual stream; parameters, norms'
      statistics, softmax and what comes out are float32 always.
  """

  depth: int
  heads: int
  width: int = 768
  ff_multiple: int = 4
  dtype: Literal["float32", "bfloat16"] = "float32"

  def __post_init__(self):
    # Sines and cosines share the width, too.
    if self.width % self.heads or self.width % 2:
      raise ValueError(
        f"width {self.width} must be even and a multiple of {self.heads} heads"
      )


SMALL = LufsPredictorConfig(depth=12, heads=8)
LARGE = LufsPredictorConfig(depth=14, heads=12)


class LufsPredictor(nn.Module):
  """CLS features of frames to loudness, left and right, 0 for -70 and 1 for 0.

  Frames where the mask is false are neither looked at nor of any meaning in
  what comes out.
  """

  config: LufsPredictorConfig

  @nn.compact
  def __call__(
    self, features: Float[Array, "b f d"], mask: Bool[Array, "b f"]
  ) -> Float[Array, "b f 2"]:
    c, dtype = self.config, jnp.dtype(self.config.dtype)
    count, width = features.shape[1:]
    if width != c.width or count > MAX_FRAMES:
      raise ValueError(
        f"{count} frames of {width} features; at most {MAX_FRAMES} of {c.width}"
      )
    # Attention weighs padding by zero, and zero times NaN would be NaN.
    x = jnp.where(mask[..., None], features.astype(jnp.float32), 0.0)
    x = (x + positions(count, width)).astype(dtype)
    # Scanned, so that any depth compiles in the time of one layer.
    stack = nn.scan(
      _Layer,
      variable_axes={"params": 0},
      split_rngs={"params": True},
      in_axes=nn.broadcast,
      length=c.depth,
    )
    x, _ = stack(c, name="layers")(x, mask)
    x = layers.layer_norm("norm", dtype=jnp.dtype("float32"))(x)
    return nn.sigmoid(nn.Dense(2, name="head")(x))


class _Layer(nn.Module):
  """Self-attention and feed-forward, each after its norm (pre-norm)."""

  config: LufsPredictorConfig

  @nn.compact
  def __call__(
    self, x: Float[Array, "b f d"], mask: Bool[Array, "b f"]
  ) -> tuple[Float[Array, "b f d"], None]:
    c, dtype = self.config, jnp.dtype(self.config.dtype)

    def dense(features, name):
      return layers.dense(features, name, dtype=dtype, bias=True)

    y = layers.layer_norm("attention_norm", dtype=dtype)(x)
    heads = (*x.shape[:2], c.heads, -1)
    q, k, v = (
      dense(c.width, name)(y).reshape(heads)
      for name in ("query", "key", "value")
    )
    attended = attend(q, k, v, mask=mask).reshape(x.shape)
    x += dense(c.width, "attention_out")(attended)
    y = layers.layer_norm("mlp_norm", dtype=dtype)(x)
    hidden = dense(c.ff_multiple * c.width, "mlp_in")(y)
    hidden = nn.gelu(hidden, approximate=False)
    return x + dense(c.width, "mlp_out")(hidden), None


def positions(count: int, width: int) -> Float[np.ndarray, "f d"]:
  """Sinusoidal positions: sines in the first half, cosines in the second.

  Vaswani et al. 2017 (arXiv 1706.03762), base 10000.
  """
  rates = 10_000.0 ** (-np.arange(0, width, 2) / width)
  angles = np.arange(count)[:, None] * rates[None]
  table = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
  return table.astype(np.float32)


def loss(
  predicted: Float[Array, "b f 2"],
  target: Float[Array, "b f 2"],
  mask: Bool[Array, "b f"],
) -> Float[Array, ""]:
  """Mean squared error over valid frames and both channels.

  Zero when no frame is valid. What stands in the others may be NaN.
  """
  error = jnp.where(mask[..., None], predicted - target, 0.0)
  count = jnp.maximum(jnp.sum(mask), 1) * error.shape[-1]
  return jnp.sum(jnp.square(error.astype(jnp.float32))) / count
