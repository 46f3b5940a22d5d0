"""Writes a release for PyTorch users, in a public layout of Stable Audio.

The folder of `--format diffusers` loads by StableAudioPipeline.from_pretrained
with no code of ours; `--format stable-audio-tools` is its model.safetensors and
model_config.json. Nothing is converted but names and axes: importing the result
gives the same bits back.

Examples:
  python -m vta export runs/open --out exports/open
  python -m vta export runs/open --format stable-audio-tools --out exports/tools
"""

from __future__ import annotations

import argparse
import pathlib

from vta import files


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument(
    "source", metavar="RELEASE", type=pathlib.Path, help="a release folder"
  )
  parser.add_argument(
    "--format",
    choices=("diffusers", "stable-audio-tools"),
    default="diffusers",
    help="whose layout (default: diffusers)",
  )
  parser.add_argument(
    "--out",
    required=True,
    metavar="DIR",
    type=pathlib.Path,
    help="of the export; must not be there yet",
  )


def run(args: argparse.Namespace) -> int:
  """Exports; returns 0."""
  from vta.interop import diffusers_folder, exchange, tools_file

  with files.atomic_folder(args.out) as out:
    if args.format == "diffusers":
      diffusers_folder.export_folder(args.source, out)
    else:
      tools_file.export_file(args.source, out)
  print(f"wrote {args.out}")
  if not (args.source / exchange.TEXT_ENCODER).is_dir():
    print("the release has no text encoder: prompts have to come encoded")
  return 0
