"""Compiled programs are kept on disk: a second run starts in seconds."""

from __future__ import annotations

import os
import pathlib

import jax


def use_cache() -> None:
  """Points JAX's compilation cache to ~/.cache/vta, unless it is set.

  JAX_COMPILATION_CACHE_DIR chooses another folder.
  """
  if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    home = os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")
    jax.config.update(
      "jax_compilation_cache_dir", str(pathlib.Path(home) / "vta" / "jax")
    )
  # Small programs too: a run compiles dozens, and each counts at start-up.
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
