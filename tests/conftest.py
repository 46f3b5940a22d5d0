"""Strict tests: shapes and types are checked at run time, on the CPU."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Most of the tests' time is XLA's; programs that run once are not worth it.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

from jaxtyping import install_import_hook

# Before vta is imported anywhere: its annotations become runtime checks.
install_import_hook("vta", "beartype.beartype")
