"""What is wrong with a clip's media, if anything, and what it measures.

A file is opened and decoded once for all the clips that are stretches of it.
Nothing is repaired: what fails is left out, with a reason.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from data_prep import cutting, fingerprint
from data_prep.sets import entry as entry_lib
from vta import errors
from vta.media import read, source
from vta.metrics import loudness as loudness_metric
from vta.signals import loudness as loudness_lib
from vta.signals import timing

# Reason -> what it means, as the data card has it.
REASONS: Mapping[str, str] = {
  "missing": "there is no such file",
  "unreadable": "cannot be opened, is no media, or does not decode",
  "truncated": "holds less than its header says",
  "no_audio": "has no audio track",
  "no_video": "has no video track",
  "long_file": "the file is too long to be decoded whole",
  "outside": "the stretch is not in the file",
  "too_short": "too short",
  "nan": "samples that are no numbers",
  "lengths": "sound and picture end far apart",
  "silent": "silence throughout",
  "clipped": "too many samples at full scale",
  "static": "the picture never changes",
  "duplicate": "has the content of another clip",
  "leak": "of a source that a held-out side has clips of",
  "late": "failed when it was made into a record",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thresholds:
  """Where bad begins. Choices of ours, unless said otherwise.

  Attributes:
    shortest: seconds; below it there are two or three blocks of loudness.
    longest_file: seconds; sound is decoded whole, an hour of it is 1.3 GB.
    beyond: seconds that a stretch may end after its file: sets cut to whole
      seconds, files to frames.
    apart: seconds between the ends of sound and picture. What is missing of
      the sound is padded with silence, which a model would learn.
    silent: LUFS that no block of 1/6 s passes; vta.metrics.loudness.AUDIBLE.
    full_scale: of the largest sample, what counts as clipped.
    clipped: share of such samples; loud masters have some in ten thousand.
    static: levels of 255 by which some pixel of 32 x 32, four times a second,
      has to change. A still at x264's default moved by 4; one that is badly
      compressed may move by more, and passes.
    lost: share of the frames, or of the sound, that a cut file may lack.
  """

  shortest: float = 1.0
  longest_file: float = 3600.0
  beyond: float = 1.0
  apart: float = 1.0
  silent: float = loudness_metric.AUDIBLE
  full_scale: float = 0.999
  clipped: float = 0.01
  static: int = 8
  lost: float = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
  """What was found of a clip; numbers are None where it did not come so far.

  Attributes:
    id: the entry's.
    reason: why it is left out, of `REASONS`; empty for a good clip.
    detail: the same in words and numbers.
    start, end: the stretch of the file, s.
    sha256: of the file.
    bytes: of the file.
    seen: whether there are pictures to make a record of.
    fps, width, height: of the video as shown.
    rate, channels: of the audio track.
    loudness: integrated, LUFS (BS.1770-4); None for what is below its gate.
    clipped: share of samples at full scale.
    content: the clip's `fingerprint.Print`.
  """

  id: str
  reason: str = ""
  detail: str = ""
  start: float | None = None
  end: float | None = None
  sha256: str | None = None
  bytes: int | None = None
  seen: bool = False
  fps: float | None = None
  width: int | None = None
  height: int | None = None
  rate: int | None = None
  channels: int | None = None
  loudness: float | None = None
  clipped: float | None = None
  content: str | None = None


# Seconds of its codecs' padding that a header may count.
_PADDING = 0.1


class _Bad(Exception):
  """Ends the examination of a file or of a clip."""

  def __init__(self, reason: str, detail: str):
    super().__init__(reason, detail)
    self.reason, self.detail = reason, detail


def check_file(
  path: pathlib.Path,
  entries: Sequence[entry_lib.Entry],
  *,
  limits: Thresholds,
  sound_only: bool,
) -> list[Check]:
  """Checks the clips that are stretches of one file.

  Args:
    path: the file.
    entries: the clips.
    limits: where bad begins.
    sound_only: whether pictures are neither needed nor looked at.
  """
  found: dict[str, object] = {}
  try:
    wave, duration = _open(path, found, limits=limits, sound_only=sound_only)
    spans = {one.id: _span(one, duration, limits) for one in entries}
    stamps = {key: _stamps(span) for key, span in spans.items()}
    pictures = None
    if found["seen"]:
      pictures = _pictures(path, stamps, limits)
  except _Bad as bad:
    return [
      Check(id=one.id, reason=bad.reason, detail=bad.detail, **found)
      for one in entries
    ]
  checks = []
  for one in entries:
    own = dict(found)
    span = spans[one.id]
    try:
      if isinstance(span, _Bad):
        raise span
      own |= {"start": span[0], "end": span[1]}
      shown = None if pictures is None else pictures[one.id]
      _examine(wave, span, shown, duration, own, limits)
      checks.append(Check(id=one.id, **own))
    except _Bad as bad:
      checks.append(
        Check(id=one.id, reason=bad.reason, detail=bad.detail, **own)
      )
  return checks


def _open(
  path: pathlib.Path,
  found: dict[str, object],
  *,
  limits: Thresholds,
  sound_only: bool,
) -> tuple[np.ndarray, float]:
  """The file's sound and its length, s; notes in `found` what it learns."""
  try:
    if not path.exists():
      raise _Bad("missing", "there is no such file")
    tracks = read.tracks(path)
    with path.open("rb") as file:
      found["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    found["bytes"] = path.stat().st_size
    found["seen"] = tracks.video and not sound_only
    if tracks.audio_rate is None:
      raise _Bad("no_audio", "has no audio track that FFmpeg knows")
    found["rate"], found["channels"] = tracks.audio_rate, tracks.audio_channels
    if not tracks.video and not sound_only:
      raise _Bad("no_video", "has no video track")
    if (tracks.claimed or 0.0) > limits.longest_file:
      raise _Bad(
        "long_file",
        f"claims {tracks.claimed:.0f} s; {limits.longest_file:g} at most",
      )
    duration = None
    if found["seen"]:
      duration = _look(path, found, limits)
    wave = read.read_audio(path)
  except read.NotFinite as error:
    raise _Bad("nan", error.message) from None
  except (errors.InputError, OSError) as error:
    message = getattr(error, "message", None) or str(error)
    raise _Bad("unreadable", message) from None
  heard = len(wave) / timing.SAMPLE_RATE
  if duration is None:
    duration = heard
  longest = max(heard, duration)
  if longest < (tracks.claimed or 0.0) * (1 - limits.lost) - _PADDING:
    raise _Bad("truncated", f"holds {longest:.2f} of {tracks.claimed:.2f} s")
  return wave, duration


def _look(
  path: pathlib.Path, found: dict[str, object], limits: Thresholds
) -> float:
  info = read.probe(path)
  found |= {"fps": info.fps, "width": info.width, "height": info.height}
  if info.duration > limits.longest_file:
    raise _Bad(
      "long_file",
      f"lasts {info.duration:.0f} s; {limits.longest_file:g} at most",
    )
  declared = source.survey(path).declared
  if info.frames < declared * (1 - limits.lost):
    raise _Bad("truncated", f"holds {info.frames} of {declared} frames")
  return info.duration


def _span(
  entry: entry_lib.Entry, duration: float, limits: Thresholds
) -> tuple[float, float] | _Bad:
  """The stretch of the file that a clip is."""
  start, end = entry.start, entry.end
  if start >= duration or (
    math.isfinite(end) and end > duration + limits.beyond
  ):
    return _Bad(
      "outside", f"{start:g} to {end:g} s of a file of {duration:.2f} s"
    )
  end = min(end, duration)
  if end - start < limits.shortest:
    return _Bad(
      "too_short", f"{end - start:.2f} s; {limits.shortest:g} s are needed"
    )
  return start, end


def _stamps(span: tuple[float, float] | _Bad) -> np.ndarray:
  """When a clip is looked at."""
  if isinstance(span, _Bad):
    return np.zeros(0)
  start, end = span
  return timing.centres(
    math.floor((end - start) * fingerprint.RATE), fingerprint.RATE, start
  )


def _pictures(
  path: pathlib.Path, stamps: Mapping[str, np.ndarray], limits: Thresholds
) -> dict[str, np.ndarray]:
  times = np.concatenate(list(stamps.values()))
  try:
    frames = read.read_frames(
      path, times=times, height=fingerprint.SIDE, width=fingerprint.SIDE
    )
  except errors.InputError as error:
    raise _Bad("unreadable", error.message) from None
  report = frames.report
  expected = report.decoded + report.missing
  if report.missing > limits.lost * expected:
    raise _Bad(
      "unreadable", f"{report.missing} of {expected} frames do not decode"
    )
  edges = np.cumsum([len(own) for own in stamps.values()])[:-1]
  return dict(zip(stamps, np.split(frames.images, edges), strict=True))


def _examine(
  wave: np.ndarray,
  span: tuple[float, float],
  pictures: np.ndarray | None,
  duration: float,
  found: dict[str, object],
  limits: Thresholds,
) -> None:
  """What a clip sounds and looks like, into `found`."""
  start, end = span
  heard = len(wave) / timing.SAMPLE_RATE
  # Only a clip that goes to the film's end knows where the sound should.
  late = heard - duration if end >= duration else 0.0
  apart = max(end - heard, late)
  if apart > limits.apart:
    raise _Bad(
      "lengths", f"{heard:.2f} s of sound, {duration:.2f} s of pictures"
    )
  part = cutting.stretch(wave, start, end)
  loudness = loudness_metric.integrated(part)
  found["loudness"] = round(loudness, 2) if math.isfinite(loudness) else None
  share = float(np.mean(np.abs(part).max(axis=1) >= limits.full_scale))
  found["clipped"] = round(share, 6)
  loudest = loudness_lib.momentary(part).lufs.max()
  if loudest <= limits.silent:
    raise _Bad("silent", f"{loudest:.1f} LUFS at its loudest")
  if share > limits.clipped:
    raise _Bad("clipped", f"{share:.1%} of its samples are at full scale")
  if pictures is not None:
    change = np.ptp(pictures, axis=0).max()
    if change <= limits.static:
      raise _Bad("static", f"no pixel changes by more than {change} of 255")
  found["content"] = fingerprint.of_clip(part, pictures).text()
