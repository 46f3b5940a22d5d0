"""Which parameters decay, and which are kept in full."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import safetensors

from vta.interop import release
from vta.training import optimizer

# As scanned blocks have them: every leaf has the blocks for its first axis.
PARAMS = {
  "blocks": {
    "ff": {"kernel": jnp.ones((3, 4, 5)), "bias": jnp.ones((3, 5))},
    "norm": {"scale": jnp.ones((3, 4))},
    "to_scale_shift_gate": jnp.ones((3, 24)),
  },
  "proj": {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)},
}
MATRICES = {"blocks/ff/kernel", "proj/kernel"}


def test_matrices_decay_and_nothing_else():
  config = ml_collections.ConfigDict(
    {
      "learning_rate": 0.1,
      "b1": 0.9,
      "b2": 0.99,
      "weight_decay": 0.1,
      "clip_norm": 1.0,
      "warmup": 0.0,
      "inverse_gamma": 1e6,
      "cooldown": 0.0,
    }
  )
  made = optimizer.adamw(config, 10)
  still = jax.tree.map(jnp.zeros_like, PARAMS)
  updates, _ = made.update(still, made.init(PARAMS), PARAMS)
  moved = {
    "/".join(key.key for key in path)
    for path, leaf in jax.tree_util.tree_leaves_with_path(updates)
    if np.any(leaf)
  }
  assert moved == MATRICES


def test_matrices_are_halved_and_nothing_else(tmp_path):
  release.save(tmp_path, config={}, parts={"model": PARAMS}, card="")
  with safetensors.safe_open(tmp_path / "model.safetensors", "numpy") as file:
    halves = {
      name
      for name in file.keys()  # noqa: SIM118
      if file.get_slice(name).get_dtype() == "F16"
    }
  assert halves == MATRICES
