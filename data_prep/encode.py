"""Wave records to latent records: what the frozen parts make of each clip.

  python -m data_prep.encode --records data/yard/train \\
      --codec runs/codec/release --out data/yard/latents

Waves become the codec's posterior, captions and object labels the text
encoder's features. With `--tower efficientnet-lite0` the frames gain that
tower's features, of the picture as the record's mask shows it, since what the
mask hides cannot sound, and where there is a mask of the whole picture too.
With `--languagebind DIR` sound, picture and captions gain LanguageBind's
vectors, which `tri_ergon` is conditioned on; DIR holds the public folders
LanguageBind_Video_V1.5_FT as video and LanguageBind_Audio_FT as audio, and sees
the frames as large as the records have them, which are then left out: they
would be most of the bytes. With `--dinov2 DIR` the LUFS predictor's pictures, 6
a second, are looked at. A --codec that has a text_encoder, as what `python -m
vta import` makes of Stable Audio, reads the captions by that too, which tuning
it needs. A record that has labels and no captions is said to be "The sound of"
them, and in four other ways.

The papers' presets at full size (configs/composed.py) are trained on what
public folders of transformers make of a clip. With `--clip DIR` that CLIP takes
the text encoder's place, and frames give way to its embeddings of them, as the
mask shows them and, where there is one, whole; with `--t5 DIR` captions are
read by that T5. Both together make records for all of them but Smooth-Foley's.

Shards appear whole or not at all; an interrupted run goes on with the same
command at the first one that is missing. Shards that another codec or other
towers made are refused.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tqdm

from data_prep import captions as captions_lib
from data_prep import shards as shards_lib
from vta import errors
from vta.data import records
from vta.encoders import dinov2 as dinov2_lib
from vta.encoders import languagebind, t5_text, towers
from vta.encoders import picture as picture_lib
from vta.encoders import text as text_lib
from vta.inference import chunks
from vta.interop import exchange
from vta.interop import release as release_lib
from vta.models import lufs_predictor
from vta.signals import timing
from vta.training import system
from vta.training.tasks import examples

# What a record gains, and by which tool.
_ALWAYS = frozenset(
  ("latent_mean", "latent_std", "text_tokens", "text_mask", "object_vectors")
)
_BY_TOOL = {
  "tower": {"frame_features"},
  "bound": {"text_vectors", "video_vector", "audio_vector"},
  "dinov2": {"looks"},
  "t5": {"t5_tokens", "t5_mask"},
  "clip": {"frame_features"},
  "prompts": set(),
}
_PIXELS = frozenset(("frames", "mask"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaveEncoder:
  """wave [t, 2] -> mean and deviation of its latents, [l, c] each.

  Attributes:
    encode: does it.
    digest: of the codec; records keep it as latents_by.
    rate: latents a second; records keep it as latent_rate.
  """

  encode: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
  digest: str
  rate: float

  def __call__(self, wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return self.encode(wave)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bound:
  """LanguageBind's three towers."""

  text: languagebind.TextEncoder
  video: languagebind.VideoEncoder
  audio: languagebind.AudioEncoder

  @classmethod
  def load(cls, folder: pathlib.Path) -> Bound:
    """Reads the folders video and audio."""
    return cls(
      text=languagebind.TextEncoder.load(folder / "video"),
      video=languagebind.VideoEncoder.load(folder / "video"),
      audio=languagebind.AudioEncoder.load(folder / "audio"),
    )

  def encode(
    self, record: records.Record, captions: Sequence[str]
  ) -> dict[str, np.ndarray]:
    """The fields that a latent record gains, in float32."""
    wave = record.arrays["wave"].astype(np.float32) / 32768.0
    frames = _visible(record)
    try:
      heard = self.audio.encode(wave[None], rate=timing.SAMPLE_RATE)
    except ValueError as error:
      raise errors.InputError(str(record.meta["id"]), str(error)) from None
    return {
      "text_vectors": self.text.encode(captions).embedding,
      "video_vector": self.video.encode(frames[None]).embedding[0],
      "audio_vector": heard.embedding[0],
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
  """CLIP's two towers."""

  texts: towers.ClipTexts
  frames: towers.ClipFrames

  @classmethod
  def load(cls, folder: pathlib.Path) -> Clip:
    """Reads a public folder of both."""
    return cls(
      texts=towers.load_texts("clip", folder),
      frames=towers.load_frames(folder),
    )

  def encode(self, record: records.Record) -> dict[str, np.ndarray]:
    """The fields that take the place of frames and mask, in float32."""
    return _watched(record, self.frames)


class _Texts:
  """Texts as an encoder has them.

  All at once, in full batches, which costs a third of going clip by clip.
  """

  def __init__(self, encoder: towers.TextEncoder, texts: Iterable[str]):
    ordered = sorted(texts)
    self._made = encoder.encode(ordered)
    self._row = {text: i for i, text in enumerate(ordered)}

  def tokens(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and mask."""
    rows = [self._row[text] for text in texts]
    return self._made.tokens[rows].astype(np.float16), self._made.mask[rows]

  def vectors(self, texts: Sequence[str]) -> np.ndarray:
    return self._made.pooled[[self._row[text] for text in texts]]


def encode_records(
  source: Sequence[records.Record],
  *,
  encode_wave: WaveEncoder,
  texts: text_lib.TextEncoder,
  captions: int,
  tower: picture_lib.PictureEncoder | None = None,
  bound: Bound | None = None,
  dinov2: dinov2_lib.Encoder | None = None,
  t5: t5_text.T5TextEncoder | None = None,
  clip: Clip | None = None,
  prompts: t5_text.T5TextEncoder | None = None,
) -> Iterator[records.Record]:
  """The latent records of wave records; keeps `captions` captions of each.

  Captions are read by `prompts`, or by `clip`, or by `texts`, and labels by
  `clip`, or by `texts`.
  """
  labels_by = texts if clip is None else clip.texts
  words = {t for r in source for t in captions_lib.of(r.meta, most=captions)}
  labels = {text for r in source for text in r.meta["objects"]}
  shown = _Texts(labels_by, labels if prompts else labels | words)
  said = _Texts(prompts, words) if prompts else shown
  for record in source:
    arrays = dict(record.arrays)
    mean, std = encode_wave(arrays.pop("wave").astype(np.float32) / 32768.0)
    if tower is not None:
      seen = _watched(record, tower)
      arrays |= {k: v.astype(np.float16) for k, v in seen.items()}
    kept = captions_lib.of(record.meta, most=captions)
    if bound is not None:
      vectors = bound.encode(record, kept)
      arrays |= {k: v.astype(np.float16) for k, v in vectors.items()}
    if t5 is not None:
      arrays |= _read(kept, t5)
    if dinov2 is not None:
      arrays["looks"] = _looks(record, dinov2).astype(np.float16)
    meta = _by(clip, prompts)
    tokens, mask = said.tokens(kept)
    if meta:
      tokens, mask = _trimmed(tokens, mask)
    if clip is not None or bound is not None:
      arrays = {k: v for k, v in arrays.items() if k not in _PIXELS}
    if clip is not None:
      seen = clip.encode(record)
      arrays |= {k: v.astype(np.float16) for k, v in seen.items()}
      meta["frames_were"] = record.arrays["frames"].shape[1:3]
    vectors = shown.vectors(record.meta["objects"])
    yield records.Record(
      arrays={
        **arrays,
        "latent_mean": mean.astype(np.float16),
        "latent_std": std.astype(np.float16),
        "text_tokens": tokens,
        "text_mask": mask,
        "object_vectors": vectors.astype(np.float16),
      },
      meta={
        **record.meta,
        **meta,
        "captions": kept,
        "latents_by": encode_wave.digest,
        "latent_rate": encode_wave.rate,
      },
    )


def _watched(
  record: records.Record,
  tower: picture_lib.PictureEncoder | towers.ClipFrames,
) -> dict[str, np.ndarray]:
  """A tower's features of the frames as the mask shows them, and whole."""
  frames, mask = record.arrays["frames"], record.mask
  made = {"frame_features": tower.encode(frames, mask)}
  if mask is not None:
    made["whole_features"] = tower.encode(frames)
  return made


def _read(
  captions: Sequence[str], t5: t5_text.T5TextEncoder
) -> dict[str, np.ndarray]:
  """T5's tokens."""
  made = t5.encode(captions)
  tokens, mask = _trimmed(made.tokens, made.mask)
  return {"t5_tokens": tokens.astype(np.float16), "t5_mask": mask}


def _trimmed(
  tokens: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """As many as the longest caption has."""
  size = int(mask.sum(axis=1).max(initial=0))
  return tokens[:, :size], mask[:, :size]


def _by(clip: Clip | None, prompts: object) -> dict[str, object]:
  """What records say of which towers read and saw them."""
  by = {} if clip is None else {"text_by": "clip", "frames_by": "clip"}
  return by if prompts is None else {**by, "text_by": "t5"}


def _looks(record: records.Record, dinov2: dinov2_lib.Encoder) -> np.ndarray:
  """Class tokens of the frames that are on at the middle of every 1/6 s."""
  rate = lufs_predictor.FRAME_RATE
  count = max(int(float(record.meta["duration"]) * rate), 1)
  stamps = record.arrays["frame_times"]
  shown = np.searchsorted(stamps, timing.centres(count, rate), "right") - 1
  return dinov2.encode(_visible(record)[np.maximum(shown, 0)]).pooled


def _visible(record: records.Record) -> np.ndarray:
  """The frames; what the mask hides cannot sound and is grey."""
  frames = record.arrays["frames"]
  if record.mask is None:
    return frames
  return np.where(record.mask[..., None] > 0, frames, np.uint8(127))


def wave_encoder(release: release_lib.Release) -> WaveEncoder:
  """The codec of a release."""
  params = release.require("codec")
  codec = system.codec(release.config["codec"])
  return WaveEncoder(
    encode=functools.partial(chunks.describe, codec, params),
    digest=examples.codec_digest(release),
    rate=timing.SAMPLE_RATE / codec.config.hop,
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Towers:
  """What encodes, by where it is: `load` makes `encode_records`' arguments.

  Attributes:
    codec: the release whose codec it is.
    captions: how many are kept of a clip.
    tower, languagebind, dinov2, clip, t5: the options of that name.
  """

  codec: pathlib.Path
  captions: int = 4
  tower: str | None = None
  languagebind: pathlib.Path | None = None
  dinov2: pathlib.Path | None = None
  clip: pathlib.Path | None = None
  t5: pathlib.Path | None = None

  @property
  def see(self) -> bool:
    """Whether any of them looks at frames."""
    return any((self.tower, self.languagebind, self.dinov2, self.clip))

  def load(self) -> dict[str, Any]:
    """Reads the codec and the towers.

    Raises:
      InputError: naming the folder that does not hold what it should.
    """
    tools: dict[str, Any] = {
      "encode_wave": wave_encoder(release_lib.load(self.codec)),
      "texts": text_lib.TextEncoder.load(),
      "captions": self.captions,
    }
    if self.tower:
      tools["tower"] = picture_lib.PictureEncoder.load()
    if self.languagebind:
      tools["bound"] = Bound.load(self.languagebind)
    if self.dinov2:
      tools["dinov2"] = dinov2_lib.Encoder.load(self.dinov2)
    if self.clip:
      tools["clip"] = Clip.load(self.clip)
    if self.t5:
      tools["prompts"] = towers.load_texts("t5", self.t5)
    prompts = self.codec / exchange.TEXT_ENCODER
    if prompts.is_dir():
      tools["t5"] = t5_text.T5TextEncoder.load(prompts)
    return tools


def add_towers(parser: argparse.ArgumentParser) -> None:
  """The options that `Towers` has, but --codec."""
  parser.add_argument("--captions", type=int, default=4)
  parser.add_argument("--languagebind", type=pathlib.Path, metavar="DIR")
  parser.add_argument("--dinov2", type=pathlib.Path, metavar="DIR")
  parser.add_argument("--t5", type=pathlib.Path, metavar="DIR")
  features = parser.add_mutually_exclusive_group()
  features.add_argument("--tower", choices=("efficientnet-lite0",))
  features.add_argument("--clip", type=pathlib.Path, metavar="DIR")


def chosen_towers(args: argparse.Namespace) -> Towers:
  """What `add_towers` and --codec were given."""
  names = [field.name for field in dataclasses.fields(Towers)]
  return Towers(**{name: getattr(args, name) for name in names})


def main() -> int:
  """Parses arguments and encodes every shard that is missing."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--records", type=pathlib.Path, required=True)
  parser.add_argument("--codec", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  add_towers(parser)
  args = parser.parse_args()
  tools = chosen_towers(args).load()
  encode_wave = tools["encode_wave"]
  print(f"latents at {encode_wave.rate:.2f} Hz")
  gained = _ALWAYS.union(*(_BY_TOOL.get(name, ()) for name in tools))

  def fields(known):
    lost = {"wave"} | (_PIXELS if args.clip or args.languagebind else set())
    towers_see = args.clip or args.tower
    whole = {"whole_features"} if towers_see and "mask" in known else set()
    return (known - lost) | gained | whole

  missing = shards_lib.missing(
    args.records,
    args.out,
    fields=fields,
    latents_by=encode_wave.digest,
    **{"text_by": None, "frames_by": None}
    | _by(tools.get("clip"), tools.get("prompts")),
  )
  for number, shard in tqdm.tqdm(missing, unit="shard"):
    encoded = encode_records(
      records.Shards([shard]),
      **tools,
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
