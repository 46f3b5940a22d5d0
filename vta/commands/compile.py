"""Compiles a denoiser's train step for a TPU topology that is not here.

Says whether it fits, what a chip's memory holds and what chips send each other;
and estimates, of which none is a measurement: operations by arithmetic, XLA's
own figure of the time, the MFU that it implies, and a price.

It needs libtpu (pip install -r requirements-tpu.txt), no TPU, no data and no
codec: sizes are those of configs/codec.py. A compilation takes a minute or two,
and there are two of each: XLA counts a loop's body once, and the second tells
what a block adds.

--search tries every batch, remat and mesh given (or a few of each) and names
the one of the best estimated MFU that fits; what fails is a row.

Examples:
  python -m vta compile --config configs/tri_ergon.py:l --topology v5p:4x4x4 \\
      --mesh fsdp=4 --batch 64 --division 6 --price 4.2 --out estimate.json
  python -m vta compile --config configs/tri_ergon.py:s --topology v5e:16x16 \\
      --search --batch 256 512 --mesh fsdp=4 fsdp=16
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib

from vta import errors, files
from vta.commands import arguments

# libtpu asks the machine nothing, and runs beside another of its kind.
_APART = {
  "JAX_PLATFORMS": "cpu",
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_ACCELERATOR_TYPE": "v4-8",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_WORKER_ID": "0",
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument(
    "--config",
    required=True,
    metavar="FILE[:ARG]",
    help="a file whose get_config(ARG) returns the config",
  )
  parser.add_argument(
    "--set",
    action="append",
    default=[],
    metavar="KEY=VALUE",
    help="replaces a field of the config; may be given many times",
  )
  parser.add_argument(
    "--codec",
    metavar="FILE[:ARG]",
    help="the config of the codec (default: codec.py beside --config)",
  )
  parser.add_argument(
    "--topology",
    required=True,
    metavar="KIND:SHAPE",
    help="as v5p:4x4x4, v5e:16x16 or v6e:16x16",
  )
  parser.add_argument(
    "--batch",
    type=arguments.whole(1),
    nargs="+",
    metavar="N",
    help="whole windows a step (default: the config's batch_size)",
  )
  parser.add_argument(
    "--division",
    type=arguments.whole(1),
    default=1,
    metavar="K",
    help="clips of a K-th of the window, K times as many (default 1)",
  )
  parser.add_argument(
    "--mesh",
    type=_axes,
    nargs="+",
    metavar="AXIS=N[,...]",
    help="sizes of axes; data is what is left (default: the config's)",
  )
  parser.add_argument(
    "--remat",
    nargs="+",
    metavar="NAME",
    help="none, dots or full (default: the config's)",
  )
  parser.add_argument(
    "--search", action="store_true", help="try all that is given"
  )
  parser.add_argument(
    "--price",
    type=arguments.real(0.0),
    metavar="X",
    help="of a chip for an hour",
  )
  parser.add_argument(
    "--out", type=pathlib.Path, metavar="FILE", help="write JSON"
  )


def run(args: argparse.Namespace) -> int:
  """Compiles; 1 where nothing fits."""
  # Before JAX looks for devices: a chip that is here is not for this.
  os.environ.update(_APART)
  import tqdm

  from vta.training import aot, aot_report, configs

  config = configs.load(args.config, args.set)
  beside = pathlib.Path(args.config.partition(":")[0]).with_name("codec.py")
  codec = configs.load(args.codec or str(beside)).codec.to_dict()
  chip, chips = aot.chip(args.topology), len(aot.devices(args.topology))
  candidates = _candidates(args, config, chips)
  options = {
    "topology": args.topology,
    "division": args.division,
    "price": args.price,
  }
  if args.search:
    found = aot.search(config, codec, candidates, **options)
    made = list(tqdm.tqdm(found, total=len(candidates), unit="candidate"))
  else:
    made = [aot.estimate(config, codec, candidates[0], **options)]
  if args.out:
    with files.atomic_path(args.out) as temporary:
      rows = [aot_report.plain(one) for one in made]
      document = {"config": args.config, **options, "estimates": rows}
      temporary.write_text(json.dumps(document, indent=2) + "\n")
  best = aot.best(made)
  if args.search:
    print(aot_report.table(made))
    print()
  print(
    aot_report.describe(best or made[0], chip=chip)
    if best or not args.search
    else "nothing fits"
  )
  return 0 if best else 1


def _candidates(args, config, chips: int) -> list:
  """What is given; a search fills in what is not."""
  from vta.models import dit
  from vta.training import aot

  own = dict(config.get("mesh", {}))
  batches = args.batch or [config.batch_size]
  remats = args.remat or [config.denoiser.remat]
  meshes = args.mesh or [own]
  if args.search:
    batches = args.batch or [n * config.batch_size for n in (1, 2, 4)]
    remats = args.remat or list(dit.REMATS)
    meshes = args.mesh or [{"fsdp": n} for n in (1, 4, 16) if chips % n == 0]
  made = [
    aot.Candidate(batch=batch, remat=remat, mesh=mesh)
    for mesh in meshes
    for remat in remats
    for batch in sorted(batches)
  ]
  if len(made) > 1 and not args.search:
    raise errors.InputError(
      "--search", f"is missing, for {len(made)} candidates"
    )
  return made


def _axes(text: str) -> dict[str, int]:
  """fsdp=4,tensor=2."""
  made = {}
  for part in text.split(","):
    axis, given, size = part.partition("=")
    if not given:
      raise argparse.ArgumentTypeError(f"{text!r} is not AXIS=N[,AXIS=N]")
    made[axis] = arguments.whole(-1)(size)
  return made
