"""A drawn loudness curve is obeyed, not only listened to (ours).

A codec whose first latents are the loudness makes it possible: at every step
the sampler's clean estimate is moved onto the curve before it is used, as ILVR
(Choi et al. 2021) and DDNM (Wang et al. 2022) replace what is known of an
image. The steps that follow see the level that was asked for, and fill in what
sounds so loud; between the curve's blocks the estimate keeps its own envelope.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vta.models import levels
from vta.signals import loudness as loudness_lib

_ROUNDS = 4  # of proportional fitting: latents and blocks overlap


@functools.cache
def overlaps(
  samples: int, *, hop: int, latents: int
) -> Float[np.ndarray, "k l"]:
  """What share of each loudness block is in each latent; rows sum to 1."""
  edges = loudness_lib.block_edges(samples)
  latents = np.arange(latents) * hop
  begins = np.maximum(edges[:-1, None], latents[None])
  ends = np.minimum(edges[1:, None], latents[None] + hop)
  share = np.maximum(ends - begins, 0) / np.diff(edges)[:, None]
  return share.astype(np.float32)


def obey(
  latents: Float[Array, "b l c"],
  lufs: Float[Array, "b k 2"],
  drawn: Bool[Array, "b"],
  *,
  share: Float[np.ndarray, "k l"],
) -> Float[Array, "b l c"]:
  """Latents whose loudness in every block is that of the curve.

  Args:
    latents: of a codec with `groups`, as the codec has them.
    lufs: the curve at the blocks of `loudness.momentary`; at its floor, what
      is louder is taken below it and what is softer stays.
    drawn: clips that have a curve; the others stay as they are.
    share: `overlaps`.
  """
  wanted = 10.0 ** ((lufs - loudness_lib.OFFSET) / 10.0)
  silent = lufs <= loudness_lib.FLOOR
  power = levels.power_of_loudness(latents[..., :2])
  # A latent's gain: the mean in dB of its blocks', by how much it is in each.
  weight = share / np.maximum(share.sum(axis=0, keepdims=True), 1e-9)
  for _ in range(_ROUNDS):
    found = jnp.einsum("kl,blc->bkc", share, power)
    ratio = wanted / found
    ratio = jnp.where(silent, jnp.minimum(0.5 * ratio, 1.0), ratio)
    power *= jnp.exp(jnp.einsum("kl,bkc->blc", weight, jnp.log(ratio)))
  loudness = jnp.where(
    drawn[:, None, None],
    levels.loudness_of_power(power),
    latents[..., :2],
  )
  return jnp.concatenate([loudness, latents[..., 2:]], axis=-1)
