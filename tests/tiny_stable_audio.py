"""A release as `vta import` makes it, with random weights, at a tiny size."""

import functools
import pathlib
import tempfile

import jax
import test_encoders_t5 as t5_lib

from vta.interop import exchange, release
from vta.training import system

SIZES = {
  "codec": {
    "channels": 2,
    "latents": 8,
    "width": 16,
    "multiples": (1, 1, 1),
    "strides": (8, 16, 16),
  },
  "conditioner": {"width": 16, "text_width": 24},
  "denoiser": {
    "latents": 8,
    "width": 16,
    "depth": 1,
    "heads": 1,
    "cross_heads": 1,
    "condition_width": 16,
    "time_features": 256,
  },
  "window": 24,
}


@functools.cache
def folder(*, width: int = 16) -> pathlib.Path:
  """Writes the release once per process; `width` is of its tokens."""
  config = exchange.defaults(
    {
      **SIZES,
      "conditioner": {**SIZES["conditioner"], "width": width},
      "denoiser": {**SIZES["denoiser"], "condition_width": width},
    }
  )
  made = system.build(config)

  @jax.jit
  def init(key):
    params = {"codec": made.init_codec(key), **made.init(key)}
    # Far from the zeros that layers start at.
    return jax.tree.map(
      lambda x: x + 0.2 * jax.random.normal(jax.random.key(x.size), x.shape),
      params,
    )

  path = pathlib.Path(tempfile.mkdtemp(prefix="vta-tiny-open-"))
  release.save(path, config=config, parts=init(jax.random.key(0)), card="")
  t5_lib.make_model("relu").save_pretrained(path / exchange.TEXT_ENCODER)
  t5_lib.write_tokenizer(path / exchange.TEXT_ENCODER)
  return path
