"""Releases with heads and random weights, in both forms that there are."""

import functools
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import tiny_release

from vta.conditioning import frames, inputs
from vta.interop import release
from vta.models import predictor

LATENTS = tiny_release.CONFIG["codec"]["latents"]
RATE, WINDOW = 44_100 / 2048, 32


def network(*, tower=0):
  """The tiny predictor, and the config of its frame encoder."""
  sizes = {**tiny_release.CONFIG["conditioner"]["frames"], "tower": tower}
  config = frames.FrameEncoderConfig(
    **{**sizes, "widths": tuple(sizes["widths"])}
  )
  return predictor.Predictor(config, LATENTS), sizes


@functools.cache
def folder(*, tower: int = 0) -> pathlib.Path:
  """A release of the preset "predictor", written once per process."""
  net, sizes = network(tower=tower)
  clip = {"latent_rate": RATE, "frame_rate": 15.0, "frame_size": 16}
  geometry = inputs.geometry(WINDOW, **clip, tower=tower)
  blank = inputs.assemble(geometry, start=0.0, total=1.0)
  names = ["frames", "mask", "frame_left", "frame_fraction"]
  names += ["frame_features"] if tower else []
  params = jax.jit(net.init)(
    jax.random.key(0), *(jnp.asarray(blank[name])[None] for name in names)
  )["params"]

  def noisy(x):
    # Of the order of the kernels themselves: nothing is to saturate.
    spread = 1.0 / max(x.shape[0], 4) ** 0.5
    return x + spread * jax.random.normal(jax.random.key(x.size), x.shape)

  params = dict(jax.tree.map(noisy, params))
  # Now here, now there.
  params["events"] = {
    "kernel": 8.0 * params["events"]["kernel"],
    "bias": -jnp.ones(2),
  }
  path = pathlib.Path(tempfile.mkdtemp(prefix="vta-heads-"))
  release.save(
    path,
    config={
      "preset": "predictor",
      "frames": sizes,
      "clip": {**clip, "window": WINDOW},
    },
    parts={"frame_encoder": params.pop("frame_encoder"), "heads": params},
    card="# Random weights, for tests\n",
  )
  return path


@functools.cache
def starter() -> pathlib.Path:
  """As much of a `foley` release as is read, of `folder`'s parameters."""
  parts = release.load(folder()).parts
  path = pathlib.Path(tempfile.mkdtemp(prefix="vta-starter-"))
  release.save(
    path,
    config=tiny_release.CONFIG,
    parts={
      "conditioner": {"frame_encoder": parts["frame_encoder"]},
      "heads": parts["heads"],
    },
    card="# Random weights, for tests\n",
  )
  return path
