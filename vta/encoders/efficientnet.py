"""EfficientNet-Lite0 in linen, inference only, up to its pooled feature.

Tan and Le 2019 (arXiv 1905.11946) in the Lite form of TensorFlow's
efficientnet_lite_builder.py: inverted bottlenecks, ReLU6, no squeeze and
excitation, TensorFlow's "same" padding. Checkpoints come under the names of
the PyPI package efficientnet_lite_pytorch. Batch norm is folded into the
convolution before it: frozen, it is one gain and one bias a channel.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vta.encoders import weights

SIDE = 224  # pixels
WIDTH = 1280  # of the feature
_STEM = 32
_EPSILON = 1e-3  # of every batch norm

# As in bert.py: the same features on every accelerator.
_PRECISION = jax.lax.Precision.HIGHEST


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
  """Sizes of an inverted bottleneck.

  Attributes:
    inputs: channels that come in.
    features: channels that go out.
    taps: side of the depthwise kernel.
    stride: of the depthwise convolution.
    expand: how many times as wide its middle is.
  """

  inputs: int
  features: int
  taps: int
  stride: int
  expand: int


def _blocks() -> tuple[Block, ...]:
  # Repeats, taps, stride of the first, expansion, features.
  stages = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
  )
  made, inputs = [], _STEM
  for repeats, taps, stride, expand, features in stages:
    for i in range(repeats):
      made.append(
        Block(
          inputs=inputs,
          features=features,
          taps=taps,
          stride=stride if i == 0 else 1,
          expand=expand,
        )
      )
      inputs = features
  return tuple(made)


BLOCKS = _blocks()


class EfficientNetLite0(nn.Module):
  """Pictures, (pixel - 127) / 128, to features."""

  @nn.compact
  def __call__(
    self, pictures: Float[Array, "b 224 224 3"]
  ) -> Float[Array, "b 1280"]:
    stem = nn.Conv(
      _STEM,
      (3, 3),
      strides=2,
      padding="SAME",
      precision=_PRECISION,
      name="stem",
    )
    x = nn.relu6(stem(pictures))
    for i, block in enumerate(BLOCKS):
      x = _Block(block, name=f"block_{i}")(x)
    x = nn.relu6(nn.Dense(WIDTH, precision=_PRECISION, name="head")(x))
    return x.mean(axis=(1, 2))


class _Block(nn.Module):
  """Expand, look around, project; the input is added where it fits."""

  block: Block

  @nn.compact
  def __call__(self, inputs):
    block = self.block
    middle = block.inputs * block.expand
    x = inputs
    if block.expand > 1:
      x = nn.relu6(nn.Dense(middle, precision=_PRECISION, name="expand")(x))
    shape = (block.taps, block.taps, middle)
    kernel = self.param("depthwise", nn.initializers.lecun_normal(), shape)
    bias = self.param("depthwise_bias", nn.initializers.zeros, (middle,))
    x = nn.relu6(_depthwise(x, kernel, block.stride) + bias)
    x = nn.Dense(block.features, precision=_PRECISION, name="project")(x)
    if block.stride == 1 and block.inputs == block.features:
      x = x + inputs
    return x


def _depthwise(
  x: Float[Array, "b h h c"], kernel: Float[Array, "k k c"], stride: int
) -> Float[Array, "b i i c"]:
  """Each channel convolved with its own kernel, "same" padding.

  A sum over the taps, which XLA fuses: its grouped convolution took 4 to 16
  times the time on a CPU.
  """
  taps, side = len(kernel), x.shape[1]
  reach = (-(-side // stride) - 1) * stride  # of a tap, first place to last
  pad = max(reach + taps - side, 0)
  around = (pad // 2, pad - pad // 2)
  x = jnp.pad(x, ((0, 0), around, around, (0, 0)))
  return sum(
    kernel[i, j] * x[:, i : i + reach + 1 : stride, j : j + reach + 1 : stride]
    for i, j in itertools.product(range(taps), repeat=2)
  )


def convert(
  tensors: Mapping[str, np.ndarray], *, where: str | os.PathLike
) -> dict:
  """A state dict as the parameters of `EfficientNetLite0`.

  The classifier is ignored.

  Raises:
    InputError: naming the tensor that is missing or has the wrong shape.
  """

  def take(name, *shape):
    return weights.take(tensors, name, shape, where=where)

  def folded(conv, norm, outputs, inputs, taps):
    """Kernel [taps, taps, inputs, outputs] and bias of both as one."""
    gain = take(f"{norm}.weight", outputs) / np.sqrt(
      take(f"{norm}.running_var", outputs) + _EPSILON
    )
    kernel = take(f"{conv}.weight", outputs, inputs, taps, taps)
    mean = take(f"{norm}.running_mean", outputs)
    bias = take(f"{norm}.bias", outputs) - gain * mean
    return kernel.transpose(2, 3, 1, 0) * gain, bias

  def dense(conv, norm, outputs, inputs):
    kernel, bias = folded(conv, norm, outputs, inputs, 1)
    return {"kernel": kernel[0, 0], "bias": bias}

  def bottleneck(root, block):
    middle = block.inputs * block.expand
    kernel, bias = folded(
      f"{root}._depthwise_conv", f"{root}._bn1", middle, 1, block.taps
    )
    made = {
      "depthwise": kernel[:, :, 0],
      "depthwise_bias": bias,
      "project": dense(
        f"{root}._project_conv", f"{root}._bn2", block.features, middle
      ),
    }
    if block.expand > 1:
      made["expand"] = dense(
        f"{root}._expand_conv", f"{root}._bn0", middle, block.inputs
      )
    return made

  kernel, bias = folded("_conv_stem", "_bn0", _STEM, 3, 3)
  return {
    "stem": {"kernel": kernel, "bias": bias},
    **{
      f"block_{i}": bottleneck(f"_blocks.{i}", block)
      for i, block in enumerate(BLOCKS)
    },
    "head": dense("_conv_head", "_bn1", WIDTH, BLOCKS[-1].features),
  }
