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


def guide(branches: Branches, scales: Scales) -> Float[Array, "b t c"]:
  """e_0 + sum_k s_k (e_{1..k} - e_{1..k-1}).

  Velocities may be guided like noises: both are the same affine map of the
  clean latents, and the weights of the branches sum to one.

  Args:
    branches: velocities with the first 0, 1, ... of the groups.
    scales: strength per group, or per group and clip; all 1 gives the last
      branch.
  """
  return branches[0] + _weighted(branches[1:] - branches[:-1], scales)


def guide_independent(
  branches: Branches, scales: Scales
) -> Float[Array, "b t c"]:
  """e_0 + sum_k s_k (e_k - e_0), where branch k has group k alone."""
  return branches[0] + _weighted(branches[1:] - branches[:1], scales)


def _weighted(steps: Branches, scales: Scales) -> Float[Array, "b t c"]:
  scales = scales.reshape(scales.shape[0], -1, 1, 1)
  return jnp.sum(scales * steps, axis=0)
