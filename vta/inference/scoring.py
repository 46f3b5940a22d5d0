"""Scoring a clip: a video and its cue sheet to stems and a mix."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vta import errors
from vta.inference import generator as generator_lib
from vta.inference import job as job_lib
from vta.inference import mixing
from vta.media import read
from vta.signals import cues

# A sheet may have been written for the audio track, which is seldom exactly as
# long as the video.
DURATION_SLACK = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Soundtrack:
  """What was made for a clip.

  Attributes:
    wave: the mix.
    stems: one per track, with its gain and pan; they sum to the mix.
    gain_db: what the peak limit took from all of them.
    sheet: the cue sheet that it was made from, seeds filled in.
  """

  wave: Float[np.ndarray, "t 2"]
  stems: tuple[Float[np.ndarray, "t 2"], ...]
  gain_db: float
  sheet: cues.CueSheet


def check_duration(path: str | os.PathLike, duration: float) -> None:
  """Raises InputError for clips shorter than 1 s or longer than 60 s."""
  low, high = cues.MIN_DURATION, cues.MAX_DURATION
  # A frame's rounding must not refuse a clip that is called 1 s or 60 s.
  if not low - 0.05 <= duration <= high + 0.05:
    raise errors.InputError(
      path, f"lasts {duration:.2f} s; clips of {low:g} to {high:g} s are scored"
    )


def check_sheet(
  sheet: cues.CueSheet, duration: float, *, where: str | os.PathLike
) -> None:
  """Raises InputError when a sheet was written for another clip."""
  if abs(sheet.duration - duration) > DURATION_SLACK:
    raise errors.InputError(
      f"{os.fspath(where)}: duration",
      f"the sheet says {sheet.duration:.2f} s, the video lasts "
      f"{duration:.2f} s",
    )


def score(
  generator: generator_lib.Generator,
  *,
  duration: float,
  frames: read.Frames | None,
  tracks: Sequence[cues.Track],
  settings: generator_lib.Settings,
  seed: int,
) -> Soundtrack:
  """Generates every track as one batch and mixes them.

  Args:
    generator: a loaded release.
    duration: of the clip, seconds.
    frames: from `generator.reader.read_frames`; None without a picture.
    tracks: what is asked for.
    settings: how to sample.
    seed: of the first track that names none of its own; the next has seed + 1.
  """
  seeded = tuple(
    track
    if track.seed is not None
    else dataclasses.replace(track, seed=(seed + i) % (cues.MAX_SEED + 1))
    for i, track in enumerate(tracks)
  )
  jobs = [
    job_lib.Job(duration=duration, frames=frames, track=track, seed=track.seed)
    for track in seeded
  ]
  placed = [
    mixing.place(wave, gain_db=track.gain_db or 0.0, pan=track.pan or 0.0)
    for wave, track in zip(
      generator.generate(jobs, settings), seeded, strict=True
    )
  ]
  wave, stems, gain_db = mixing.mix(placed)
  return Soundtrack(
    wave=wave,
    stems=tuple(stems),
    gain_db=gain_db,
    sheet=cues.CueSheet(duration=duration, tracks=seeded),
  )
