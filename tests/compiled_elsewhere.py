"""A small preset's step, compiled for eight pretended devices from shapes.

Run by test_training_aot.py, since a process has to say how many devices it
pretends to have before it first asks for one. Prints one line of JSON.
"""

import json
import os
import pathlib

# Nothing runs: no time is spent on making it fast.
os.environ["XLA_FLAGS"] = (
  "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax

from vta.training import aot, aot_report, configs

ROOT = pathlib.Path(__file__).parents[1]
SIZES = (
  "window=16",
  "batch_size=8",
  "denoiser.width=128",
  "denoiser.depth=2",
  "denoiser.heads=2",
  "denoiser.cross_heads=1",
  "denoiser.condition_width=64",
  "denoiser.conditioning=prepend",
  "conditioner.width=64",
  "conditioner.blocks=6",
)


def main():
  config = configs.load(f"{ROOT}/configs/tri_ergon.py:yard", SIZES)
  codec = configs.load(f"{ROOT}/configs/codec.py:starter").codec.to_dict()
  aot.devices = lambda topology: jax.devices()
  # A processor's analysis has no seconds: here they follow from what it counts.
  aot._seconds = lambda one: one.cost_analysis()["flops"] / 197e12
  candidates = [
    aot.Candidate(batch=batch, remat=remat, mesh=mesh)
    for batch, remat, mesh in (
      (8, "full", {"fsdp": 4}),
      (8, "none", {"fsdp": 3}),
      (16, "none", {"fsdp": 3}),
      (9, "none", {}),
    )
  ]
  made = list(
    aot.search(config, codec, candidates, topology="v5e:2x4", price=1.0)
  )
  best = aot.best(made)
  print(
    json.dumps(
      {
        "rows": [aot_report.plain(one) for one in made],
        "best": aot_report.plain(best),
        "table": aot_report.table(made),
        "text": aot_report.describe(best, chip=aot.chip("v5e:2x4")),
      }
    )
  )


if __name__ == "__main__":
  main()
