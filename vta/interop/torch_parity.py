"""Inputs and outputs of a preset's networks, for another framework to repeat.

Random inputs of every kind, for clips that keep all entries, none, and some:
each entry is both kept and dropped, and clips end, and prompts, at different
places. Everything is computed in float32, whatever the model trained in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vta.conditioning import conditions as conditions_lib
from vta.interop import tensors, trees
from vta.training import system as system_lib

_CLIPS = 5
_LATENTS = 12
_WAVE_LATENTS = 4
_LONGEST = 600.0  # seconds; above what the timing embedding tells apart


def compute(
  made: system_lib.System, params: Mapping[str, Any]
) -> dict[str, tensors.Tensor]:
  """Runs the networks.

  Args:
    made: the preset.
    params: float32, of the parts "codec", "conditioner" and "denoiser".

  Returns:
    what went in: conditioner/inputs/*, conditioner/keep; denoiser/noisy, /time,
      /mask; codec/wave, /latents.
    what came out: conditions/*, which went into the denoiser;
      denoiser/velocity; codec/mean, /std, /decoded.
  """
  networks = {
    part: type(module)(dataclasses.replace(module.config, dtype="float32"))
    for part, module in (("denoiser", made.denoiser), ("codec", made.codec))
  }
  given = _given(made)

  @jax.jit
  def run(params, given):
    params = {part: {"params": tree} for part, tree in params.items()}
    conditioner, denoiser, codec = (
      given[part] for part in ("conditioner", "denoiser", "codec")
    )
    conditions = made.conditioner.apply(
      params["conditioner"], conditioner["inputs"], conditioner["keep"]
    )
    velocity = networks["denoiser"].apply(
      params["denoiser"],
      denoiser["noisy"],
      denoiser["time"],
      conditions,
      mask=denoiser["mask"],
    )
    posterior, decoded = (
      networks["codec"].apply(params["codec"], codec[name], method=method)
      for name, method in (("wave", "encode"), ("latents", "decode"))
    )
    return {
      "conditions": _plain(conditions),
      "denoiser": {"velocity": velocity},
      "codec": {
        "mean": posterior.mean,
        "std": posterior.std,
        "decoded": decoded,
      },
    }

  # Accelerators multiply in less than float32 unless they are told to.
  with jax.default_matmul_precision("highest"):
    results = run(params, given)
  table = {**trees.flatten(given), **trees.flatten(results)}
  return {name: np.asarray(value) for name, value in table.items()}


def _given(made: system_lib.System) -> dict[str, Any]:
  """Random numbers of the shapes and types that the networks take."""
  rng = np.random.default_rng(0)
  one = made.nothing(_LATENTS)

  def normal(*shape: int):
    return rng.standard_normal(shape).astype(np.float32)

  def like(name: str, array: np.ndarray):
    shape = (_CLIPS, *array.shape)
    if array.dtype == np.bool_:
      return _ragged(shape[1])
    if array.dtype == np.uint8:
      return rng.integers(256, size=shape, dtype=np.uint8)
    if name == "frame_left":  # there is a frame after it
      return rng.integers(len(one["frames"]) - 1, size=shape, dtype=np.int32)
    if name == "timing":
      return rng.uniform(0.0, _LONGEST, shape).astype(np.float32)
    return normal(*shape)

  # Of a preset's inputs, these two are not the conditioner's.
  inputs = {
    k: like(k, v) for k, v in one.items() if k not in ("asked", "valid")
  }
  codec = made.codec.config
  samples = _WAVE_LATENTS * codec.hop
  # Fades into a latent of silence: levels of all sizes.
  fade = np.linspace(0.3, -0.1, samples, dtype=np.float32).clip(min=0.0)
  return {
    "conditioner": {"inputs": inputs, "keep": _keep(len(made.names))},
    "denoiser": {
      "noisy": normal(_CLIPS, _LATENTS, codec.latents),
      "time": np.linspace(0.05, 0.95, _CLIPS, dtype=np.float32),
      "mask": _ragged(_LATENTS),
    },
    "codec": {
      "wave": fade[None, :, None] * normal(1, samples, codec.channels),
      "latents": normal(1, _WAVE_LATENTS, codec.latents),
    },
  }


def _keep(entries: int) -> np.ndarray:
  """All, none, and three clips that tell any two entries apart.

  Those keep the entries whose number has the bit, and the first, since without
  its prompt Tri-Ergon looks at no other.
  """
  bits = (np.arange(entries) >> np.arange(3)[:, None]) % 2 == 1
  bits[:, 0] = True
  all_or_none = np.array([True, False])[:, None].repeat(entries, axis=1)
  return np.concatenate([all_or_none, bits])


def _ragged(length: int) -> np.ndarray:
  """Masks [clips, length] of clips that end at different places."""
  ends = np.linspace(length, 1, _CLIPS).astype(int)
  return np.arange(length)[None] < ends[:, None]


def _plain(conditions: conditions_lib.Conditions) -> dict[str, Any]:
  """Conditions as the torch module has them: of one stream."""
  (stream,) = conditions.streams.values()
  return {
    "tokens": stream.tokens,
    "mask": stream.mask,
    "vector": conditions.vector,
    "input": dict(conditions.input),
    "block": dict(conditions.block),
  }
