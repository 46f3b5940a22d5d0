"""Adds LoRA adapters to the release that they were trained on: a new release.

Several add up, each with a scale of its own; without one it is 1. Generation,
training and export take the result as any release. The same adapters at less
or more than 1 are a mixture of, or more than, what was learned. Adapters of
another base are refused.

Examples:
  python -m vta merge vta/starter --lora runs/mine/lora --out runs/merged
  python -m vta merge runs/foley/release --lora runs/rain/lora:0.6 \\
      --lora runs/steps/lora:0.8 --out runs/both
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
  parser.add_argument(
    "--lora",
    required=True,
    action="append",
    type=_scaled,
    metavar="DIR[:SCALE]",
    help="a folder of adapters and their scale; may be given many times",
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
  from vta.training import adapted_release

  with files.atomic_folder(args.out) as out:
    adapted_release.merge(args.source, args.lora, out)
  print(f"wrote {args.out}")
  return 0


def _scaled(text: str) -> tuple[pathlib.Path, float]:
  """ "folder:0.7" as the folder and the scale."""
  folder, separator, scale = text.rpartition(":")
  if not separator or pathlib.Path(text).exists():
    return pathlib.Path(text), 1.0
  try:
    value = float(scale)
  except ValueError:
    value = math.nan
  if not math.isfinite(value):
    raise argparse.ArgumentTypeError(
      f"there is no folder {text!r}, and {scale!r} is no scale"
    )
  return pathlib.Path(folder), value
