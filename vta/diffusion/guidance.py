"""Classifier-free guidance over ordered groups of conditions.

The branches are run in one batch, ordered so that branch 0 has no group and
branch k the groups 1..k. One group is plain guidance; two are Draw an Audio's
(video, then text; papers.md, 1.3), whose form is InstructPix2Pix's.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

Branches = Float[Array, "k b t c"]
Scales = Float[Array, "g"] | Float[Array, "g b"]


def guide(
  branches: Branches, scales: Scales, *, rescale: float = 0.0
) -> Float[Array, "b t c"]:
  """e_0 + sum_k s_k (e_{1..k} - e_{1..k-1}).

  Velocities may be guided like noises: both are the same affine map of the
  clean latents, and the weights of the branches sum to one.

  Args:
    branches: velocities with the first 0, 1, ... of the groups.
    scales: strength per group, or per group and clip; all 1 gives the last
      branch.
    rescale: how far, 0 to 1, the result's deviation is brought back to the
      last branch's (Lin et al. 2305.08891, equation 16); large scales
      saturate without it.
  """
  guided = branches[0] + _weighted(branches[1:] - branches[:-1], scales)
  if not rescale:
    return guided
  ratio = _deviation(branches[-1]) / _deviation(guided)
  return guided * (rescale * ratio + 1 - rescale)


def guide_independent(
  branches: Branches, scales: Scales
) -> Float[Array, "b t c"]:
  """e_0 + sum_k s_k (e_k - e_0), where branch k has group k alone."""
  return branches[0] + _weighted(branches[1:] - branches[:1], scales)


def _weighted(steps: Branches, scales: Scales) -> Float[Array, "b t c"]:
  scales = scales.reshape(scales.shape[0], -1, 1, 1)
  return jnp.sum(scales * steps, axis=0)


def _deviation(x: Float[Array, "b t c"]) -> Float[Array, "b 1 1"]:
  return jnp.std(x, axis=(1, 2), keepdims=True)
