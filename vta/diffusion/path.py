"""The path from latents to noise: cosine, variance-preserving, v-prediction.

    z_t = alpha z_0 + sigma e,   v = alpha e - sigma z_0
    alpha = cos(pi t / 2),   sigma = sin(pi t / 2),   t from 0 to 1

Stable Audio's and Tri-Ergon's objective (papers.md, 0.2 and 3.7). The map is a
rotation of the plane (z_0, e), so its inverse is its transpose.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

Latents = Float[Array, "b ..."]
Time = Float[Array, "b"]


def coefficients(time: Float[Array, "..."]) -> tuple[Array, Array]:
  """Alpha and sigma at `time`."""
  angle = jnp.pi / 2 * time
  return jnp.cos(angle), jnp.sin(angle)


def add_noise(clean: Latents, noise: Latents, time: Time) -> Latents:
  """Noisy latents at `time`, one time per clip."""
  alpha, sigma = _per_clip(time, clean)
  return alpha * clean + sigma * noise


def velocity(clean: Latents, noise: Latents, time: Time) -> Latents:
  """What the denoiser learns to predict from `add_noise`'s result."""
  alpha, sigma = _per_clip(time, clean)
  return alpha * noise - sigma * clean


def to_clean(noisy: Latents, velocity: Latents, time: Time) -> Latents:
  """The latents that a velocity stands for."""
  alpha, sigma = _per_clip(time, noisy)
  return alpha * noisy - sigma * velocity


def _per_clip(time: Time, like: Latents) -> tuple[Array, Array]:
  return coefficients(time.reshape(-1, *[1] * (like.ndim - 1)))
