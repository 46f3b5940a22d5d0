"""Latent records to records that a frozen frame encoder has seen.

  python -m data_prep.see --records data/yard/latents \\
      --predictor runs/predictor/release --out data/yard/seen

`frames` and `mask` give way to `pictures`, what the predictor's frame encoder
makes of them, and where there is a mask to `whole_pictures`, without it: a
third of the denoiser's step is saved, and more than half of the bytes. A
denoiser that trains on them starts from the same predictor (`frames_from`) and
leaves its frame encoder as it is (`frozen`). Shards appear whole or not at all;
an interrupted run goes on with the same command. Shards that another encoder
has seen are refused.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Iterable, Iterator

import numpy as np
import tqdm

from data_prep import shards
from vta import errors
from vta.data import records
from vta.inference import pictures

_HIDDEN = frozenset(("frames", "mask", "frame_features", "whole_features"))


def seen_records(
  source: Iterable[records.Record], eyes: pictures.Pictures
) -> Iterator[records.Record]:
  """The records of `source` with pictures in the place of frames and mask.

  Raises:
    InputError: a record has no frames, or lacks the features of the tower that
      the encoder wants.
  """

  def features(record: records.Record, name: str) -> np.ndarray | None:
    if not eyes.tower:
      return None
    if name not in record.arrays:
      raise errors.InputError(
        str(record.meta["id"]), f"no {name}; the predictor wants them"
      )
    return record.arrays[name]

  for record in source:
    if "frames" not in record.arrays:
      raise errors.InputError(
        str(record.meta["id"]), "has no frames: a tower or we have seen it"
      )
    kept = {k: v for k, v in record.arrays.items() if k not in _HIDDEN}
    frames, mask = record.arrays["frames"], record.mask
    seen = eyes.encode(frames, mask, features(record, "frame_features"))
    kept["pictures"] = seen.astype(np.float16)
    if mask is not None:
      seen = eyes.encode(frames, None, features(record, "whole_features"))
      kept["whole_pictures"] = seen.astype(np.float16)
    yield records.Record(
      arrays=kept,
      meta={**record.meta, "pictures_by": eyes.digest},
    )


def main() -> int:
  """Parses arguments and makes every shard that is missing."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--records", type=pathlib.Path, required=True)
  parser.add_argument("--predictor", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  args = parser.parse_args()
  eyes = pictures.Pictures(args.predictor)
  missing = shards.missing(
    args.records,
    args.out,
    fields=lambda known: (
      (known - _HIDDEN)
      | {"pictures"}
      | ({"whole_pictures"} if "mask" in known else set())
    ),
    pictures_by=eyes.digest,
  )
  for number, shard in tqdm.tqdm(missing, unit="shard"):
    seen = seen_records(records.Shards([shard]), eyes)
    records.write_shards(args.out, seen, shard_size=sys.maxsize, first=number)
  return 0


if __name__ == "__main__":
  try:
    sys.exit(main())
  except errors.InputError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
