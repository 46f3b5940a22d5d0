"""From frames to when something sounds: SonicVisionLM's timestamp detector.

SonicVisionLM (CVPR 2024; papers.md 2.1 (ii)). The paper's: R(2+1)D-18 (Tran et
al. 2018, arXiv 1711.11248), a linear head after the pooling, one 0 or 1 for
every frame, binary cross entropy in which an event weighs as much as its share
of all that sounds.

After the onset baseline of XYPB/CondFoleyGen, which the paper names: the
temporal stride of the last three stages is taken out, pooling is over the
picture alone, the head has a hidden layer, 30 frames of 112 pixels are 2 s.

Ours: events are as long as the frames in them, so that what a stretch cuts off
does not count; weights have mean 1 in every clip; batch norm is `BatchNorm`.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, UInt8

from vta.models.batch_norm import BatchNorm

# "balanced" is CondFoleyGen's: what sounds weighs as much as what does not.
EventWeight = Literal["duration", "inverse", "none", "balanced"]

# ImageNet's, of channels from 0 to 1.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_KAIMING = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventDetectorConfig:
  """Sizes of `Network`; the defaults are R(2+1)D-18's.

  Attributes:
    widths: channels of every stage; each but the first halves the picture.
    blocks: residual blocks of every stage.
    stem: channels between the two halves of the first convolution.
    hidden: channels of the head's hidden layer.
    dtype: of convolutions and the residual stream; parameters, batch norm's
      statistics, the head and what comes out are float32 always.
  """

  widths: tuple[int, ...] = (64, 128, 256, 512)
  blocks: tuple[int, ...] = (2, 2, 2, 2)
  stem: int = 45
  hidden: int = 128
  dtype: Literal["float32", "bfloat16"] = "float32"

  def __post_init__(self):
    if len(self.widths) != len(self.blocks):
      raise ValueError(
        f"{len(self.widths)} widths for {len(self.blocks)} stages of blocks"
      )
    if min(*self.widths, *self.blocks, self.stem, self.hidden) < 1:
      raise ValueError("widths, blocks, stem and hidden must be 1 or more")


def middle(inputs: int, features: int) -> int:
  """Channels between the halves of a factored convolution.

  As many as give it the parameters of a 3 x 3 x 3 one (Tran et al. 2018,
  section 3.5), in torchvision's rounding.
  """
  return inputs * features * 27 // (inputs * 9 + 3 * features)


class Network(nn.Module):
  """Frames to logits of an event at each; at least one frame of any size."""

  config: EventDetectorConfig

  @nn.compact
  def __call__(
    self, frames: UInt8[Array, "b f h w 3"], *, training: bool
  ) -> Float[Array, "b f"]:
    """By the batch's own statistics in training, else by the population's."""
    c = self.config
    x = (frames / 255.0 - jnp.asarray(_MEAN)) / jnp.asarray(_STD)
    x = x.astype(jnp.dtype(c.dtype))
    x = _Trunk(c, name="trunk")(x, training=training)
    x = jnp.mean(x.astype(jnp.float32), axis=(2, 3))
    x = nn.relu(nn.Dense(c.hidden, name="hidden")(x))
    return nn.Dense(1, name="logit")(x)[..., 0]


class _Trunk(nn.Module):
  """R(2+1)D up to its pooling, every frame kept."""

  config: EventDetectorConfig

  @nn.compact
  def __call__(
    self, x: Float[Array, "b f h w 3"], *, training: bool
  ) -> Float[Array, "b f i j c"]:
    c = self.config
    x = _Factored(c.widths[0], c.stem, 7, 2, name="stem")(x, training=training)
    x = nn.relu(BatchNorm(name="stem_norm")(x, training=training))
    for stage, (width, count) in enumerate(
      zip(c.widths, c.blocks, strict=True)
    ):
      for i in range(count):
        halves = stage > 0 and i == 0
        x = _Block(width, halves, name=f"stage_{stage}_{i}")(
          x, training=training
        )
    return x


class _Block(nn.Module):
  """Two factored convolutions, added to the input or its projection."""

  features: int
  halves: bool

  @nn.compact
  def __call__(
    self, x: Float[Array, "b f h w i"], *, training: bool
  ) -> Float[Array, "b f j k o"]:
    # Of the first one's inputs in the second too, as torchvision has it.
    between = middle(x.shape[-1], self.features)
    stride = 2 if self.halves else 1

    def convolution(number, stride, x):
      name = f"conv_{number}"
      made = _Factored(self.features, between, 3, stride, name=name)
      x = made(x, training=training)
      return BatchNorm(name=f"norm_{number}")(x, training=training)

    y = convolution(1, 1, nn.relu(convolution(0, stride, x)))
    if self.halves:
      project = _convolution(self.features, 1, stride, x, "shortcut")
      x = BatchNorm(name="shortcut_norm")(project(x), training=training)
    return nn.relu(x + y)


class _Factored(nn.Module):
  """A 3-D convolution as one over the picture and one over three frames.

  Both run as 2-D ones, over frame after frame and over time beside all pixels:
  on two CPU cores 1.8 to 13 times as fast as the 3-D ones that they are, and
  0.8 to 6.5 times with their gradients.
  """

  features: int
  between: int
  side: int
  stride: int

  @nn.compact
  def __call__(
    self, x: Float[Array, "b f h w i"], *, training: bool
  ) -> Float[Array, "b f j k o"]:
    spatial = _convolution(self.between, self.side, self.stride, x, "spatial")
    y = nn.relu(BatchNorm(name="norm")(spatial(x), training=training))
    shape = y.shape
    y = y.reshape(*shape[:2], -1, self.between)
    temporal = nn.Conv(
      self.features,
      (3, 1),
      padding=((1, 1), (0, 0)),
      use_bias=False,
      dtype=x.dtype,
      kernel_init=_KAIMING,
      name="temporal",
    )
    return temporal(y).reshape(*shape[:-1], self.features)


def _convolution(features, side, stride, x, name) -> nn.Conv:
  """A convolution of pictures in the dtype of `x`, padded as torch's."""
  return nn.Conv(
    features,
    (side, side),
    strides=stride,
    padding=side // 2,
    use_bias=False,
    dtype=x.dtype,
    kernel_init=_KAIMING,
    name=name,
  )


