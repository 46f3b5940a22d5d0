"""Samplers against diffusers and against the published update formulas."""

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks import scheduler
from vta.diffusion import path, sampler

SHAPE = (2, 6, 4)


def normal(seed, *shape):
  draw = np.random.default_rng(seed).standard_normal(shape)
  return draw.astype(np.float32)


# A "denoiser" with no structure to flatter a solver: not linear in z or t.
MATRIX, TURN = 0.6 * normal(0, 4, 4), normal(1, 4)


def velocity(z, time, xp=jnp):
  return xp.sin(z @ MATRIX + time[:, None, None] * 3 + TURN[None, None]) - z / 3


def velocity64(z, time):
  return velocity(z, np.full(len(z), time), xp=np)


def run(schedule, seed=2, keys=None, denoise=velocity):
  noise = jnp.asarray(normal(seed, *SHAPE))
  return jax.jit(lambda: sampler.sample(denoise, noise, schedule, keys=keys))()


def clip_keys(seed=3):
  return jax.random.split(jax.random.key(seed), SHAPE[0])


def step_noise(keys, steps):
  """The noise that `sample` draws, one array per step, in float64."""
  return scheduler.step_noise(keys, steps, SHAPE[1:])


def ddim64(steps, eta, fresh):
  """stable-audio-tools' `sample`, in its own terms."""
  t = np.linspace(1, 0, steps + 1)
  alpha, sigma = np.cos(np.pi / 2 * t), np.sin(np.pi / 2 * t)
  z = normal(2, *SHAPE).astype(np.float64)
  for i in range(steps):
    v = velocity64(z, t[i])
    clean, eps = z * alpha[i] - v * sigma[i], z * sigma[i] + v * alpha[i]
    if i == steps - 1:
      return clean
    amount = (
      eta
      * np.sqrt(sigma[i + 1] ** 2 / sigma[i] ** 2)
      * np.sqrt(1 - alpha[i] ** 2 / alpha[i + 1] ** 2)
    )
    z = clean * alpha[i + 1] + eps * np.sqrt(sigma[i + 1] ** 2 - amount**2)
    z += amount * fresh[i]


@pytest.mark.parametrize(("steps", "eta"), [(1, 0.0), (7, 0.0), (7, 0.6)])
def test_ddim_equals_a_float64_loop(steps, eta):
  keys = clip_keys()
  got = run(sampler.ddim(steps=steps, eta=eta), keys=keys)
  want = ddim64(steps, eta, step_noise(keys, steps))
  np.testing.assert_allclose(got, want, atol=2e-6)


def test_ddim_equals_diffusers_on_a_fine_discrete_path():
  """DDIMScheduler with our cosine path as its table of alphas."""
  steps, table = 8, 1000
  scheduler = diffusers.DDIMScheduler(
    num_train_timesteps=table,
    prediction_type="v_prediction",
    clip_sample=False,
    set_alpha_to_one=True,
    timestep_spacing="trailing",
    steps_offset=0,
  )
  t = torch.arange(1, table + 1, dtype=torch.float64) / table
  scheduler.alphas_cumprod = torch.cos(torch.pi / 2 * t) ** 2
  scheduler.set_timesteps(steps)
  z = torch.tensor(normal(2, *SHAPE), dtype=torch.float64)
  for index in scheduler.timesteps:
    v = velocity64(z.numpy(), float(t[index]))
    z = scheduler.step(torch.tensor(v), int(index), z).prev_sample
  got = run(sampler.ddim(steps=steps))
  np.testing.assert_allclose(got, z.numpy(), atol=2e-6)


@pytest.mark.parametrize("steps", [2, 20])
def test_second_order_sde_equals_diffusers(steps):
  keys = clip_keys()
  want = scheduler.cosine_solver(
    velocity64, normal(2, *SHAPE), step_noise(keys, steps)
  )
  got = run(sampler.dpm_solver(steps=steps, order=2), keys=keys)
  # diffusers works in float32 on x up to 500.
  np.testing.assert_allclose(got, want, atol=3e-5)


