"""diffusers' CosineDPMSolverMultistepScheduler with the noise that we draw."""

from __future__ import annotations

import sys
import types
import unittest.mock
from collections.abc import Callable

import jax
import numpy as np


def step_noise(
  keys: jax.Array, steps: int, shape: tuple[int, ...]
) -> np.ndarray:
  """What `sampler.sample` draws, [steps, clips, *shape], in float64."""

  def draw(index):
    fold = jax.vmap(lambda key: jax.random.fold_in(key, index))
    return jax.vmap(lambda key: jax.random.normal(key, shape))(fold(keys))

  return np.asarray(jax.vmap(draw)(jax.numpy.arange(steps)), np.float64)


def cosine_solver(
  velocity: Callable[[np.ndarray, float], np.ndarray],
  noise: np.ndarray,
  fresh: np.ndarray,
) -> np.ndarray:
  """The samples of as many steps as there is `fresh` noise.

  Args:
    velocity: of noisy latents, float64, at a time.
    noise: what sampling starts from.
    fresh: each step's noise, in the place of the scheduler's Brownian tree.
  """
  import diffusers  # noqa: F401, looks at once for what it could import
  import torch

  # Imported for the tree alone.
  absent = {"torchsde": types.ModuleType("torchsde")}
  with unittest.mock.patch.dict(sys.modules, absent):
    from diffusers.schedulers import (
      scheduling_cosine_dpmsolver_multistep as module,
    )
  scheduler = module.CosineDPMSolverMultistepScheduler()
  scheduler.set_timesteps(len(fresh))
  draws = iter(torch.tensor(fresh, dtype=torch.float32))
  scheduler.noise_sampler = lambda sigma, following: next(draws)
  x = torch.tensor(noise) * scheduler.init_noise_sigma
  for time in scheduler.timesteps:
    z = scheduler.scale_model_input(x, time)
    v = torch.tensor(velocity(z.double().numpy(), float(time))).float()
    x = scheduler.step(v, time, x).prev_sample
  return x.numpy()
