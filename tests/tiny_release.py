"""A release with random weights: the real code path at a size for tests."""

import functools
import pathlib
import tempfile

import jax
import numpy as np

from vta.encoders import vocabulary
from vta.interop import release
from vta.training import system

CONFIG = {
  "preset": "foley",
  "codec": {
    "latents": 8,
    "width": 8,
    "multiples": (1, 1),
    "strides": (4, 4),
    "groups": ((16, 2), (12, 8)),
    "residual_scale": 0.1,
  },
  "latent_mean": [0.1] * 8,
  "latent_std": [2.0] * 8,
  "conditioner": {
    "vector_width": 8,
    "frames": {"widths": (4, 4, 4), "features": 8, "taps": 3},
  },
  "denoiser": {
    "latents": 8,
    "width": 16,
    "depth": 1,
    "heads": 1,
    "cross_heads": 1,
    "condition_width": 8,
  },
  "clip": {
    "frame_rate": 15.0,
    "frame_size": 16,
    "text_width": 384,
    "text_tokens": 32,
    "window": 32,
  },
  "guidance": {
    "groups": (("frames", "text", "reference", "objects"),),
    "scales": (2.0,),
    "steps": 3,
    "solver": "dpm",
  },
}


@functools.cache
def folder(*, tower: int = 0) -> pathlib.Path:
  """Writes the release once per process; `tower` is its frame encoder's."""
  frames = {**CONFIG["conditioner"]["frames"], "tower": tower}
  conditioner = {**CONFIG["conditioner"], "frames": frames}
  config = {**CONFIG, "conditioner": conditioner}
  made = system.Foley.build(config)
  # Compiled: op by op it would take a minute.
  params = jax.jit(made.init)(jax.random.key(0))
  codec = jax.jit(made.init_codec)(jax.random.key(1))
  # Zero-initialised layers would hide that a condition has no effect.
  rng = np.random.default_rng(0)

  def noisy(x):
    return x + np.float32(0.2) * rng.normal(size=x.shape).astype(np.float32)

  path = pathlib.Path(tempfile.mkdtemp(prefix="vta-tiny-"))
  release.save(
    path,
    config=config,
    parts={"codec": codec, **jax.tree.map(noisy, params)},
    card="# Random weights, for tests\n",
  )
  vectors = rng.normal(size=(2, 384)).astype(np.float32)
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  vocabulary.Vocabulary(words=("ball", "wood"), vectors=vectors).save(path)
  return path