def dpm64(steps, order, eta, fresh, sigma_min=0.3, sigma_max=500.0):
  """k-diffusion's dpmpp_2m_sde (midpoint) and dpmpp_3m_sde, on x = z / alpha.

  eta 0 with order 2 is dpmpp_2m.
  """
  sigma = np.geomspace(sigma_max, sigma_min, steps)
  x = normal(2, *SHAPE).astype(np.float64) * np.sqrt(1 + sigma_max**2)
  clean, h = [], []
  for i in range(steps):
    scale = 1 / np.sqrt(1 + sigma[i] ** 2)
    v = velocity64(x * scale, 2 / np.pi * np.arctan(sigma[i]))
    clean.insert(0, x * scale**2 - v * sigma[i] * scale)
    if i == steps - 1:
      return clean[0]
    h.insert(0, np.log(sigma[i] / sigma[i + 1]))
    reach = h[0] * (1 + eta)
    x = np.exp(-reach) * x + (1 - np.exp(-reach)) * clean[0]
    phi_2 = (np.exp(-reach) - 1) / reach + 1
    phi_3 = phi_2 / reach - 0.5
    if i and order == 2:
      slope = (clean[0] - clean[1]) / (h[1] / h[0])
      x += 0.5 * (1 - np.exp(-reach)) * slope
    elif i == 1:
      x += phi_2 * (clean[0] - clean[1]) / (h[1] / h[0])
    elif i:
      r0, r1 = h[1] / h[0], h[2] / h[0]
      d1_0 = (clean[0] - clean[1]) / r0
      d1_1 = (clean[1] - clean[2]) / r1
      d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1)
      x += phi_2 * d1 - phi_3 * (d1_0 - d1_1) / (r0 + r1)
    if eta:
      x += fresh[i] * sigma[i + 1] * np.sqrt(1 - np.exp(-2 * h[0] * eta))


@pytest.mark.parametrize(
  ("order", "stochastic"), [(2, False), (2, True), (3, False), (3, True)]
)
@pytest.mark.parametrize("steps", [2, 12])
def test_dpm_solver_equals_a_float64_loop(steps, order, stochastic):
  keys = clip_keys()
  schedule = sampler.dpm_solver(steps=steps, order=order, stochastic=stochastic)
  want = dpm64(steps, order, float(stochastic), step_noise(keys, steps))
  np.testing.assert_allclose(run(schedule, keys=keys), want, atol=5e-6)


# Every seventh number of what k-diffusion 0.1.1 made of the same noise, times
# and denoiser in 7 steps, float64; 2m_sde with solver_type="midpoint".
K_DIFFUSION = {
  "dpmpp_3m_sde": [
    -0.5748443,
    2.2889428,
    0.3777871,
    -2.1518242,
    -3.1140227,
    -1.1605868,
  ],
  "dpmpp_2m_sde": [
    -0.5099944,
    1.6575775,
    -0.7027031,
    -2.2595262,
    -1.5442575,
    -1.2376438,
  ],
  "dpmpp_2m": [
    -0.6654527,
    -0.3375727,
    -0.7284331,
    -0.7709571,
    -3.3070808,
    -0.8833391,
  ],
}


@pytest.mark.parametrize(
  ("name", "order", "stochastic"),
  [
    ("dpmpp_3m_sde", 3, True),
    ("dpmpp_2m_sde", 2, True),
    ("dpmpp_2m", 2, False),
  ],
)
def test_dpm_solver_equals_k_diffusion(name, order, stochastic):
  schedule = sampler.dpm_solver(steps=7, order=order, stochastic=stochastic)
  got = np.ravel(run(schedule, keys=clip_keys()))[::7][:6]
  np.testing.assert_allclose(got, K_DIFFUSION[name], atol=5e-6)


@pytest.mark.parametrize(
  "schedule",
  [
    sampler.ddim(steps=300),
    sampler.dpm_solver(
      steps=60, stochastic=False, sigma_min=1e-3, sigma_max=1e3
    ),
  ],
  ids=["ddim", "dpm_solver"],
)
def test_gaussian_data_is_transported_exactly(schedule):
  """For data N(mean, s^2) the probability flow has a closed form."""
  mean, s = 1.5, 0.4

  def denoise(z, time):
    alpha, sigma = path.coefficients(time[:, None, None])
    variance = alpha**2 * s**2 + sigma**2
    clean = mean + alpha * s**2 / variance * (z - alpha * mean)
    return (alpha * z - clean) / sigma

  got = run(schedule, denoise=denoise)
  np.testing.assert_allclose(got, mean + s * normal(2, *SHAPE), atol=0.01)


def test_a_clip_depends_on_its_own_key_alone():
  schedule = sampler.dpm_solver(steps=4, order=3)
  noise, keys = jnp.asarray(normal(2, *SHAPE)), clip_keys()
  pair = sampler.sample(velocity, noise, schedule, keys=keys)
  alone = sampler.sample(velocity, noise[1:], schedule, keys=keys[1:])
  np.testing.assert_allclose(pair[1], alone[0], atol=1e-6)
  other = sampler.sample(velocity, noise[1:], schedule, keys=keys[:1])
  assert np.abs(other - alone).max() > 0.01


def test_noise_needs_keys():
  with pytest.raises(ValueError, match="one key per clip"):
    run(sampler.ddim(steps=3, eta=1.0))
