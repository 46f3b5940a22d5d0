"""Reading clips: what a file holds, its frames at given times, its sound."""

from __future__ import annotations

import dataclasses
import os
from fractions import Fraction

import av
import numpy as np
import soxr
from av.audio.resampler import AudioResampler
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import Float, UInt8

from vta import errors
from vta.media import source
from vta.signals import timing

# A time stamp tells a time to half a tick of its clock: Matroska writes 67 ms
# for a frame at 66.7 ms. Clocks as slow as the frame rate get no more leave.
_MAX_SLACK = 5e-4
_START_SLACK = 2e-3  # seconds: clocks of audio and video differ by rounding
_GAP = 0.05  # seconds without sound that are silence, not jitter
_GUESSED = {"aac", "mp3", "mpeg", "mpegts"}  # lengths of these formats
_LONGEST_GAP = 3600.0  # seconds; above it the time stamp is damaged
_SCALING = (
  Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MediaInfo:
  """What a file holds.

  Attributes:
    path: the file.
    duration: of the video stream, seconds.
    fps: frames per second, the average where the rate varies.
    width: of the picture as shown, pixels, rotation and pixel aspect applied.
    height: idem.
    rotation: degrees by which stored frames are turned counter-clockwise to
      be shown, 0..359.
    frames: video frames in the file.
    video_codec: FFmpeg's name for it.
    audio_rate: Hz, None without an audio track.
    audio_channels: None without an audio track.
  """

  path: str
  duration: float
  fps: float
  width: int
  height: int
  rotation: int
  frames: int
  video_codec: str
  audio_rate: int | None
  audio_channels: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tracks:
  """What tracks a file says that it has.

  Attributes:
    video: whether it has one that is more than a cover picture.
    audio_rate: Hz, None without an audio track.
    audio_channels: None without an audio track.
    claimed: seconds that its header says it lasts, None where it says nothing
      and FFmpeg guesses by the bit rate.
  """

  video: bool
  audio_rate: int | None
  audio_channels: int | None
  claimed: float | None


class NotFinite(errors.InputError):
  """A track's samples are no numbers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameReport:
  """What `read_frames` found and used.

  Attributes:
    duration: of the video stream, seconds.
    fps: frames per second, the average where the rate varies.
    decoded: frames decoded, up to the last one asked for.
    duplicated: asked times that got the same frame as the time before them.
    missing: frames in that span that are damaged or cut off; the frame before
      stands in.
  """

  duration: float
  fps: float
  decoded: int
  duplicated: int
  missing: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frames:
  """Frames at asked times."""

  times: Float[np.ndarray, " f"]
  images: UInt8[np.ndarray, "f h w 3"]
  report: FrameReport


def tracks(path: str | os.PathLike) -> Tracks:
  """Reads a file's header; decodes nothing.

  Raises:
    InputError: the file cannot be read.
  """
  with source.open_media(path) as container:
    audio = next(iter(container.streams.audio), None)
    known = audio is not None and audio.codec_context is not None
    guessed = container.format.name in _GUESSED
    claimed = None if guessed else container.duration
    return Tracks(
      video=any(not _is_cover(video) for video in container.streams.video),
      audio_rate=audio.rate if known else None,
      audio_channels=audio.channels if known else None,
      claimed=None if claimed is None else claimed / av.time_base,
    )


def probe(path: str | os.PathLike) -> MediaInfo:
  """Measures a clip; decodes its first frame only.

  Raises:
    InputError: the file cannot be read, has no video, or no frame decodes.
  """
  timeline = source.survey(path)
  with source.open_media(path) as container:
    stream = source.video_stream(container, path)
    frame = next(source.decode(container, stream), None)
    if frame is None:
      raise errors.InputError(path, "no frame of its video can be decoded")
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = round(frame.width * aspect), frame.height
    if _orientation(frame)[0]:
      width, height = height, width
    audio = next(iter(container.streams.audio), None)
    return MediaInfo(
      path=os.fspath(path),
      duration=timeline.duration,
      fps=len(timeline.times) / timeline.duration,
      width=width,
      height=height,
      rotation=frame.rotation % 360,
      frames=len(timeline.times),
      video_codec=stream.codec_context.name,
      audio_rate=audio.rate if audio else None,
      audio_channels=audio.channels if audio else None,
    )


def read_frames(
  path: str | os.PathLike,
  *,
  times: Float[np.ndarray, " f"],
  height: int,
  width: int,
) -> Frames:
  """Reads the frames shown at the given times.

  At each time that is the latest frame whose time stamp is not after it; the
  first frame before the first, the last one after the last. Time stamps count
  from the first frame's. The file is decoded once, in order, up to the last
  time; only frames asked for are converted, and at once to the size asked for.

  Args:
    path: the file.
    times: seconds from the clip's start, in any order.
    height: of the images, pixels. The picture as shown (rotation applied) is
      scaled to fill height x width, each pixel the mean of its area.
    width: idem.

  Raises:
    InputError: the file cannot be read, has no video, or no frame decodes.
  """
  timeline = source.survey(path)
  images = np.empty((len(times), height, width, 3), np.uint8)
  order = np.argsort(times, kind="stable")
  asked = np.asarray(times)[order]
  decoded = done = duplicated = 0
  time, held = 0.0, None
  scaler = VideoReformatter()
  with source.open_media(path) as container:
    stream = source.video_stream(container, path)
    slack = min(float(stream.time_base) / 2, _MAX_SLACK)
    for frame in source.decode(container, stream):
      if not timeline.stamped or frame.pts is None:
        time = timeline.times[min(decoded, len(timeline.times) - 1)]
      else:
        time = float(frame.pts * stream.time_base - timeline.start)
      decoded += 1
      # What was asked for before this frame's time is the one held.
      ready = int(np.searchsorted(asked, time - slack))
      if held is not None and ready > done:
        images[order[done:ready]] = _picture(held, scaler, height, width)
        duplicated += ready - done - 1
        done = ready
        if done == len(asked):
          break
      held = frame
    if held is None:
      raise errors.InputError(path, "no frame of its video can be decoded")
    expected = int(np.searchsorted(timeline.times, time, side="right"))
    if done < len(asked):
      images[order[done:]] = _picture(held, scaler, height, width)
      duplicated += len(asked) - done - 1
      expected = timeline.declared
  report = FrameReport(
    duration=timeline.duration,
    fps=len(timeline.times) / timeline.duration,
    decoded=decoded,
    duplicated=duplicated,
    missing=max(expected - decoded, 0),
  )
  return Frames(times=np.asarray(times), images=images, report=report)


def read_audio(
  path: str | os.PathLike, *, rate: int = timing.SAMPLE_RATE
) -> Float[np.ndarray, "t 2"]:
  """Reads a file's first audio track in stereo, float32, at `rate` Hz.

  Sample 0 is the first video frame's time (the first sample's in an audio
  file): sound before it is cut, a late start and gaps are silence. Its end is
  the track's own; nothing is padded to the video's. Mono is duplicated; more
  channels are mixed by FFmpeg's matrix, scaled so that it cannot clip (5.1:
  front left + 0.707 centre + 0.707 back left, over 2.414).

  Raises:
    InputError: the file cannot be read, has no audio track, or none decodes;
      as NotFinite where it has samples that are NaN or infinite.
  """
  with source.open_media(path) as container:
    if not container.streams.audio:
      raise errors.InputError(path, "has no audio track")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
      raise errors.InputError(path, "its audio codec is not known to FFmpeg")
    stamped = stream.start_time is not None
    if any(not _is_cover(video) for video in container.streams.video):
      origin = source.survey(path).start
    else:
      origin = stream.start_time * stream.time_base if stamped else Fraction(0)
    blocks, mixers, written, native = [], {}, 0, None
    for frame in source.decode(container, stream):
      native = native or frame.sample_rate
      try:
        block = _stereo(frame, native, mixers)
      except av.FFmpegError:
        raise errors.InputError(
          path, f"its {stream.channels} audio channels cannot be mixed to two"
        ) from None
      if frame.pts is not None:
        offset = float(frame.pts * stream.time_base - origin) - written / native
        if not written and offset < -_START_SLACK:
          block = block[round(-offset * native) :]
        elif (_START_SLACK, _GAP)[written > 0] < offset < _LONGEST_GAP:
          blocks.append(np.zeros((round(offset * native), 2), np.float32))
          written += len(blocks[-1])
      blocks.append(block)
      written += len(block)
    if not written:
      raise errors.InputError(path, "no sound in its audio track decodes")
    wave = np.concatenate(blocks)
    # MP4 declares the track's end within the codec's last frame; FFmpeg
    # decodes that frame whole.
    if container.format.name.startswith("mov") and stream.duration and stamped:
      end = (stream.start_time + stream.duration) * stream.time_base - origin
      excess = written - round(end * native)
      if 0 < excess < len(block):
        wave = wave[:-excess]
  if not np.isfinite(wave).all():
    raise NotFinite(path, "its audio track has samples that are NaN")
  return resample(wave, native, rate)


def resample(
  wave: Float[np.ndarray, "t 2"], source_rate: int, rate: int
) -> Float[np.ndarray, "u 2"]:
  """Resamples with soxr to round(t * rate / source_rate) samples."""
  if source_rate == rate:
    return wave
  length = round(Fraction(len(wave) * rate, source_rate))
  result = soxr.resample(wave, source_rate, rate)[:length]
  return np.pad(result, ((0, length - len(result)), (0, 0)))


def _is_cover(stream: av.VideoStream) -> bool:
  return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _stereo(
  frame: av.AudioFrame,
  rate: int,
  mixers: dict[tuple[str, str, int], AudioResampler],
) -> Float[np.ndarray, "t 2"]:
  """One decoded block in stereo; `mixers` keeps one per kind of block seen."""
  mono = frame.layout.nb_channels == 1
  kind = (frame.layout.name, frame.format.name, frame.sample_rate)
  mixer = mixers.setdefault(
    kind,
    AudioResampler(
      format="fltp",
      layout="mono" if mono else "stereo",
      rate=rate,
      # The default divisor depends on the sample format: 1 for float tracks.
      options={"rematrix_maxval": "1.0"},
    ),
  )
  parts = [part.to_ndarray() for part in mixer.resample(frame)]
  block = np.concatenate([np.zeros((2 - mono, 0), np.float32), *parts], axis=1)
  return np.repeat(block.T, 2, axis=1) if mono else block.T


def _orientation(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
  """Whether to transpose a frame, then flip it left-right, then up-down.

  The display matrix maps a stored (x, y) to a shown (a x + c y, b x + d y);
  cameras write the eight right-angled ones.
  """
  if SideData.DISPLAYMATRIX not in frame.side_data:
    return False, False, False
  matrix = np.frombuffer(frame.side_data[SideData.DISPLAYMATRIX], np.int32)
  a, b, _, c, d = matrix[:5].tolist()
  if abs(b) > abs(a):
    return True, c < 0, b < 0
  return False, a < 0, d < 0


def _picture(
  frame: av.VideoFrame, scaler: VideoReformatter, height: int, width: int
) -> UInt8[np.ndarray, "h w 3"]:
  transpose, mirror, flip = _orientation(frame)
  image = scaler.reformat(
    frame,
    width=height if transpose else width,
    height=width if transpose else height,
    format="rgb24",
    interpolation=_SCALING,
    threads=1,  # decoding already has them all
  ).to_ndarray()
  if transpose:
    image = image.transpose(1, 0, 2)
  if mirror:
    image = image[:, ::-1]
  return image[::-1] if flip else image
