"""Frames and motion: a small trained encoder from pixels to a sequence (ours).

A masked clip is encoded instead of the clip, not beside it: what the mask
hides cannot sound, by construction. (Draw an Audio encodes both and lets the
model weigh them; that form is its own preset's.)
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jaxtyping import Array, Float, Int, UInt8


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameEncoderConfig:
  """Sizes of `FrameEncoder`.

  Attributes:
    widths: channels of every stage. The first merges patches of 4 x 4 pixels,
      a quarter of its channels for how they look and the rest for how they
      change; each of the others merges 2 x 2 patches of the one before.
    features: width of the sequence that comes out.
    taps: frames that each of the two temporal layers sees; odd.
    tower: width of what a frozen tower says of each frame; 0 is no tower.
  """

  widths: tuple[int, ...] = (64, 64, 128, 256)
  features: int = 256
  taps: int = 5
  tower: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TowerConfig:
  """A frozen tower that sees the frames, and no encoder of ours.

  Attributes:
    by: its name.
    tower: width of what it says of each frame.
  """

  by: str
  tower: int


class FrameEncoder(nn.Module):
  """Pictures, what moved in them, and the mask, to one vector a frame.

  Space is a tree of merged patches: matrix products only, which two CPU cores
  and a TPU's matrix unit both run near their limits, where small convolutions
  do not (ten times slower here on a CPU).
  """

  config: FrameEncoderConfig

  @nn.compact
  def __call__(
    self,
    frames: UInt8[Array, "b f h w 3"],
    mask: UInt8[Array, "b f h w"],
    tower: Float[Array, "b f e"] | None = None,
  ) -> Float[Array, "b f d"]:
    shown = mask[..., None] / 255.0
    picture = (frames / 127.5 - 1.0) * shown
    # Motion: the differences to the frames before and after, where shown.
    change = jnp.pad(jnp.diff(picture, axis=1), ((0, 0), (1, 1), *[(0, 0)] * 3))
    motion = jnp.concatenate([change[:, :-1], change[:, 1:]], axis=-1) * shown
    still = jnp.concatenate([picture, shown], axis=-1)
    # Apart at first: normalised together, a textured patch in which little
    # moves would hide the little, and that is when most contacts happen.
    first, *widths = self.config.widths
    look = nn.Dense(first // 4, name="look")(_patches(still, 4))
    move = nn.Dense(first - first // 4, name="move")(4.0 * _patches(motion, 4))
    x = jnp.concatenate([_normalise(look), move], axis=-1)
    x = nn.silu(x)
    for i, width in enumerate(widths):
      x = nn.Dense(width, name=f"merge_{i}")(_patches(x, 2))
      x = nn.silu(_level(x))
    # Flattened, not pooled: where in the picture it happens is the pan.
    x = rearrange(x, "b f h w c -> b f (h w c)")
    x = nn.Dense(self.config.features, name="project")(x)
    if self.config.tower:
      # Whatever the tower's scale, it starts on a par with the pixels.
      x = x + nn.Dense(self.config.features, name="tower")(_normalise(tower))
    half = self.config.taps // 2
    for i in range(2):
      y = jnp.pad(_normalise(x), ((0, 0), (half, half), (0, 0)), mode="edge")
      taps = [y[:, k : k + x.shape[1]] for k in range(self.config.taps)]
      y = jnp.concatenate(taps, axis=-1)
      x = x + nn.silu(nn.Dense(self.config.features, name=f"temporal_{i}")(y))
    return x


def _patches(x: Float[Array, "b f h w c"], side: int):
  """Squares of `side` x `side`, flattened into channels."""
  return rearrange(x, "b f (h i) (w j) c -> b f h w (i j c)", i=side, j=side)


def _level(x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
  """Divides by the RMS of the whole frame: what moves stays above what rests.

  The floor keeps a frame without anything from being blown up.
  """
  power = jnp.mean(jnp.square(x), axis=(-3, -2, -1), keepdims=True)
  return x * jax.lax.rsqrt(power + 0.01)


def _normalise(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
  """Layer normalisation without gain and bias.

  With them the encoder collapsed: before the denoiser could use the picture, a
  negative bias before the SiLU made the features constant, for good.
  """
  return nn.standardize(x, axis=-1)


def at_latents(
  features: Float[Array, "b f d"],
  left: Int[Array, "b t"],
  fraction: Float[Array, "b t"],
) -> Float[Array, "b t d"]:
  """Linear interpolation from frame to latent time.

  `left` and `fraction` come from the frames' time stamps
  (`vta.signals.timing.weights`), so any frame rate will do.
  """
  before = jnp.take_along_axis(features, left[..., None], axis=1)
  after = jnp.take_along_axis(features, left[..., None] + 1, axis=1)
  return before + fraction[..., None] * (after - before)
