"""From inputs to waves: guidance, sampling and decoding in one jit."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from vta.conditioning import conditions as conditions_lib
from vta.diffusion import guidance, sampler
from vta.inference import chunks
from vta.inference import drawn as drawn_lib
from vta.inference import windows as windows_lib
from vta.training import system as system_lib


@functools.partial(
  jax.jit,
  static_argnames=(
    "system",
    "windows",
    "samples",
    "groups",
    "solver",
    "steps",
    "independent",
    "obey",
  ),
)
def generate(
  params: Mapping[str, Any],
  inputs: Mapping[str, Array],
  negative: Mapping[str, Array],
  keys: Key[Array, "b"],
  scales: Float[Array, "g b"],
  curves: Float[Array, "b k 2"],
  mean: Float[Array, "c"],
  std: Float[Array, "c"],
  *,
  system: system_lib.System,
  windows: windows_lib.Windows,
  samples: int,
  groups: tuple[tuple[str, ...], ...],
  solver: str,
  steps: int,
  independent: bool = False,
  obey: bool = True,
) -> Float[Array, "b t 2"]:
  """Generates a batch of clips of one length.

  Args:
    params: of codec, conditioner and denoiser.
    inputs: `inputs.assemble` of every window, clip after clip.
    negative: what takes the nulls' place in the branch without a group: the
      inputs that differ, of negative prompts or of what a mask hides, and
      "asked", which of them there are.
    keys: one per clip; with the inputs they determine the result, whatever
      else is in the batch.
    scales: guidance of each group and clip.
    curves: LUFS at the blocks of `loudness.momentary`, which are obeyed where
      "loudness" is asked for and the codec's latents say how loud they are.
    mean: of the codec's latents, per channel.
    std: idem.
    system: the wired preset.
    windows: how the clip is covered.
    samples: of the clip.
    groups: entries in the order in which guidance adds them. An entry of no
      group is in every branch: it is followed and not exaggerated.
    solver: "dpm" (DPM-Solver++ 2M), "dpm-sde" (3M SDE) or "ddim".
    steps: denoiser calls.
    independent: whether a group is guided by on its own, not on top of those
      before it.
    obey: whether curves are obeyed here at all.

  Returns:
    waves of so many samples.
  """
  features = system.encode(params, inputs)
  null = system.encode(params, {**inputs, **negative})

  def asked(names):
    among = np.array([name in names for name in system.names])
    return inputs["asked"] & among[None]

  guided = [name for group in groups for name in group]
  kept = [name for name in system.names if name not in guided]
  branches = [system.select(params, null, negative["asked"] | asked(kept))]
  for group in groups:
    branches.append(system.select(params, features, asked((*kept, *group))))
    if not independent:
      kept += group
  conditions = conditions_lib.concatenate(branches)
  count = len(branches)
  valid = jnp.tile(inputs["valid"], (count, 1))
  guide = guidance.guide_independent if independent else guidance.guide

  def denoise(noisy, times):
    parts = windows.split(noisy)
    velocity = system.velocity(
      params,
      jnp.tile(parts, (count, 1, 1)),
      jnp.full(count * len(parts), times[0]),
      conditions,
      valid=valid,
    )
    velocity = velocity.reshape(count, *parts.shape)
    per_window = jnp.repeat(scales, len(windows.starts), axis=1)
    return windows.join(guide(velocity, per_window))

  codec = system.codec.config
  drawn = asked(("loudness",))[:: len(windows.starts)].any(axis=1)

  def adjust(estimate):
    if not (codec.groups and obey):
      return estimate
    obedient = drawn_lib.obey(
      estimate * std[None, None] + mean[None, None],
      curves,
      drawn,
      share=drawn_lib.overlaps(samples, hop=codec.hop, latents=windows.length),
    )
    return (obedient - mean[None, None]) / std[None, None]

  shape = (windows.length, codec.latents)
  start = jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
  latents = sampler.sample(
    denoise, start, schedule(solver, steps), keys=keys, adjust=adjust
  )
  waves = chunks.decode(
    system.codec,
    params["codec"],
    latents * std[None, None] + mean[None, None],
  )
  return waves[:, :samples]


def schedule(solver: str, steps: int) -> sampler.Schedule:
  """The sampler's table by the name that users know it by."""
  match solver:
    case "dpm":
      return sampler.dpm_solver(
        steps=steps, stochastic=False, sigma_min=0.03, sigma_max=80.0
      )
    case "dpm-sde":
      return sampler.dpm_solver(steps=steps, order=3)
    case "ddim":
      return sampler.ddim(steps=steps)
  raise ValueError(f"no solver {solver!r}")


def stack(rows: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
  """Inputs of several windows as one batch."""
  return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
