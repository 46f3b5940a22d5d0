"""A clip's signals and features as the arrays that the conditioners take.

Training and generation both come through `assemble`, so that what the model
learned to read is what it is given. Every array has a fixed shape for a given
number of latents and frames, `asked` says which conditions are present, and
all signals are put on the time of the latents here, by time stamps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import timing

# Every condition of the `foley` preset, in the order of its null flags.
NAMES = ("frames", "text", "reference", "loudness", "events", "objects")

Inputs = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Geometry:
  """The fixed sizes that inputs are padded to, and the rates of their clocks.

  Attributes:
    latents: latent frames.
    latent_rate: latent frames a second (44100 / 2048).
    frames: video frames.
    frame_size: side of a frame in pixels, which are squashed to squares; 0
      where nobody looks at pixels.
    text_width: width of the text encoder's tokens.
    text_tokens: tokens a caption is padded to.
    reference_width: numbers that describe a reference recording.
    object_width: of labels' vectors, where it is not the text's.
    tower: width of a frozen tower's features of a frame; 0 is no tower.
    whole: whether there are its features of the whole frames too, besides
      those of what the mask shows.
  """

  latents: int
  latent_rate: float
  frames: int
  frame_size: int
  text_width: int
  text_tokens: int
  reference_width: int
  object_width: int = 0
  tower: int = 0
  whole: bool = False


def geometry(
  latents: int,
  *,
  latent_rate: float,
  frame_rate: float,
  frame_size: int,
  text_width: int = 0,
  text_tokens: int = 0,
  reference_width: int = 0,
  tower: int = 0,
) -> Geometry:
  """Sizes for a stretch of so many latents, frames enough to cover it.

  What reads no text, no reference and no tower leaves their sizes at 0.
  """
  return Geometry(
    latents=latents,
    latent_rate=latent_rate,
    # One frame before the stretch and one after, to interpolate between.
    frames=int(latents / latent_rate * frame_rate) + 3,
    frame_size=frame_size,
    text_width=text_width,
    text_tokens=text_tokens,
    reference_width=reference_width,
    tower=tower,
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
  """One prompt as the text encoder's tokens, as many as there is room for."""

  tokens: Float[np.ndarray, "s d"]
  mask: Bool[np.ndarray, "s"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectFeatures:
  """Labels as vectors, and when each is visible or sounding."""

  times: Float[np.ndarray, "f"]
  probability: Float[np.ndarray, "f o"]
  vectors: Float[np.ndarray, "o d"]


def assemble(
  geometry: Geometry,
  *,
  start: float,
  total: float,
  frames: UInt8[np.ndarray, "f h w 3"] | None = None,
  frame_times: Float[np.ndarray, "f"] | None = None,
  mask: UInt8[np.ndarray, "f h w"] | None = None,
  frame_features: Float[np.ndarray, "f e"] | None = None,
  whole_features: Float[np.ndarray, "f e"] | None = None,
  pictures: Float[np.ndarray, "f d"] | None = None,
  text: Prompt | None = None,
  reference: Float[np.ndarray, "r"] | None = None,
  loudness: loudness_lib.Loudness | None = None,
  events: events_lib.Events | None = None,
  objects: ObjectFeatures | None = None,
) -> dict[str, np.ndarray]:
  """Inputs for the stretch of a clip that begins at `start` seconds.

  Args:
    geometry: sizes to pad to.
    start: where the first latent begins on the clip's time axis, seconds.
    total: the clip's whole duration, seconds.
    frames: video frames, of the whole clip or of what is around the stretch.
    frame_times: their times on the clip's axis.
    mask: 255 where the picture should sound, 0 elsewhere; None means all.
    frame_features: the tower's, of the frames under the mask; beside the
      frames, or, where the geometry has no pixels, in their place.
    whole_features: the tower's, of the whole frames.
    pictures: what the conditioner's own frame encoder, frozen, made of the
      frames under the mask; takes the place of the three.
    text: the prompt.
    reference: `describe_reference` of a recording.
    loudness: the curve that is asked for.
    events: when it should sound.
    objects: what sounds or shows, and when.

  Returns:
    name -> array without a batch axis; `asked` is bool in the order of
    `NAMES`; `frame_times` are seconds from `start`; of what is seen there is
    what the geometry has a size for, and `pictures` take the place of all.

  Raises:
    ValueError: frames without the tower's features, features without use, or
      frames as pixels and as pictures.
  """
  size, told = geometry.frame_size, frame_features is not None
  if size and told != (geometry.tower > 0 and frames is not None):
    raise ValueError("frame_features come with frames and a tower, or not")
  if not size and (frames is not None or (told and not geometry.tower)):
    raise ValueError("without pixels there are a tower's features alone")
  if geometry.whole and told != (whole_features is not None):
    raise ValueError("whole_features come with frame_features")
  if frames is not None and pictures is not None:
    raise ValueError("frames or pictures, not both")
  times = start + timing.centres(geometry.latents, geometry.latent_rate)
  valid = times < total + 0.5 / geometry.latent_rate

  size_of = {"frames": (size, size, 3), "mask": (size, size)} if size else {}
  seen = {
    name: np.zeros((geometry.frames, *rest), np.uint8)
    for name, rest in size_of.items()
  }
  of_tower = ["frame_features"] if geometry.tower else []
  for name in of_tower + ["whole_features"] * geometry.whole:
    seen[name] = np.zeros((geometry.frames, geometry.tower), np.float32)
  if pictures is not None:
    seen = {
      "pictures": np.zeros((geometry.frames, pictures.shape[1]), np.float32)
    }
  given = {
    "frames": frames,
    "mask": mask,
    "frame_features": frame_features,
    "whole_features": whole_features,
    "pictures": pictures,
  }
  if frame_times is not None:
    # From the last frame at or before the stretch on.
    first = max(int(np.searchsorted(frame_times, start, side="right")) - 1, 0)
    here = slice(first, first + geometry.frames)
    frame_times = frame_times[here]
    given = {k: v if v is None else v[here] for k, v in given.items()}
  stamps = np.zeros(geometry.frames, np.float32)
  left = np.zeros(geometry.latents, np.int32)
  fraction = np.zeros(geometry.latents, np.float32)
  ways = (given[name] for name in ("pictures", "frames", "frame_features"))
  shown = next((way for way in ways if way is not None), None)
  if shown is not None:
    count = len(shown)
    for name, array in seen.items():
      if given[name] is None:  # no mask: all of the picture
        array[:] = 255
        continue
      array[:count] = given[name]
      array[count:] = given[name][count - 1]
    # The last frame's copies fill up, so a clip of one frame interpolates too.
    held = np.append(frame_times, frame_times[-1] + 1.0)
    left, fraction = timing.weights(held, times)
    stamps[:count] = frame_times - start
    stamps[count:] = stamps[count - 1]
    left = np.minimum(left, geometry.frames - 2).astype(np.int32)

  tokens = np.zeros((geometry.text_tokens, geometry.text_width), np.float32)
  token_mask = np.zeros(geometry.text_tokens, bool)
  if text is not None:
    count = len(text.tokens)
    tokens[:count], token_mask[:count] = text.tokens, text.mask

  described = np.zeros(geometry.reference_width, np.float32)
  if reference is not None:
    described[:] = reference

  curve = np.zeros((geometry.latents, 2), np.float32)
  if loudness is not None:
    curve[:] = loudness_lib.unit(loudness.resample(times).lufs)

  sounding = np.zeros((geometry.latents, 2), np.float32)
  if events is not None:
    sounding[:] = event_channels(events, times, geometry.latent_rate)

  object_width = geometry.object_width or geometry.text_width
  sequence = np.zeros((geometry.latents, object_width), np.float32)
  if objects is not None:
    sequence[:] = timing.interpolate(
      objects.probability @ objects.vectors, objects.times, times
    )

  present = {
    "frames": shown is not None,
    "text": text is not None,
    "reference": reference is not None,
    "loudness": loudness is not None,
    "events": events is not None,
    "objects": objects is not None,
  }
  return {
    **seen,
    "frame_times": stamps,
    "frame_left": left,
    "frame_fraction": fraction.astype(np.float32),
    "text_tokens": tokens,
    "text_mask": token_mask,
    "reference": described,
    "loudness": curve,
    "events": sounding,
    "objects": sequence,
    "timing": np.array([start, total], np.float32),
    "valid": valid,
    "asked": np.array([present[name] for name in NAMES]),
  }


def event_channels(
  events: events_lib.Events, times: Float[np.ndarray, "t"], rate: float
) -> Float[np.ndarray, "t 2"]:
  """How much of each latent frame sounds, and where events begin.

  An onset is shared between the two nearest latents in proportion to its
  distance, so that the pair says where within 46 ms it lies.
  """
  half = 0.5 / rate
  covered = np.zeros(len(times))
  onset = np.zeros(len(times))
  for begin, end in events.intervals:
    overlap = np.minimum(times + half, end) - np.maximum(times - half, begin)
    covered += np.clip(overlap * rate, 0.0, 1.0)
    onset += np.clip(1.0 - np.abs(times - begin) * rate, 0.0, None)
  return np.stack([covered, onset], axis=1).clip(0.0, 1.0).astype(np.float32)


def describe_reference(
  latents: Float[np.ndarray, "l c"],
) -> Float[np.ndarray, "2*c"]:
  """What a recording sounds like, without when: moments of its latents.

  The order of frames does not matter to a mean and a deviation, so a model
  trained with references cut from the clip itself learns timbre from them and
  no timing.
  """
  return np.concatenate([latents.mean(axis=0), latents.std(axis=0)])
