"""Makes a release of Stable Audio weights, as the public has them.

Reads a folder of diffusers' StableAudioPipeline (model_index.json in it) or of
stable-audio-tools (model_config.json and model.safetensors in it). Every name
is consumed and every shape checked, or nothing is written. Pickles (.ckpt, .pt,
.bin) can execute code and are not read: convert them to safetensors first.

Examples:
  python -m vta import models/stable-audio-open-1.0 --out runs/open
  python -m vta import models/tools --text-encoder models/t5 --out runs/open
"""

from __future__ import annotations

import argparse
import pathlib

from vta import errors, files


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument(
    "source", metavar="FOLDER", type=pathlib.Path, help="the public folder"
  )
  parser.add_argument(
    "--out",
    required=True,
    metavar="DIR",
    type=pathlib.Path,
    help="of the release; must not be there yet",
  )
  parser.add_argument(
    "--text-encoder",
    metavar="FOLDER",
    type=pathlib.Path,
    help="the T5, where the public folder has none, as stable-audio-tools'",
  )


def run(args: argparse.Namespace) -> int:
  """Imports; returns 0."""
  from vta.interop import diffusers_folder, exchange, tools_file

  source = args.source
  for folder in filter(None, (source, args.text_encoder)):
    if not folder.is_dir():
      what = "is not a folder" if folder.exists() else "is missing"
      raise errors.InputError(folder, what)
  texts = args.text_encoder
  if (source / diffusers_folder.INDEX).exists():
    if (source / "text_encoder").is_dir():
      if texts is not None:
        raise errors.InputError(
          "--text-encoder", f"{source} has a text encoder of its own"
        )
      texts = source / "text_encoder"
    with files.atomic_folder(args.out) as out:
      diffusers_folder.import_folder(source, out)
      if args.text_encoder is not None:
        exchange.copy_files(texts, out / exchange.TEXT_ENCODER)
  elif (source / tools_file.CONFIG).exists():
    with files.atomic_folder(args.out) as out:
      tools_file.import_file(source, out, text_encoder=texts)
  else:
    pickles = sorted(
      p.name for p in source.iterdir() if p.suffix in exchange.PICKLES
    )
    raise errors.InputError(
      source,
      f"holds neither {diffusers_folder.INDEX} (diffusers) nor "
      f"{tools_file.CONFIG} (stable-audio-tools)"
      + (f"; {pickles[0]} is a pickle, which is not read" if pickles else ""),
    )
  print(f"wrote {args.out}")
  if texts is None:
    print(exchange.NO_TEXT_ENCODER)
  return 0
