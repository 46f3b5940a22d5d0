"""How far every component is from the classes that we did not write.

  python -m benchmarks.parity [--slow]

Random weights, float32, this machine's processor; Stable Audio's parts and the
frozen towers at their published sizes, the denoiser with 2 of its 24 blocks
(with --slow all of them as well: 5 GB of disk, 7 GB of memory). LanguageBind
alone is small, and only in part not ours: its video tower is the CLIP of
transformers with attention in time, written here in torch after its public
code. The error is the largest difference over the largest value, the worst of
all outputs; above 1e-4 the exit status is 1. The two sides of Stable Audio's
parts run one after the other, each in its own process.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import math
import pathlib
import sys
import tempfile
from collections.abc import Iterator

from benchmarks import comparison, sides, stable_audio

LIMIT = 1e-4
# What each of Stable Audio's parts is compared with.
_CLASSES = {
  "denoiser": "StableAudioDiTModel",
  "encode": "AutoencoderOobleck.encode",
  "decode": "AutoencoderOobleck.decode",
  "conditioner": "StableAudioProjectionModel",
}


def parts(*, slow: bool, folder: pathlib.Path) -> Iterator[comparison.Row]:
  """Stable Audio's networks."""
  cases = [
    stable_audio.Case(part="denoiser", batch=2, latents=64, depth=2),
    stable_audio.Case(part="encode", batch=1, latents=8),
    stable_audio.Case(part="decode", batch=1, latents=8),
    stable_audio.Case(part="conditioner", batch=2),
  ]
  if slow:
    cases += [dataclasses.replace(cases[0], depth=24)]
  for case in cases:
    weights = stable_audio.weights(case, folder)
    made = {}
    for name in ("theirs", "ours"):
      with sides.Side(name, case, weights) as side:
        side.run()
        made[name], _ = side.finish()
    name = case.part
    if case.part == "denoiser":
      name += f", {case.depth} blocks"
    elif case.part != "conditioner":
      name = f"codec, {name}"
    yield comparison.Row(
      name=name,
      against=_CLASSES[case.part],
      package="diffusers",
      inputs=comparison.shape(*case.inputs.values()),
      parameters=sum(
        math.prod(shape) for shape in stable_audio.shapes(case).values()
      ),
      error=comparison.relative(made["ours"], made["theirs"]),
    )


def scheduler(steps: int = 100) -> comparison.Row:
  """A whole run of the second-order solver, of a velocity that we made up."""
  import jax
  import jax.numpy as jnp
  import numpy as np

  from benchmarks import scheduler
  from vta.diffusion import sampler

  shape = (2, 216, 64)
  rng = np.random.default_rng(0)
  noise = rng.standard_normal(shape, np.float32)
  matrix = rng.standard_normal((64, 64), np.float32) / 8

  def velocity(z, time, xp=jnp):
    return xp.sin(z @ matrix + 3 * time[:, None, None]) - z / 3

  def velocity64(z, time):
    return velocity(z, np.full(len(z), time), xp=np)

  keys = jax.random.split(jax.random.key(0), shape[0])
  fresh = scheduler.step_noise(keys, steps, shape[1:])
  want = scheduler.cosine_solver(velocity64, noise, fresh)
  schedule = sampler.dpm_solver(steps=steps, order=2)
  got = jax.jit(
    lambda: sampler.sample(velocity, jnp.asarray(noise), schedule, keys=keys)
  )()
  return comparison.Row(
    name=f"scheduler, {steps} steps",
    against="CosineDPMSolverMultistepScheduler",
    package="diffusers",
    inputs=comparison.shape(noise),
    parameters=0,
    error=comparison.relative({"x": np.asarray(got)}, {"x": want}),
  )


def main() -> int:
  """Prints one row a component."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    "--slow", action="store_true", help="the whole denoiser too"
  )
  args = parser.parse_args()
  from benchmarks import towers

  version = importlib.metadata.version
  print(
    f"jax {version('jax')}, torch {version('torch')}; float32\n\n"
    "| component | parameters | inputs | against | largest error |\n"
    "|---|---|---|---|---|"
  )
  worst = 0.0

  def show(row: comparison.Row):
    nonlocal worst
    # Not a number is no agreement.
    worst = max(worst, math.inf if math.isnan(row.error) else row.error)
    print(
      f"| {row.name} | {row.parameters / 1e6:.1f}M | {row.inputs} "
      f"| {row.against}, {row.package} {version(row.package)} "
      f"| {row.error:.1e} |",
      flush=True,
    )

  with tempfile.TemporaryDirectory(prefix="vta-parity-") as folder:
    for row in parts(slow=args.slow, folder=pathlib.Path(folder)):
      show(row)
  show(scheduler())
  for row in towers.rows():
    show(row)
  print(f"\nlargest of all: {worst:.1e}, limit {LIMIT:g}")
  return int(worst > LIMIT)


if __name__ == "__main__":
  sys.exit(main())
