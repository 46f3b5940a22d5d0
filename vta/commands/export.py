"""Writes a release for PyTorch users.

Of the preset stable_audio, in a public layout: the folder of `--format
diffusers` loads by StableAudioPipeline.from_pretrained with no code of ours;
`--format stable-audio-tools` is its model.safetensors and model_config.json.
Nothing is converted but names and axes: importing the result gives the same
bits back.

Of any preset, as a folder of its own: `--format torch` holds the weights, the
networks' source in PyTorch, which needs nothing of ours, and `python
DIR/check.py`, which compares them with what JAX computed.

Examples:
  python -m vta export runs/open --out exports/open
  python -m vta export runs/open --format stable-audio-tools --out exports/tools
  python -m vta export vta/starter --format torch --out exports/starter
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
    choices=("diffusers", "stable-audio-tools", "torch"),
    default="diffusers",
    help="whose layout (default: diffusers; torch is our own)",
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
  from vta.interop import diffusers_folder, exchange, tools_file, torch_folder

  write = {
    "diffusers": diffusers_folder.export_folder,
    "stable-audio-tools": tools_file.export_file,
    "torch": torch_folder.export_folder,
  }[args.format]
  with files.atomic_folder(args.out) as out:
    write(args.source, out)
  print(f"wrote {args.out}")
  if args.format == "torch":
    print(f"python {args.out / 'check.py'} compares it with what JAX computed")
  elif not (args.source / exchange.TEXT_ENCODER).is_dir():
    print(exchange.NO_TEXT_ENCODER)
  return 0
