"""Randomness as a function of (seed, stream name, step): nothing is carried."""

from __future__ import annotations

import zlib

import jax
from jaxtyping import Array, Key


def stream(seed: int, name: str, step: int | Array = 0) -> Key[Array, ""]:
  """The key of one named stream at one step; `step` may be traced.

  Python's `hash` of a string differs between processes, so CRC-32 names the
  stream.
  """
  key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
  return jax.random.fold_in(key, step)
