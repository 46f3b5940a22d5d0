"""Adds adapters or modules to the release that they were trained on.

Several add up, each with a scale of its own; without one it is 1. Generation,
training and export take the result as any release. The same adapters at less
or more than 1 are a mixture of, or more than, what was learned. Adapters of
another base are refused.

Modules are what a paper's preset adds to a frozen base (configs/composed.py,
`base_from`); their scale is how much they weigh when sampling, their own
choice without one.

Examples:
  python -m vta merge vta/starter --lora runs/mine/lora --out runs/merged
  python -m vta merge runs/foley/release --lora runs/rain/lora:0.6 \\
      --lora runs/steps/lora:0.8 --out runs/both
  python -m vta merge runs/text/release --module runs/frames/module \\
      --module runs/events/module:0.5 --out runs/smooth_foley
"""

from __future__ import annotations

import argparse
import math
import pathlib

from vta import files


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument(
    "source", metavar="RELEASE", type=pathlib.Path, help="the base"
  )
  what = parser.add_mutually_exclusive_group(required=True)
  what.add_argument(
    "--lora",
    action="append",
    type=_scaled,
    metavar="DIR[:SCALE]",
    help="a folder of adapters and their scale; may be given many times",
  )
  what.add_argument(
    "--module",
    action="append",
    type=_scaled,
    metavar="DIR[:SCALE]",
    help="a folder of a module and its strength; may be given many times",
  )
  parser.add_argument(
    "--out",
    required=True,
    metavar="DIR",
    type=pathlib.Path,
    help="of the new release; must not be there yet",
  )


def run(args: argparse.Namespace) -> int:
  """Merges; returns 0."""
  from vta.training import adapted_release, modules

  with files.atomic_folder(args.out) as out:
    if args.module:
      modules.join(args.source, args.module, out)
    else:
      chosen = [
        (folder, 1.0 if scale is None else scale) for folder, scale in args.lora
      ]
      adapted_release.merge(args.source, chosen, out)
  print(f"wrote {args.out}")
  return 0


def _scaled(text: str) -> tuple[pathlib.Path, float | None]:
  """ "folder:0.7" as the folder and the scale, None where there is none."""
  folder, separator, scale = text.rpartition(":")
  if not separator or pathlib.Path(text).exists():
    return pathlib.Path(text), None
  try:
    value = float(scale)
  except ValueError:
    value = math.nan
  if not math.isfinite(value):
    raise argparse.ArgumentTypeError(
      f"there is no folder {text!r}, and {scale!r} is no scale"
    )
  return pathlib.Path(folder), value
