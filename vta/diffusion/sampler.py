"""Samplers: from noise to latents in a fixed number of denoiser calls.

DDIM and the DPM-Solver++ family differ only in numbers. Each step maps the
noisy latents z, the last clean estimates and fresh noise linearly,

    z' = carry z + clean_0 D + clean_1 D_before + clean_2 D_before_that + n e

so a sampler is a table of coefficients (`Schedule`), computed once in float64,
and one loop runs any of them. z is the variance-preserving latent at path time
t; k-diffusion's x is z / alpha and its sigma is tan(pi t / 2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from vta.diffusion import path

Latents = Float[Array, "b t c"]
Denoise = Callable[[Latents, Float[Array, "b"]], Latents]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
  """A sampler's coefficients, one row per step.

  Attributes:
    times: when the denoiser is called, from 1 downwards.
    carry: weight of the noisy latents.
    clean: weights of this and the two preceding clean estimates.
    noise: weight of fresh noise; all zero for a deterministic sampler.
  """

  times: Float[np.ndarray, "s"]
  carry: Float[np.ndarray, "s"]
  clean: Float[np.ndarray, "s 3"]
  noise: Float[np.ndarray, "s"]


def sample(
  denoise: Denoise,
  noise: Latents,
  schedule: Schedule,
  *,
  keys: Key[Array, "b"] | None = None,
  adjust: Callable[[Latents], Latents] = lambda estimate: estimate,
) -> Latents:
  """Runs a schedule; call it inside the caller's jit.

  Args:
    denoise: velocity from noisy latents and one time per clip, guidance and
      conditions included.
    noise: standard normal latents to start from.
    schedule: from `ddim` or `dpm_solver`.
    keys: one random key per clip, for a schedule that adds noise. A clip's
      result is a function of its own key, whatever else is in the batch.
    adjust: what is done to every clean estimate before it is used.

  Returns:
    Clean latents.

  Raises:
    ValueError: when a schedule that adds noise is given no keys.
  """
  stochastic = bool(schedule.noise.any())
  if stochastic and keys is None:
    raise ValueError("a schedule that adds noise needs one key per clip")

  def step(state, row):
    z, before = state
    index, time, carry, clean, amount = row
    times = jnp.full(z.shape[:1], time)
    estimate = adjust(path.to_clean(z, denoise(z, times), times))
    estimates = (estimate, *before)
    z = carry * z + sum(clean[i] * d for i, d in enumerate(estimates))
    if stochastic:
      z += amount * _normal(keys, index, z.shape[1:])
    return (z, estimates[:2]), None

  rows = (schedule.times, schedule.carry, schedule.clean, schedule.noise)
  rows = [jnp.asarray(row, jnp.float32) for row in rows]
  start = (noise, (jnp.zeros_like(noise),) * 2)
  (z, _), _ = jax.lax.scan(step, start, (jnp.arange(len(rows[0])), *rows))
  return z


def ddim(*, steps: int, eta: float = 0.0) -> Schedule:
  """DDIM on even times from 1 to 0, Stable Audio's v-DDIM (papers.md, 3.7).

  `eta` is the share of DDPM's noise that is added afresh: 0 is deterministic.
  """
  times = np.linspace(1.0, 0.0, steps + 1)
  alpha, sigma = np.cos(np.pi / 2 * times), np.sin(np.pi / 2 * times)
  sigma[-1] = 0.0
  a, s, a_next, s_next = alpha[:-1], sigma[:-1], alpha[1:], sigma[1:]
  fresh = eta * s_next / s * np.sqrt(1 - (a / a_next) ** 2)
  carry = np.sqrt(s_next**2 - fresh**2) / s
  clean = np.zeros((steps, 3))
  clean[:, 0] = a_next - carry * a
  return Schedule(times=times[:-1], carry=carry, clean=clean, noise=fresh)


def dpm_solver(
  *,
  steps: int,
  order: int = 2,
  stochastic: bool = True,
  sigma_min: float = 0.3,
  sigma_max: float = 500.0,
) -> Schedule:
  """DPM-Solver++ multistep (Lu et al. 2211.01095), k-diffusion's variants.

  Stochastic, order 2 is `dpmpp_2m_sde` with the midpoint rule, diffusers'
  CosineDPMSolverMultistepScheduler; order 3 is `dpmpp_3m_sde`, what the Stable
  Audio Open card uses. Deterministic, order 2 is `dpmpp_2m`.

  The defaults are that card's noise range. A deterministic solver wants 0.03 to
  100: on a mixture of Gaussians 25 steps then end 0.006 (RMS) from the exact
  flow, where DDIM's 25 end 0.064 and the card's range 0.088 from it.

  Args:
    steps: denoiser calls.
    order: 2 or 3.
    stochastic: whether each step adds the noise of the reverse SDE.
    sigma_min: noise over signal at the last call; the last step lands on its
      clean estimate.
    sigma_max: noise over signal at the first call.
  """
  sigma = np.geomspace(sigma_max, sigma_min, steps)
  alpha = 1 / np.sqrt(1 + sigma**2)
  times = np.arctan(sigma) * 2 / np.pi
  h = -np.diff(np.log(sigma))
  reach = h * (2 if stochastic else 1)
  carry, gain = np.exp(-reach), -np.expm1(-reach)
  # Weights of the estimates in k-diffusion's coordinates x = z / alpha.
  clean = np.zeros((steps, 3))
  clean[:-1, 0] = gain
  # The first divided difference stands in for a derivative times h.
  difference = np.array([1.0, -1.0, 0.0])
  if order == 2:
    clean[1:-1] += np.outer(gain[1:] / 2 * h[1:] / h[:-1], difference)
  else:
    phi_2 = np.expm1(-reach) / reach + 1
    phi_3 = phi_2 / reach - 0.5
    older = np.array([0.0, 1.0, -1.0])
    for i in range(1, steps - 1):
      r_0 = h[i - 1] / h[i]
      new = difference / r_0
      if i == 1:
        clean[i] += phi_2[i] * new
        continue
      r_1 = h[i - 2] / h[i]
      old = older / r_1
      second = (new - old) / (r_0 + r_1)
      clean[i] += phi_2[i] * (new + second * r_0) - phi_3[i] * second
  clean[-1, 0] = 1.0
  fresh = sigma[1:] * np.sqrt(-np.expm1(-2 * h)) if stochastic else 0 * h
  alpha_next = np.append(alpha[1:], 1.0)
  return Schedule(
    times=times,
    carry=alpha_next / alpha * np.append(carry, 0.0),
    clean=alpha_next[:, None] * clean,
    noise=alpha_next * np.append(fresh, 0.0),
  )


def _normal(keys: Key[Array, "b"], index, shape: tuple[int, ...]) -> Latents:
  """Standard normal noise per clip, from its key and the step's index."""

  def draw(key):
    return jax.random.normal(jax.random.fold_in(key, index), shape)

  return jax.vmap(draw)(keys)
