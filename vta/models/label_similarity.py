"""How surely a label sounds at a frame: Smooth-Foley's learned similarity.

Smooth-Foley (arXiv 2412.18157; papers.md 5.1 and 5.3). The paper's: every
frame's CLIP feature through a learnable projection, its cosine with the
label's text embedding, cut at 0.5. How that is supervised it does not say.

Ours (papers.md 5.3, 9.10): p = sigmoid(a cos(P f, e) + b), since bare cosines
of CLIP lie at 0.15 to 0.35 and would never pass 0.5; P begins as the identity,
which leaves CLIP's own space as it is, or is orthogonal where the widths
differ; a and b are learned with P by binary cross entropy, a as its logarithm,
so that it stays positive and its steps are relative (SigLIP's, arXiv
2303.15343).
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Bool, Float

_LEAST = 1e-8  # of a norm; torch's cosine_similarity has the same


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelSimilarityConfig:
  """Sizes of `LabelSimilarity`, and where it starts.

  Attributes:
    frame_width: of a frame's features.
    label_width: of a label's embedding.
    scale: a's first value, positive.
    bias: b's.
  """

  frame_width: int
  label_width: int
  scale: float
  bias: float

  def __post_init__(self):
    if self.scale <= 0.0:
      raise ValueError(f"predictor.scale {self.scale} is not positive")


class LabelSimilarity(nn.Module):
  """Features of frames and embeddings of labels to logits: a cos(P f, e) + b.

  Neither needs to be of length one. What is all zero has a cosine of zero.
  """

  config: LabelSimilarityConfig

  @nn.compact
  def __call__(
    self, frames: Float[Array, "b f d"], labels: Float[Array, "b k e"]
  ) -> Float[Array, "b f k"]:
    c = self.config
    if (frames.shape[-1], labels.shape[-1]) != (c.frame_width, c.label_width):
      raise ValueError(
        f"frames of {frames.shape[-1]} and labels of {labels.shape[-1]}; "
        f"expected {c.frame_width} and {c.label_width}"
      )
    same = c.frame_width == c.label_width
    start = _identity if same else nn.initializers.orthogonal()
    project = nn.Dense(
      c.label_width, use_bias=False, kernel_init=start, name="project"
    )
    constant = nn.initializers.constant
    scale = self.param("log_scale", constant(np.log(c.scale)), (1,))
    bias = self.param("bias", constant(c.bias), (1,))
    seen = _unit(project(frames.astype(jnp.float32)))
    named = _unit(labels.astype(jnp.float32))
    cosine = jnp.einsum("bfe,bke->bfk", seen, named)
    return jnp.exp(scale) * cosine + bias


def loss(
  logits: Float[Array, "b f k"],
  target: Float[Array, "b f k"],
  mask: Bool[Array, "b f k"],
) -> Float[Array, ""]:
  """Binary cross entropy, the mean over the frames and labels that count.

  Zero when none does.
  """
  entropy = optax.sigmoid_binary_cross_entropy(logits, target)
  return jnp.sum(jnp.where(mask, entropy, 0.0)) / jnp.maximum(jnp.sum(mask), 1)


def _identity(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
  return jnp.eye(shape[0], dtype=dtype)


def _unit(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
  # Padding is zero: the root's gradient there would be infinite.
  power = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(power, _LEAST**2))
