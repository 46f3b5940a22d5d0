"""How training spreads over noise levels: times drawn and losses weighted."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from vta.diffusion import path


def stratified_times(key: Key[Array, ""], count: int) -> Float[Array, "n"]:
  """Times that are uniform on [0, 1) each, and evenly spread together.

  One offset turns a regular grid: the loss of a batch varies far less than
  with independent times (Kingma et al. 2021, "Variational diffusion models",
  appendix I.1).
  """
  offset = jax.random.uniform(key)
  return (offset + jnp.arange(count) / count) % 1.0


def uniform(time: Float[Array, "b"]) -> Float[Array, "b"]:
  """Weight 1 on the squared error of v, Stable Audio's."""
  return jnp.ones_like(time)


def min_snr(
  time: Float[Array, "b"], *, gamma: float = 5.0
) -> Float[Array, "b"]:
  """Min-SNR weight on the squared error of v (Hang et al. 2023; Tango).

  min(SNR, gamma) / (SNR + 1), written so that it is finite at both ends.
  """
  alpha, sigma = path.coefficients(time)
  return jnp.minimum(alpha**2, gamma * sigma**2)


def clamped(
  time: Float[Array, "b"], *, gamma: float = 5.0
) -> Float[Array, "b"]:
  """`uniform`, but less where next to no noise is left (ours).

  min(SNR + 1, gamma) / (SNR + 1), Min-SNR's bound on the weight that `uniform`
  puts on clean latents. Min-SNR itself also takes nearly all weight from the
  noisy end (0.03 at time 0.9), and that is where a model decides what happens
  when and how loud: what a drawn curve or a picture is for.
  """
  _, sigma = path.coefficients(time)
  return jnp.minimum(1.0, gamma * sigma**2)


def weights(
  name: str, time: Float[Array, "b"], *, gamma: float
) -> Float[Array, "b"]:
  """A weighting by the name that configs know it by."""
  match name:
    case "uniform":
      return uniform(time)
    case "min_snr":
      return min_snr(time, gamma=gamma)
    case "clamped":
      return clamped(time, gamma=gamma)
  raise ValueError(f"no weighting {name!r}")
