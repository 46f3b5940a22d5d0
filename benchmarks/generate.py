"""Time and peak memory of generation, per duration.

  python -m benchmarks.generate --durations 1 8 10 30 60

Each duration runs in a process of its own, so that its peak is its own.
"first" holds compilation (or loading from the cache), "steady" is the fastest
of three runs after it, guidance and decoding included, video input excluded.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time


def measure(duration: float, steps: int | None) -> dict[str, float]:
  """Runs in the child process."""
  start = time.monotonic()
  import dataclasses

  import numpy as np

  from vta.inference import compilation, generator
  from vta.inference import job as job_lib
  from vta.media import read
  from vta.signals import cues

  compilation.use_cache()
  made = generator.Generator()
  settings = made.settings
  if steps:
    settings = dataclasses.replace(settings, steps=steps)
  times = made.reader.frame_times(duration)
  size = made.system.frame_size
  images = np.random.default_rng(0).integers(
    0, 255, (len(times), size, size, 3), np.uint8
  )
  report = read.FrameReport(
    duration=duration, fps=15.0, decoded=len(times), duplicated=0, missing=0
  )
  frames = read.Frames(times=times, images=images, report=report)
  job = job_lib.Job(
    duration=duration, frames=frames, track=cues.Track(), seed=0
  )
  made.generate([job], settings)
  first = time.monotonic() - start
  steady = []
  for _ in range(3):
    start = time.monotonic()
    made.generate([job], settings)
    steady.append(time.monotonic() - start)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
  return {"first": first, "steady": min(steady), "gib": peak}


def main() -> None:
  """Measures every duration and prints a table."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    "--durations", type=float, nargs="+", default=[1.0, 8.0, 10.0, 30.0, 60.0]
  )
  parser.add_argument("--steps", type=int)
  parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.child is not None:
    print(json.dumps(measure(args.child, args.steps)))
    return
  print("| clip | whole process | steady | steady per second | peak memory |")
  print("|---|---|---|---|---|")
  for duration in args.durations:
    command = [sys.executable, "-m", "benchmarks.generate"]
    command += ["--child", str(duration)]
    if args.steps:
      command += ["--steps", str(args.steps)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    row = json.loads(out.stdout.splitlines()[-1])
    print(
      f"| {duration:g} s | {row['first']:.1f} s | {row['steady']:.2f} s | "
      f"{row['steady'] / duration:.3f} s | {row['gib']:.2f} GiB |"
    )


if __name__ == "__main__":
  main()
