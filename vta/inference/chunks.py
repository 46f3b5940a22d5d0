"""A long clip through the codec in chunks: whole results in bounded memory.

Convolutions see only so far. Every latent or sample is computed from a chunk
that reaches as far beyond it as the network does, and what a chunk's own edges
have spoiled is cut off. Where a chunk ends with the clip nothing is cut: its
layers then pad as those of the whole clip do. So the result is that of the
whole clip but for the order of float32 sums, there are no seams to fade over,
and memory is that of one chunk.

A codec with groups goes whole: the noise in its shapes belongs to the clip, and
its network is small.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from vta.models import autoencoder

# 128 latents of the full size are 6 s, of which context is 1 s.
SIZE = 128
# Waves are padded to a multiple of this many latents: few programs to compile.
_BUCKET = 32
_KERNEL = 7  # of a residual unit's wide convolution and of both first ones
_NARROW = 3  # of the encoder's last


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reach:
  """How far beyond a latent's own samples the network sees, in latents."""

  before: int
  after: int


def encoding_reach(config: autoencoder.AutoencoderConfig) -> Reach:
  """Latents whose samples a latent is computed from, beside its own."""
  # First and last place, at each layer, that latent 0 depends on.
  first, last = _wider(0, 0, _NARROW)
  for stride in reversed(config.strides):
    pad = -(-stride // 2)
    first, last = first * stride - pad, (last + 2) * stride - 1 - pad
    first, last = _through_units(first, last, config)
  first, last = _wider(first, last, _KERNEL)
  return Reach(before=-(first // config.hop), after=last // config.hop)


def decoding_reach(config: autoencoder.AutoencoderConfig) -> Reach:
  """Latents that a latent's samples are computed from, beside their own."""
  first, last = _wider(0, config.hop - 1, config.edge)
  for stride in config.strides:
    first, last = _through_units(first, last, config)
    pad = -(-stride // 2)
    first, last = (first + pad) // stride - 1, (last + pad) // stride
  first, last = _wider(first, last, _KERNEL)
  return Reach(before=-first, after=last)


def _wider(first: int, last: int, kernel: int, dilation: int = 1):
  extent = (kernel - 1) * dilation // 2
  return first - extent, last + extent


def _through_units(first, last, config):
  for dilation in config.dilations:
    first, last = _wider(first, last, _KERNEL, dilation)
  return first, last


@functools.partial(jax.jit, static_argnames=("codec", "size"))
def decode(
  codec: autoencoder.Autoencoder,
  params: PyTree,
  latents: Float[Array, "b l d"],
  *,
  size: int = SIZE,
) -> Float[Array, "b t c"]:
  """`codec.decode` in chunks: latents to wave, [b, l x hop, channels].

  Args:
    codec: whose parameters they are.
    params: of the codec.
    latents: of the whole clip.
    size: latents a chunk, context included. Memory is proportional to it; a
      clip of no more is decoded whole.

  Raises:
    ValueError: `size` leaves nothing beside the context.
  """

  def apply(x):
    return codec.apply({"params": params}, x, method="decode")

  if codec.config.groups:
    return apply(latents)
  reach, hop = decoding_reach(codec.config), codec.config.hop
  return _chunked(apply, latents, reach, size, unit=1, made=hop)


@functools.partial(jax.jit, static_argnames=("codec", "size"))
def encode(
  codec: autoencoder.Autoencoder,
  params: PyTree,
  wave: Float[Array, "b t c"],
  *,
  size: int = SIZE,
) -> autoencoder.Posterior:
  """`codec.encode` in chunks: wave to posterior, [b, t / hop, latents].

  Args:
    codec: whose parameters they are.
    params: of the codec.
    wave: of the whole clip.
    size: latents a chunk, context included, as for `decode`.

  Raises:
    ValueError: as for `decode`, or t is not a multiple of the hop.
  """

  hop = codec.config.hop
  if codec.config.groups or wave.shape[1] % hop:
    return codec.apply({"params": params}, wave, method="encode")
  reach = encoding_reach(codec.config)

  def apply(x):
    posterior = codec.apply({"params": params}, x, method="encode")
    return posterior.mean, posterior.scale

  mean, scale = _chunked(apply, wave, reach, size, unit=hop, made=1)
  return autoencoder.Posterior(mean=mean, scale=scale)


def describe(
  codec: autoencoder.Autoencoder, params: PyTree, wave: Float[np.ndarray, "t c"]
) -> tuple[Float[np.ndarray, "l d"], Float[np.ndarray, "l d"]]:
  """A wave of any length to the mean and the deviation of its latents."""
  hop = codec.config.hop
  latents = -(-len(wave) // hop)
  # Padded and cut in NumPy: JAX would compile both for every length anew.
  pad = -len(wave) % (_BUCKET * hop)
  padded = np.pad(wave, ((0, pad), (0, 0)))[None]
  posterior = encode(codec, params, padded)
  mean, std = np.asarray(posterior.mean), np.asarray(posterior.std)
  return mean[0, :latents], std[0, :latents]


def _chunked(apply, x, reach: Reach, size: int, *, unit: int, made: int):
  """`apply(x)`, one chunk at a time.

  Args:
    apply: what maps `unit` steps a latent to `made` steps a latent, on axis 1.
    x: of the whole clip.
    reach: of `apply`.
    size: latents a chunk.
    unit: steps of `x` a latent.
    made: steps of the result a latent.
  """
  latents = x.shape[1] // unit
  if latents <= size:
    return apply(x)
  fresh = size - reach.before - reach.after
  if fresh < 1:
    raise ValueError(
      f"a chunk of {size} latents is all context, of {reach.before} before "
      f"and {reach.after} after"
    )
  count = 1 + -(-(latents - size) // fresh)
  # The last chunk is full too; it repeats what the one before it has.
  starts = np.minimum(np.arange(count) * fresh, latents - size)
  # Of the clip: where each chunk's share of the result begins.
  cuts = [0, *(np.arange(1, count) * fresh + reach.before), latents]

  def chunk(start):
    part = jax.lax.dynamic_slice_in_dim(x, start * unit, size * unit, axis=1)
    return apply(part)

  parts = jax.lax.map(chunk, jnp.asarray(starts, jnp.int32))

  def join(parts):
    shares = zip(parts, starts, itertools.pairwise(cuts), strict=True)
    return jnp.concatenate(
      [
        part[:, (begin - start) * made : (end - start) * made]
        for part, start, (begin, end) in shares
      ],
      axis=1,
    )

  return jax.tree.map(join, parts)
