"""A scene as a wave record: what is seen and heard, and every signal's truth.

Some records are *masked*: the picture shows the whole scene, the sound and all
signals are of a few of its sources, and the mask says where those are. From
them a model learns that a mask asks for one thing among several.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int16, UInt8

from vta.data import records
from vta.data.yard import picture, scene, sound, stage, truth
from vta.data.yard import recordings as recordings_lib
from vta.data.yard.captions import captions, held_out_captions
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import masks as masks_lib

FRAME_RATE = 15.0
FRAME_SIZE = 64
MASKED = 0.5  # of the scenes that can be
_SLACK = 0.1  # of a box's side: people draw around things, not along them

# Streams of a clip's randomness, apart from the one that drew the scene.
_CHOICE, _WORDS, _BOXES = 1, 2, 3


def draw_heard(staged: scene.Scene) -> tuple[int, ...] | None:
  """Which sources a record of the scene is of.

  Returns:
    Indices of some on-screen sources for a masked record, which `MASKED` of
    the scenes with something to choose from get; None for the whole scene.
  """
  rng = _rng(staged, _CHOICE)
  # A mask of the whole frame (rain's) would not say what it is of.
  candidates = [
    i
    for i, source in enumerate(staged.sources)
    if source.on_screen and np.isfinite(source.extent).any()
  ]
  if rng.random() >= MASKED or not candidates or len(staged.sources) < 2:
    return None
  most = min(len(candidates), len(staged.sources) - 1)
  count = int(rng.integers(1, most + 1))
  return tuple(sorted(rng.choice(candidates, count, replace=False).tolist()))


def record(
  staged: scene.Scene,
  *,
  heard: Sequence[int] | None = None,
  pictures: bool = True,
  recordings: recordings_lib.Library = recordings_lib.NONE,
) -> records.Record:
  """Renders a scene.

  Args:
    staged: the scene.
    heard: indices of the sources that the record is of, under a mask of their
      boxes; None is all of them and no mask (`draw_heard` draws it).
    pictures: whether to render frames and mask, which the codec never sees.
    recordings: in place of synthesis, for the things that it has; `meta` lists
      those that may be heard.
  """
  rendered = sound.render_sound(
    staged, recordings=recordings_lib.waves(recordings, staged.split)
  )
  wave = rendered.wave
  if heard is not None:
    wave = rendered.stems[list(heard)].sum(axis=0)
  loudness = loudness_lib.momentary(wave, rate=rendered.rate)
  times = picture.frame_times(staged.duration, FRAME_RATE)
  objects = truth.objects(staged, heard)
  arrays = {
    "wave": _int16(wave),
    "loudness": loudness.lufs.astype(np.float32),
    "loudness_times": loudness.times.astype(np.float32),
    "events": truth.events(rendered, heard).intervals.astype(np.float32),
    "frame_times": times.astype(np.float32),
    "object_probability": objects.resample(times).probability.astype(
      np.float16
    ),
    "object_sounding": _sounding(staged, rendered, heard, times),
  }
  if pictures:
    arrays["frames"] = picture.render_frames(
      staged, times=times, size=FRAME_SIZE
    )
    if heard is not None:
      arrays["mask"] = _mask(staged, heard, times)
  words = _rng(staged, _WORDS)
  kind = "" if heard is None else "-masked"
  chosen = range(len(staged.sources)) if heard is None else heard
  meta = {
    "id": f"yard-{staged.split}-{staged.seed}-{staged.index}{kind}",
    "duration": staged.duration,
    "captions": captions(staged, heard, rng=words),
    "held_out_captions": held_out_captions(staged, heard, rng=words),
    "objects": list(objects.labels),
    "split": staged.split,
    "seed": staged.seed,
    "index": staged.index,
    "sources": [_describe(staged, i, loudness.times) for i in chosen],
    "recordings": recordings_lib.credits(
      recordings, staged.split, [staged.sources[i] for i in chosen]
    ),
  }
  return records.Record(arrays=arrays, meta=meta)


def _sounding(
  staged: scene.Scene,
  rendered: sound.SceneSound,
  heard: Sequence[int] | None,
  times: Float[np.ndarray, " f"],
) -> Bool[np.ndarray, "f o"]:
  """Whether each source is heard at each frame, as `truth.events` hears it."""
  chosen = range(len(staged.sources)) if heard is None else heard
  sounding = np.zeros((len(times), len(chosen)), bool)
  for column, i in enumerate(chosen):
    own = truth.events(rendered, [i])
    sounding[:, column] = events_lib.to_binary(own, times) > 0.5
  return sounding


def _rng(staged: scene.Scene, stream: int) -> np.random.Generator:
  split = stage.SPLITS.index(staged.split)
  return np.random.default_rng([staged.seed, staged.index, split, stream])


def _int16(wave: Float[np.ndarray, "t 2"]) -> Int16[np.ndarray, "t 2"]:
  # Stems can pass full scale where their sum does not.
  return np.clip(np.round(wave * 32768.0), -32768, 32767).astype(np.int16)


def _mask(
  staged: scene.Scene, heard: Sequence[int], times: Float[np.ndarray, " f"]
) -> UInt8[np.ndarray, "f h b"]:
  """The boxes as a person might draw them, packed eight pixels a byte."""
  rng = _rng(staged, _BOXES)
  regions = []
  for i in heard:
    outward = np.array([-1.0, -1.0, 1.0, 1.0])
    grow = (outward * rng.uniform(0.0, _SLACK, 4))[None]
    for box in truth.masks(staged, [i]).regions:
      side = np.tile(box.corners[:, 2:] - box.corners[:, :2], 2)
      corners = np.clip(box.corners + grow * side, 0.0, 1.0)
      regions.append(
        masks_lib.Box(times=box.times, span=box.span, corners=corners)
      )
  drawn = masks_lib.rasterise(
    masks_lib.Masks(regions=tuple(regions)),
    times,
    height=FRAME_SIZE,
    width=FRAME_SIZE,
  )
  # Any share of a pixel: far things are smaller than one.
  return np.packbits(drawn > 0.0, axis=-1)


def _describe(
  staged: scene.Scene, i: int, times: Float[np.ndarray, " n"]
) -> dict:
  """What evaluation compares with; `pan` at the times of the loudness."""
  source = staged.sources[i]
  return {
    "thing": source.thing,
    "material": source.material,
    "size": source.size,
    "on_screen": source.on_screen,
    "onsets": truth.onsets(staged, [i]).round(6).tolist(),
    "pan": truth.pan(staged, i, times).round(3).tolist(),
  }