def frame_weights(
  target: Float[Array, "b f"],
  mask: Bool[Array, "b f"],
  *,
  event_weight: EventWeight,
) -> Float[Array, "b f"]:
  """How much each frame's cross entropy counts; 0 where the mask is false.

  "duration" is the paper's, read to the letter: 1 where nothing sounds, inside
  event k its share d_k / sum d of all that sounds in the clip, so that long
  events count more. "inverse" is one over that share, ours, and "none" is 1;
  all three are scaled to mean 1 over each clip's valid frames. "balanced" is
  CondFoleyGen's: the number of silent over that of sounding frames in the whole
  batch, which is not scaled.

  Args:
    target: 1 in the frames of an event; neighbours are of one event.
    mask: false for padding.
    event_weight: which.
  """
  sounds = (target > 0.5) & mask
  count = jnp.sum(mask)
  if event_weight == "balanced":
    positive = jnp.sum(sounds)
    ratio = (count - positive) / jnp.maximum(positive, 1)
    return jnp.where(mask, jnp.where(sounds, ratio, 1.0), 0.0)
  weight = jnp.ones_like(target)
  if event_weight != "none":
    before = jnp.pad(sounds[:, :-1], ((0, 0), (1, 0)))
    event = jnp.cumsum(sounds & ~before, axis=1)
    same = event[:, :, None] == event[:, None]
    length = jnp.sum(same & sounds[:, None], axis=2)
    share = length / jnp.maximum(jnp.sum(sounds, axis=1, keepdims=True), 1)
    if event_weight == "inverse":
      share = 1.0 / jnp.maximum(share, 1e-6)
    weight = jnp.where(sounds, share, 1.0)
  weight = jnp.where(mask, weight, 0.0)
  total = jnp.maximum(jnp.sum(weight, axis=1, keepdims=True), 1e-6)
  return weight * jnp.sum(mask, axis=1, keepdims=True) / total


def loss(
  logits: Float[Array, "b f"],
  target: Float[Array, "b f"],
  mask: Bool[Array, "b f"],
  *,
  event_weight: EventWeight,
) -> Float[Array, ""]:
  """Weighted binary cross entropy, a mean over the batch's valid frames.

  Zero when no frame is valid. What stands in the others may be NaN.
  """
  logits = jnp.where(mask, logits.astype(jnp.float32), 0.0)
  target = jnp.where(mask, target, 0.0)
  weight = frame_weights(target, mask, event_weight=event_weight)
  # log(1 + e^-x) where it sounds, log(1 + e^x) where it does not.
  entropy = jax.nn.softplus(jnp.where(target > 0.5, -logits, logits))
  return jnp.sum(weight * entropy) / jnp.maximum(jnp.sum(mask), 1)
