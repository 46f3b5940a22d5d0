"""A small denoiser on eight pretended devices, under several meshes.

Run by test_training_sharding.py, since a process has to say how many devices
it pretends to have before it first asks for one. Prints one line of JSON.
"""

import json
import os
import re

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding

from vta.conditioning.conditions import Conditions, Stream
from vta.models import dit
from vta.training import mesh, sharding, state

LAYOUTS = {
  "one": None,
  "fsdp": {"data": 1, "fsdp": -1},
  "all three": {"data": 2, "fsdp": 2, "tensor": 2},
}
NETWORK = dit.DiT(
  dit.DiTConfig(
    latents=8,
    width=128,
    depth=2,
    heads=4,
    cross_heads=2,
    condition_width=64,
    time_features=16,
    remat="dots",
  )
)


def conditions(tokens):
  stream = Stream(tokens=tokens, mask=jnp.ones(tokens.shape[:2], bool))
  return Conditions(streams={"text": stream})


def init(key):
  given = jnp.zeros((1, 20, 8)), jnp.zeros(1), conditions(jnp.zeros((1, 5, 64)))
  made = NETWORK.init(key, *given)["params"]
  # Layers that start at zero would hide the rest.
  return jax.tree.map(lambda leaf: leaf + 0.02, made)


def loss(params, batch, key):
  del key
  x = batch["x"]
  time = jnp.full(len(x), 0.3)
  made = NETWORK.apply(
    {"params": params["model"]}, x, time, conditions(batch["tokens"])
  )
  return jnp.mean((made - 2.0 * x) ** 2), {}


def train(layout):
  # Its epsilon keeps rounding from deciding where gradients are next to none.
  optimizer = optax.adamw(1e-3, eps=1e-3)
  phase = state.Phase(group="model", loss=loss, optimizer=optimizer)
  rng = np.random.default_rng(0)
  batch = {
    "x": rng.normal(size=(16, 20, 8)).astype(np.float32),
    "tokens": rng.normal(size=(16, 5, 64)).astype(np.float32),
  }
  devices = jax.devices()[:1] if layout is None else None
  with mesh.use(mesh.make(layout, devices=devices)) as made:
    params = {"model": sharding.initialise(init, jax.random.key(0))}

    def create(params):
      return state.create(params, (phase,), averaged=("model",))

    target = sharding.shardings(jax.eval_shape(create, params), made)
    current = jax.jit(create, out_shardings=target)(params)
    step = state.make_step(
      phase, seed=0, ema_maximum=0.99, ema_power=0.75, out_shardings=target
    )
    batch = jax.device_put(batch, NamedSharding(made, mesh.BATCH))
    lowered = step.lower(current, {}, batch)
    compiled = lowered.compile()
    program = compiled.as_text()
    own = total = 0
    for leaf in jax.tree.leaves(current):
      total += leaf.size
      own += leaf.addressable_shards[0].data.size
    losses = []
    for _ in range(4):
      current, metrics = compiled(current, {}, batch)
      losses.append(float(metrics["model/loss"]))
  return jax.tree.map(np.asarray, current.params), {
    "losses": losses,
    "share": own / total,
    "gathers": len(re.findall(r" all-gather(-start)?\(", program)),
    "reductions": len(re.findall(r" all-reduce(-start)?\(", program)),
    "constraints": lowered.as_text().count("sharding_constraint"),
  }


def main():
  found, alone = {}, None
  for name, layout in LAYOUTS.items():
    params, found[name] = train(layout)
    alone = alone or params
    found[name]["apart"] = max(
      float(np.abs(mine - theirs).max() / np.abs(theirs).max())
      for mine, theirs in zip(
        jax.tree.leaves(params), jax.tree.leaves(alone), strict=True
      )
    )
  print(json.dumps(found))


if __name__ == "__main__":
  main()
