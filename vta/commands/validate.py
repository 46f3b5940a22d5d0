"""Reads folders of records again, and says what is wrong with them.

Of every record: fields, types and sizes, finite values, times in order and
within the clip, loudness and probabilities in range, sound and latents as long
as the clip. Of all together: ids are unique, no source is in two of the
folders, and shards are those that their documents and the manifest tell of.

A prepared set is given as its folder, or by its splits. Exit codes: 0 all is
well, 2 something is not.

Examples:
  python -m vta validate data/vggsound
  python -m vta validate data/yard/train data/yard/validation
"""

from __future__ import annotations

import argparse
import pathlib
import sys

_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument(
    "shards",
    nargs="+",
    type=pathlib.Path,
    metavar="SHARDS",
    help="a folder of shards, or of a prepared set",
  )


def run(args: argparse.Namespace) -> int:
  """Prints a table, and every problem that there is room for."""
  import tqdm

  from vta.data import validation

  sides = validation.sides(args.shards)
  with tqdm.tqdm(unit="record") as bar:
    problems = validation.validate(sides, advance=bar.update)
  width = max(len(str(side.folder)) for side in sides)
  print(f"{'':{width}}  shards  records    hours        GB")
  for side in sides:
    print(
      f"{side.folder!s:{width}}  {len(side.shards):6}  {side.records:7}  "
      f"{side.seconds / 3600:7.2f}  {side.bytes / 1e9:8.3f}"
    )
  for side in sides:
    print(f"{side.folder}: {', '.join(sorted(side.fields))}")
  for problem in problems[:_SHOWN]:
    print(f"error: {problem}", file=sys.stderr)
  if len(problems) > _SHOWN:
    print(f"error: and {len(problems) - _SHOWN} more", file=sys.stderr)
  if not problems:
    print("all is well")
  return 2 if problems else 0
