"""Speed and memory against diffusers: same weights and inputs, same run.

  python -m benchmarks.versus_diffusers [--parts denoiser decode] [--runs 5]

A denoiser step of full width (for one clip, and for the two branches of
guidance; its blocks as `dit.separate_blocks` has them) and the codec at full
size, float32, random weights, on this machine's processor. Each side runs in a
process of its own, which has its peak memory: weights, compilation and
computation. The two take turns, run by run, so that whatever else the machine
does falls on both; times are medians after a first run that compiles. Under
load ratios are rough, and two runs of a table differ; "by processor" is the
ratio of the processor's seconds, which other programs' share is not in.

"At most" is how many times as fast as diffusers a program could be whose every
product and sum ran at the rate of the best matrix product that this run of the
benchmark saw, and which did nothing else: a convolution of fewer operations
(Winograd's) is not counted, and costs precision.

On a busy machine the surest comparison is that on one core:

  taskset -c 0 python -m benchmarks.versus_diffusers
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import pathlib
import statistics
import tempfile
import time

import numpy as np

from benchmarks import comparison, sides, stable_audio

# Ours is to be so many times as fast.
_AIMS = {"denoiser": 1.2, "encode": 4.0, "decode": 6.0}


def cases(
  parts: list[str], *, depth: int, lengths: list[int], seconds: float
) -> list[stable_audio.Case]:
  """The denoiser for one clip and for guidance's two branches; the codec."""
  latents = round(seconds * stable_audio.RATE / stable_audio.HOP)
  made = [
    stable_audio.Case(part="denoiser", batch=b, latents=n, depth=depth)
    for n in lengths
    for b in (1, 2)
  ]
  made += [
    stable_audio.Case(part=part, latents=latents)
    for part in ("encode", "decode")
  ]
  return [case for case in made if case.part in parts]


def compare(
  case: stable_audio.Case, weights: pathlib.Path, runs: int
) -> dict[str, float]:
  """Times, memory and how far apart the results are."""
  with (
    sides.Side("theirs", case, weights) as theirs,
    sides.Side("ours", case, weights) as ours,
  ):
    theirs.run()
    ours.run()
    pairs = [(theirs.run(), ours.run()) for _ in range(runs)]
    want, their_peak = theirs.finish()
    got, our_peak = ours.finish()

  def median(side, kind):
    return statistics.median(pair[side][kind] for pair in pairs)

  return {
    "theirs": median(0, 0),
    "ours": median(1, 0),
    "by_processor": median(0, 1) / median(1, 1),
    "their_peak": their_peak,
    "our_peak": our_peak,
    "error": comparison.relative(got, want),
  }


def products_rate() -> float:
  """Floating-point operations a second of large matrix products, float32: the
  best of JAX's and torch's at a few shapes of the codec and denoiser."""
  import jax
  import torch

  best = 0.0
  multiply = jax.jit(lambda a, b: a @ b)
  rng = np.random.default_rng(0)
  for m, k, n in ((4096, 3584, 512), (16384, 1792, 256), (2048, 2048, 2048)):
    a = rng.standard_normal((m, k), np.float32)
    b = rng.standard_normal((k, n), np.float32)
    ours = jax.device_put(a), jax.device_put(b)
    theirs = torch.from_numpy(a), torch.from_numpy(b)
    for run in (
      lambda pair=ours: multiply(*pair).block_until_ready(),
      lambda pair=theirs: torch.matmul(*pair),
    ):
      for _ in range(8):
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        best = max(best, 2 * m * k * n / seconds)
  return best


def _name(case: stable_audio.Case) -> str:
  if case.part == "denoiser":
    return f"denoiser, {case.depth} blocks, {case.batch} x {case.latents}"
  seconds = case.latents * stable_audio.HOP / stable_audio.RATE
  return f"codec, {case.part} {case.batch} x {seconds:.1f} s"


def main() -> None:
  """Prints one row a case."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    "--parts", nargs="+", choices=list(_AIMS), default=list(_AIMS)
  )
  parser.add_argument("--runs", type=int, default=5, help="after the first")
  parser.add_argument("--blocks", type=int, default=2, help="of the denoiser")
  parser.add_argument(
    "--lengths",
    type=int,
    nargs="+",
    default=[216, 1024],
    help="latents that the denoiser is given; 1024 are 47.6 s",
  )
  parser.add_argument(
    "--seconds", type=float, default=3.0, help="that the codec is given"
  )
  args = parser.parse_args()
  versions = ", ".join(
    f"{name} {importlib.metadata.version(name)}"
    for name in ("jax", "torch", "diffusers")
  )
  load = os.getloadavg()[0]
  rate = products_rate()
  print(
    f"{versions}; {len(os.sched_getaffinity(0))} cores, load {load:.1f} "
    f"before; matrix products at up to {rate / 1e9:.0f} GFLOP/s\n\n"
    "| part | diffusers | vta | times as fast | by processor | aim | at most "
    "| diffusers' peak | vta's peak | largest error |\n"
    "|---|---|---|---|---|---|---|---|---|---|",
    flush=True,
  )
  with tempfile.TemporaryDirectory(prefix="vta-versus-") as folder:
    for case in cases(
      args.parts,
      depth=args.blocks,
      lengths=args.lengths,
      seconds=args.seconds,
    ):
      weights = stable_audio.weights(case, pathlib.Path(folder))
      row = compare(case, weights, args.runs)
      count = stable_audio.products(case)
      print(
        f"| {_name(case)} | {row['theirs']:.2f} s | {row['ours']:.2f} s "
        f"| {row['theirs'] / row['ours']:.2f} | {row['by_processor']:.2f} "
        f"| {_AIMS[case.part]:g} | {row['theirs'] * rate / count:.2f} "
        f"| {row['their_peak']:.2f} GiB | {row['our_peak']:.2f} GiB "
        f"| {row['error']:.0e} |",
        flush=True,
      )


if __name__ == "__main__":
  main()
