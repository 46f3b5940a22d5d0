"""Attention of the denoiser: one function for the scores, one module around it.

Stable Audio Open's numerics (papers.md, 3.6): no biases, half of each head's
channels turned by rotary positions in self-attention, fewer key and value heads
than query heads in cross-attention.
"""

from __future__ import annotations

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vta.conditioning.conditions import Stream
from vta.models import layers

# Scores that a processor holds at a time, 16 MiB: what its cache can keep.
_SCORES = 2**22


def attend(
  q: Float[Array, "b t h d"],
  k: Float[Array, "b s hk d"],
  v: Float[Array, "b s hk d"],
  *,
  mask: Bool[Array, "b s"] | None = None,
) -> Float[Array, "b t h d"]:
  """Scaled dot-product attention; scores and softmax are in float32.

  Query head i reads key and value head i // (h / hk): torch's
  repeat_interleave. `mask` tells which keys may be attended to, at least one
  per clip. On a processor long clips go a few heads at a time, so that scores
  never leave its cache.
  """
  shared = q.shape[2] // k.shape[2]
  k, v = (jnp.repeat(x, shared, axis=2) for x in (k, v))
  # Heads beside the batch: on CPU twice as fast as jax.nn's own einsums.
  q, k, v = (x.swapaxes(1, 2) for x in (q * q.shape[-1] ** -0.5, k, v))
  if mask is not None:
    mask = jnp.broadcast_to(mask[:, None], k.shape[:3])
  y = jax.lax.platform_dependent(
    q, k, v, mask, cpu=_few_heads_at_a_time, default=_heads
  )
  return y.swapaxes(1, 2)


def _heads(q, k, v, mask):
  """Attention of heads apart, [..., t, d]; `mask` is [..., s]."""
  scores = jnp.einsum(
    "...td,...sd->...ts", q, k, preferred_element_type=jnp.float32
  )
  if mask is not None:
    lowest = jnp.finfo(scores.dtype).min
    scores = jnp.where(mask[..., None, :], scores, lowest)
  # The sum divides the result, which is smaller than the weights.
  highest = jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))
  weights = jnp.exp(scores - highest)
  total = jnp.sum(weights, axis=-1, keepdims=True)
  y = jnp.einsum(
    "...ts,...sd->...td",
    weights.astype(v.dtype),
    v,
    preferred_element_type=jnp.float32,
  )
  return (y / total).astype(v.dtype)


def _few_heads_at_a_time(q, k, v, mask):
  heads = q.shape[0] * q.shape[1]
  most = max(1, _SCORES // (q.shape[2] * k.shape[2]))
  if heads <= most:
    return _heads(q, k, v, mask)
  size = max(n for n in range(1, most + 1) if heads % n == 0)
  parts = jax.tree.map(
    lambda x: x.reshape(heads // size, size, *x.shape[2:]), (q, k, v, mask)
  )
  y = jax.lax.map(lambda part: _heads(*part), parts)
  return y.reshape(q.shape)


class Attention(nn.Module):
  """Multi-head attention of a sequence over itself or over tokens.

  A decoupled stream has keys and values of its own and shares the queries and
  the output projection (IP-Adapter; Smooth-Foley). Its values start at zero, so
  that adding a stream to a trained model changes nothing at first.
  """

  heads: int
  kv_heads: int
  qk_norm: bool
  dtype: jnp.dtype

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t c"],
    source: Float[Array, "b s e"],
    *,
    mask: Bool[Array, "b s"] | None = None,
    rotary: layers.Rotary | None = None,
    decoupled: Mapping[str, Stream] | None = None,
  ) -> Float[Array, "b t c"]:
    size = x.shape[-1] // self.heads

    def project(name, tokens, heads, *, zero=False):
      layer = layers.dense(heads * size, name, dtype=self.dtype, zero=zero)
      y = layer(tokens).reshape(*tokens.shape[:2], heads, size)
      return nn.with_logical_constraint(y, ("batch", "length", "heads", None))

    def normalise(name, y):
      return nn.RMSNorm(dtype=self.dtype, name=name)(y) if self.qk_norm else y

    q = normalise("norm_q", project("to_q", x, self.heads))
    k = normalise("norm_k", project("to_k", source, self.kv_heads))
    v = project("to_v", source, self.kv_heads)
    if rotary is not None:
      q, k = layers.rotate(q, rotary), layers.rotate(k, rotary)
    y = attend(q, k, v, mask=mask)
    for name, stream in sorted((decoupled or {}).items()):
      own = project(f"to_k_{name}", stream.tokens, self.kv_heads)
      k = normalise(f"norm_k_{name}", own)
      v = project(f"to_v_{name}", stream.tokens, self.kv_heads, zero=True)
      part = attend(q, k, v, mask=stream.mask)
      if stream.scale is not None:
        part *= stream.scale.astype(part.dtype)[:, None, None, None]
      y += part
    out = layers.dense(x.shape[-1], "to_out_0", dtype=self.dtype, zero=True)
    return out(y.reshape(*x.shape[:2], -1))
