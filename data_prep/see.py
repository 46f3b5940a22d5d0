"""Latent records to records that a frozen frame encoder has seen.

  python -m data_prep.see --records data/yard/latents \\
      --predictor runs/predictor/release --out data/yard/seen

`frames` and `mask` give way to `pictures`, what the predictor's frame encoder
makes of them: a third of the denoiser's step is saved, and two thirds of the
bytes. A denoiser that trains on them starts from the same predictor
(`frames_from`) and leaves its frame encoder as it is (`frozen`). Shards appear
whole or not at all; an interrupted run goes on with the same command. Shards
that another encoder has seen are refused.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Callable, Iterator

import numpy as np
import tqdm

from data_prep import shards
from vta import errors
from vta.conditioning import frames as frames_lib
from vta.data import records
from vta.encoders import frame_encoder
from vta.interop import release as release_lib
from vta.training import system

Look = Callable[[records.Record], np.ndarray]

_HIDDEN = frozenset(("frames", "mask", "frame_features"))


def seen_records(
  source: records.Shards, look: Look, *, digest: str
) -> Iterator[records.Record]:
  """The records of `source` with pictures in the place of frames and mask."""
  for record in source:
    kept = {k: v for k, v in record.arrays.items() if k not in _HIDDEN}
    yield records.Record(
      arrays={**kept, "pictures": look(record)},
      meta={**record.meta, "pictures_by": digest},
    )


def looker(release: release_lib.Release) -> Look:
  """What a predictor's frame encoder makes of a record: float16 [f, v]."""
  config = frames_lib.FrameEncoderConfig(
    **system.tuples(release.config["frames"])
  )
  encoder = frame_encoder.FrameEncoder(config, release.parts["frame_encoder"])

  def look(record):
    tower = record.arrays.get("frame_features") if config.tower else None
    if config.tower and tower is None:
      raise errors.InputError(
        str(record.meta["id"]), "no frame_features; the predictor wants them"
      )
    seen = encoder.encode(record.arrays["frames"], record.mask, tower)
    return seen.astype(np.float16)

  return look


def main() -> int:
  """Parses arguments and makes every shard that is missing."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--records", type=pathlib.Path, required=True)
  parser.add_argument("--predictor", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  args = parser.parse_args()
  release = release_lib.load(args.predictor)
  if release.config.get("preset") != "predictor":
    raise errors.InputError(
      args.predictor / "config.json",
      f"preset is {release.config.get('preset')!r}, not 'predictor'",
    )
  digest = release_lib.digest(release.parts["frame_encoder"])
  look = looker(release)
  missing = shards.missing(
    args.records,
    args.out,
    fields=lambda known: (known - _HIDDEN) | {"pictures"},
    pictures_by=digest,
  )
  for number, shard in tqdm.tqdm(missing, unit="shard"):
    seen = seen_records(records.Shards([shard]), look, digest=digest)
    records.write_shards(args.out, seen, shard_size=sys.maxsize, first=number)
  return 0


if __name__ == "__main__":
  try:
    sys.exit(main())
  except errors.InputError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
