"""Wave records to latent records: what the frozen parts make of each clip.

  python -m data_prep.encode --records data/yard/train \\
      --codec runs/codec/release --out data/yard/latents

Waves become the codec's posterior, captions and object labels the text
encoder's features. With `--tower efficientnet-lite0` the frames gain that
tower's features, of the picture as the record's mask shows it: what the mask
hides cannot sound. Shards appear whole or not at all; an interrupted run goes
on with the same command at the first one that is missing.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Callable, Iterator

import jax
import numpy as np
import tqdm

from vta import errors
from vta.data import records
from vta.encoders import picture as picture_lib
from vta.encoders import text as text_lib
from vta.interop import release as release_lib
from vta.signals import timing
from vta.training import system

EncodeWave = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

# Clips are padded to a multiple of this many latents: few programs to compile.
_BUCKET = 32


def encode_records(
  source: records.Shards,
  *,
  encode_wave: EncodeWave,
  texts: text_lib.TextEncoder,
  captions: int,
  tower: picture_lib.PictureEncoder | None = None,
) -> Iterator[records.Record]:
  """The latent records of wave records; keeps `captions` captions of each.

  All texts are encoded first, once each and in full batches, which costs a
  third of going clip by clip.
  """
  words = {
    text
    for record in source
    for text in (*record.meta["captions"][:captions], *record.meta["objects"])
  }
  worded = texts.encode(sorted(words))
  row = {text: i for i, text in enumerate(sorted(words))}
  for record in source:
    arrays = dict(record.arrays)
    mean, std = encode_wave(arrays.pop("wave").astype(np.float32) / 32768.0)
    if tower is not None:
      features = tower.encode(arrays["frames"], record.mask)
      arrays["frame_features"] = features.astype(np.float16)
    kept = list(record.meta["captions"])[:captions]
    said = [row[caption] for caption in kept]
    shown = [row[label] for label in record.meta["objects"]]
    yield records.Record(
      arrays={
        **arrays,
        "latent_mean": mean.astype(np.float16),
        "latent_std": std.astype(np.float16),
        "text_tokens": worded.tokens[said].astype(np.float16),
        "text_mask": worded.mask[said],
        "object_vectors": worded.pooled[shown].astype(np.float16),
      },
      meta={**record.meta, "captions": kept},
    )


def wave_encoder(release: release_lib.Release) -> EncodeWave:
  """wave [t, 2] -> mean and deviation of its latents, [l, c] each."""
  codec = system.codec(release.config["codec"])
  params = release.parts["codec"]
  hop = codec.config.hop

  @jax.jit
  def posterior(wave):
    out = codec.apply({"params": params}, wave, method="encode")
    return out.mean, out.std

  def encode(wave):
    # Padded and cut in NumPy: JAX would compile both for every length anew.
    latents = -(-len(wave) // hop)
    pad = -len(wave) % (_BUCKET * hop)
    mean, std = posterior(np.pad(wave, ((0, pad), (0, 0)))[None])
    return np.asarray(mean)[0, :latents], np.asarray(std)[0, :latents]

  return encode


def main() -> int:
  """Parses arguments and encodes every shard that is missing."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--records", type=pathlib.Path, required=True)
  parser.add_argument("--codec", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--captions", type=int, default=4)
  parser.add_argument("--tower", choices=("efficientnet-lite0",))
  args = parser.parse_args()
  release = release_lib.load(args.codec)
  rate = timing.SAMPLE_RATE / system.codec(release.config["codec"]).config.hop
  print(f"latents at {rate:.2f} Hz")
  encode_wave = wave_encoder(release)
  texts = text_lib.TextEncoder.load()
  tower = picture_lib.PictureEncoder.load() if args.tower else None
  shards = sorted(args.records.glob("*.array_record"))
  if not shards:
    raise errors.InputError(args.records, "holds no *.array_record shard")
  for number, shard in enumerate(tqdm.tqdm(shards, unit="shard")):
    if (args.out / shard.name).exists():
      continue
    encoded = encode_records(
      records.Shards([shard]),
      encode_wave=encode_wave,
      texts=texts,
      captions=args.captions,
      tower=tower,
    )
    records.write_shards(
      args.out, encoded, shard_size=sys.maxsize, first=number
    )
  return 0


if __name__ == "__main__":
  try:
    sys.exit(main())
  except errors.InputError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
