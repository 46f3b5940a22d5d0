"""Scores a checkpoint against the exact truth of held-out yard scenes.

The suite "yard" asks whether a sound is what was asked for; "controls", whether
an edit of the cue sheet changes what it says and nothing else. Prints a table
with aims beside it and writes it as Markdown and JSON. 12 clips from 2 seeds
each take some four minutes on two CPU cores (controls: five).

Examples:
  python -m vta evaluate --suite yard
  python -m vta evaluate --suite controls --clips 12 --repeats 2
  python -m vta evaluate --suite yard --clips 8 --repeats 1 \\
      --checkpoint runs/foley/release
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib

from vta import errors, files
from vta.commands import arguments, generate


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument(
    "--suite",
    choices=("yard", "controls"),
    required=True,
    help="what is tested",
  )
  parser.add_argument(
    "--clips",
    type=arguments.whole(1),
    default=32,
    metavar="N",
    help="clips per test (default: 32)",
  )
  parser.add_argument(
    "--out",
    type=pathlib.Path,
    default=pathlib.Path("out/evaluate"),
    metavar="DIR",
    help="folder for table.md and table.json (default: out/evaluate)",
  )
  parser.add_argument(
    "--repeats",
    type=arguments.whole(1),
    default=3,
    metavar="N",
    help="generations per clip, of seeds --seed and on (default: 3)",
  )
  generate.add_sampling_arguments(parser)


def run(args: argparse.Namespace) -> int:
  """Runs the suite; returns 0."""
  from vta.evaluation import controls, stand, yard
  from vta.evaluation import rows as rows_lib
  from vta.training import system as system_lib

  args.out.mkdir(parents=True, exist_ok=True)
  generator, settings = generate.load(args)
  # Nor is `composed`, its subclass, which has a part of the controls at most.
  if type(generator.system) is not system_lib.Foley:
    raise errors.InputError(
      f"--checkpoint {args.checkpoint}",
      "the suites ask for events and masks: they take a foley checkpoint",
    )
  suite = {"yard": yard.YardSuite, "controls": controls.ControlSuite}
  rows = suite[args.suite](
    stand.Stand(
      generator,
      settings,
      clips=args.clips,
      seeds=range(args.seed, args.seed + args.repeats),
    )
  ).run()
  table = rows_lib.table(rows)
  print(table)
  document = {
    "suite": args.suite,
    "checkpoint": str(args.checkpoint or "starter"),
    "clips": args.clips,
    "seed": args.seed,
    "repeats": args.repeats,
    "steps": settings.steps,
    "solver": settings.solver,
    "guidance": settings.guidance,
    "rows": [
      {
        "name": row.name,
        "unit": row.unit,
        "mean": row.mean,
        "interval": row.interval(),
        "values": [v if math.isfinite(v) else None for v in row.values],
        "dropped": row.dropped,
        "aim": row.aim,
      }
      for row in rows
    ],
  }
  with files.atomic_path(args.out / "table.json") as temporary:
    temporary.write_text(json.dumps(document, indent=2) + "\n")
  with files.atomic_path(args.out / "table.md") as temporary:
    temporary.write_text(table + "\n")
  return 0
