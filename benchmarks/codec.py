"""A long clip through the full-size codec: in chunks, and whole.

  python -m benchmarks.codec [--parts decode] [--seconds 20 60] [--whole]

The 156.1M of Stable Audio's codec, random weights, float32, on this machine's
processor: seconds, and the peak memory of a process of its own with weights and
compilation. With --whole the same clip in one piece beside it, and how far
apart the two results are; 60 s whole take some 20 GiB.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile

from benchmarks import comparison, sides, stable_audio


def _measure(name: str, case: stable_audio.Case, weights: pathlib.Path):
  with sides.Side(name, case, weights) as side:
    side.run()
    seconds, _ = side.run()
    made, peak = side.finish()
  return seconds, peak, made


def main() -> None:
  """Prints one row a clip."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parts = ["encode", "decode"]
  parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
  parser.add_argument(
    "--seconds", type=float, nargs="+", default=[10.0, 30.0, 60.0]
  )
  parser.add_argument("--whole", action="store_true", help="in one piece too")
  args = parser.parse_args()
  print("| part | chunks | peak | whole | peak | largest difference |")
  print("|---|---|---|---|---|---|", flush=True)
  with tempfile.TemporaryDirectory(prefix="vta-codec-") as folder:
    for part in args.parts:
      for seconds in args.seconds:
        latents = round(seconds * stable_audio.RATE / stable_audio.HOP)
        case = stable_audio.Case(part=part, latents=latents)
        weights = stable_audio.weights(case, pathlib.Path(folder))
        time, peak, made = _measure("ours", case, weights)
        row = f"| {part} {seconds:g} s | {time:.1f} s | {peak:.2f} GiB "
        if args.whole:
          time, peak, want = _measure("whole", case, weights)
          error = comparison.relative(made, want)
          row += f"| {time:.1f} s | {peak:.2f} GiB | {error:.0e} |"
        else:
          row += "| | | |"
        print(row, flush=True)


if __name__ == "__main__":
  main()
