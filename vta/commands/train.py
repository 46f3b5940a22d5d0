"""Trains what a config describes; resumes whatever the workdir holds.

Ends with code 0 when all steps are done and a release folder is written, with
143 when SIGTERM or Ctrl-C asked for an early end: the state was saved first,
and the same command goes on from there.

Examples:
  python -m vta train --config configs/codec.py:starter --workdir runs/codec
  python -m vta train --config configs/foley.py:starter --workdir runs/foley \\
      --set steps=2000 --set optimizer.learning_rate=5e-4
"""

from __future__ import annotations

import argparse

from vta import errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument(
    "--config",
    required=True,
    metavar="FILE[:ARG]",
    help="a file whose get_config(ARG) returns the config",
  )
  parser.add_argument(
    "--workdir",
    required=True,
    metavar="DIR",
    help="where checkpoints, metrics and the release go",
  )
  parser.add_argument(
    "--set",
    action="append",
    default=[],
    metavar="KEY=VALUE",
    help="replaces a field of the config; may be given many times",
  )


def run(args: argparse.Namespace) -> int:
  """Trains; returns the loop's exit code."""
  from vta.training import configs, loop

  config = configs.load(args.config, args.set)
  try:
    task = _task(args.config, config)
  except ValueError as error:  # sizes and names that make no model
    raise errors.InputError(args.config, str(error)) from None
  try:
    return loop.train(task, config, args.workdir)
  except FloatingPointError as error:
    raise errors.InputError(
      args.workdir, f"{error}; lower optimizer.learning_rate"
    ) from None


def _task(location: str, config):
  if config.task == "codec":
    from vta.training.tasks import codec

    return codec.CodecTask(config)
  if config.task == "denoiser" and "lora" in config and config.lora.rank:
    from vta.training.tasks import adapters

    return adapters.AdapterTask(config)
  if config.task == "denoiser":
    from vta.training.tasks import denoiser

    return denoiser.DenoiserTask(config)
  if config.task == "predictor":
    from vta.training.tasks import predictor

    return predictor.PredictorTask(config)
  if config.task == "lufs_predictor":
    from vta.training.tasks import lufs

    return lufs.LufsTask(config)
  if config.task == "event_detector":
    from vta.training.tasks import event_detector

    return event_detector.EventDetectorTask(config)
  if config.task == "label_similarity":
    from vta.training.tasks import label_similarity

    return label_similarity.LabelSimilarityTask(config)
  raise errors.InputError(
    location,
    f"task {config.task!r} is not codec, denoiser, predictor, lufs_predictor, "
    "event_detector or label_similarity",
  )
