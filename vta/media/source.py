"""Opening a media file, and where its video frames lie in time.

All that FFmpeg may say about a file leaves this module as one `InputError`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import stat
import statistics
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from jaxtyping import Float

from vta import errors

MAX_SIDE = 16_384  # pixels; one such frame is already 400 MB in RGB


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timeline:
  """The frames of a video stream as its packets tell, nothing decoded.

  Attributes:
    times: when each frame appears, seconds from the first, sorted.
    duration: the last frame's time plus its own duration, seconds.
    start: the first frame's time stamp, seconds on the file's own clock.
    stamped: False where time stamps lack or jump back; `times` then counts
      frames at the declared rate, and decoded frames are to be counted too.
    declared: frames the container claims; more than `times` in a cut file.
    hidden: frames decoded for the sake of others but not shown.
  """

  times: Float[np.ndarray, " f"]
  duration: float
  start: Fraction
  stamped: bool
  declared: int
  hidden: int


@contextlib.contextmanager
def open_media(path: str | os.PathLike) -> Iterator[InputContainer]:
  """Opens a media file for reading, whatever its container.

  Raises:
    InputError: naming the file, for whatever goes wrong with it, here or in
      the body of the `with`.
  """
  try:
    # Asked of the system first: FFmpeg's own words for these are vague, and a
    # pipe would block.
    if stat.S_ISFIFO(os.stat(path).st_mode):
      raise errors.InputError(path, "cannot read: not a file")
    with open(path, "rb") as file:
      empty = not file.read(1)
  except OSError as error:
    raise errors.InputError(path, f"cannot read: {error.strerror}") from None
  if empty:
    raise errors.InputError(path, "cannot read: the file is empty")
  # "file:" and the whitelist: a name such as "a:b.mp4" is no protocol, and a
  # playlist must not make us open the network. Some containers store a display
  # time for few packets: genpts derives the others.
  options = {"protocol_whitelist": "file", "fflags": "+genpts"}
  name = f"file:{os.fspath(path)}"
  try:
    with av.open(
      name, container_options=options, metadata_errors="replace"
    ) as container:
      yield container
  except av.FFmpegError as error:
    raise errors.InputError(
      path, f"not a media file, or cut short or damaged ({error.strerror})"
    ) from None


def video_stream(
  container: InputContainer, path: str | os.PathLike
) -> av.VideoStream:
  """The first video stream that is not a cover picture, ready to decode."""
  covers = av.stream.Disposition.attached_pic
  streams = [s for s in container.streams.video if not s.disposition & covers]
  if not streams:
    raise errors.InputError(path, "has no video track")
  stream = streams[0]
  if stream.codec_context is None:
    raise errors.InputError(path, "its video codec is not known to FFmpeg")
  if max(stream.width, stream.height) > MAX_SIDE:
    raise errors.InputError(
      path,
      f"frames of {stream.width}x{stream.height} are too large "
      f"(at most {MAX_SIDE} pixels a side)",
    )
  stream.thread_type = "AUTO"
  return stream


def packets(
  container: InputContainer, stream: av.stream.Stream
) -> Iterator[av.Packet]:
  """Yields the stream's packets up to the end of the file or its cut."""
  for other in container.streams:
    if other.index != stream.index:
      other.discard = av.stream.Discard.all
  demuxed = container.demux(stream)
  while True:
    try:
      packet = next(demuxed)
    except (StopIteration, av.FFmpegError):
      return
    # An empty packet would tell the decoder that the stream is over.
    if packet.size:
      yield packet


def decode(
  container: InputContainer, stream: av.VideoStream | av.AudioStream
) -> Iterator[av.VideoFrame | av.AudioFrame]:
  """Yields the frames that decode; passes over the packets that do not."""
  for packet in packets(container, stream):
    with contextlib.suppress(av.FFmpegError):
      yield from packet.decode()
  with contextlib.suppress(av.FFmpegError):
    yield from stream.decode(None)


def survey(path: str | os.PathLike) -> Timeline:
  """Measures a file's video stream from its packets.

  Raises:
    InputError: no video track, no frames, neither time stamps nor a rate.
  """
  with open_media(path) as container:
    stream = video_stream(container, path)
    tick = stream.time_base
    shown, hidden = [], 0
    for packet in packets(container, stream):
      # Edit lists hide packets that only serve to decode the others.
      if packet.is_discard:
        hidden += 1
      else:
        shown.append((packet.pts, packet.dts, packet.duration or 0))
    rate = stream.average_rate or stream.guessed_rate
    # AVI stores decoding order alone; for H.264 with B-frames FFmpeg passes
    # that off as display times.
    guessed = container.format.name == "avi" and stream.has_b_frames
    # Of the frames that an edit list cuts, FFmpeg hands out some as hidden.
    declared = 0 if hidden else stream.frames
  if not shown:
    raise errors.InputError(path, "its video track has no frames")
  stamps = [pts for pts, _, _ in shown if pts is not None]
  decoding = [dts for _, dts, _ in shown if dts is not None]
  stamped = (
    len(stamps) == len(shown)
    and decoding == sorted(decoding)
    and not (guessed and stamps == sorted(stamps))
  )
  if stamped:
    shown.sort(key=lambda packet: packet[0])
    stamps.sort()
    gaps = [b - a for a, b in itertools.pairwise(stamps) if b > a]
    if last := shown[-1][2]:
      last *= tick
    elif gaps:
      last = Fraction(statistics.median_low(gaps)) * tick
    elif rate:
      last = 1 / rate
    else:
      raise errors.InputError(path, "its one frame has no duration")
    start = stamps[0]
    times = [float((stamp - start) * tick) for stamp in stamps]
    duration = float((stamps[-1] - start) * tick + last)
  elif rate:
    start = min(stamps, default=0)
    times = [float(index / rate) for index in range(len(shown))]
    duration = float(len(shown) / rate)
  else:
    raise errors.InputError(path, "has neither time stamps nor a frame rate")
  return Timeline(
    times=np.array(times),
    duration=duration,
    start=start * tick,
    stamped=stamped,
    declared=max(declared, len(shown)),
    hidden=hidden,
  )
