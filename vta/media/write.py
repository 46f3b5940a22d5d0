"""Writing waves, and sound under a video that is copied, not re-encoded."""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Literal

import av
import numpy as np
from av.container import OutputContainer
from jaxtyping import Float, UInt8
from scipy.io import wavfile

from vta import errors, files
from vta.media import read, source
from vta.signals import timing


@dataclasses.dataclass(frozen=True, kw_only=True)
class _AudioCodec:
  name: str
  rate: int
  samples: Literal["fltp", "flt", "s16"]  # their format, in FFmpeg's words


_AAC = _AudioCodec(name="aac", rate=44_100, samples="fltp")
# AAC in Matroska has no field for the padding of its last frame: FLAC has no
# padding. WebM allows Opus and Vorbis only, and Opus knows no 44.1 kHz.
_CODECS = {
  ".mp4": _AAC,
  ".mov": _AAC,
  ".mkv": _AudioCodec(name="flac", rate=44_100, samples="s16"),
  ".webm": _AudioCodec(name="libopus", rate=48_000, samples="flt"),
}
_AUDIO_BIT_RATE = 256_000


def write_wave(
  path: str | os.PathLike,
  wave: Float[np.ndarray, "t 2"],
  *,
  rate: int = timing.SAMPLE_RATE,
  sample_format: Literal["float", "pcm16"] = "float",
) -> None:
  """Writes a stereo RIFF wave file.

  "float" keeps every bit of float32; "pcm16" rounds to 1/32768 and clips.

  Raises:
    InputError: the file cannot be written.
  """
  if sample_format == "float":
    samples = wave.astype(np.float32)
  else:
    samples = _pcm16(wave)
  with files.atomic_path(path) as temporary:
    wavfile.write(temporary, rate, samples)


def write_stems(
  folder: str | os.PathLike,
  stems: Mapping[str, Float[np.ndarray, "t 2"]],
  *,
  rate: int = timing.SAMPLE_RATE,
) -> None:
  """Writes one float wave file per stem, `<name>.wav`, into a folder.

  The folder is made if need be. Float, so that the stems add up to the mix.

  Raises:
    InputError: the folder or a file cannot be written.
  """
  folder = pathlib.Path(folder)
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise errors.InputError(folder, f"cannot write: {error.strerror}") from None
  for name, wave in stems.items():
    write_wave(folder / f"{name}.wav", wave, rate=rate)


def check_output(out: str | os.PathLike, *, video: str | os.PathLike) -> None:
  """Raises what `mux` would raise about `out`, before any work is done.

  Raises:
    InputError: `out` has no known suffix, is the video itself, or lies in a
      folder that cannot be written.
  """
  _codec(out)
  if os.path.isdir(out):
    raise errors.InputError(out, "cannot write: Is a directory")
  if (
    os.path.exists(out)
    and os.path.exists(video)
    and os.path.samefile(video, out)
  ):
    raise errors.InputError(out, "would overwrite the video it is made from")
  files.check_writable(out)


def mux(
  video: str | os.PathLike,
  wave: Float[np.ndarray, "t 2"],
  out: str | os.PathLike,
) -> None:
  """Puts a wave under a video, in place of whatever sound it had.

  The video's packets are copied as they are, rotation and all; its clock
  starts at 0. The track is as long as the video to one sample's rounding: the
  wave is cut or padded with silence at the end. MP4 and MOV get AAC, its
  priming and padding hidden by an edit list in 44.1 kHz ticks (FFmpeg's own
  are milliseconds); MKV gets 16-bit FLAC and WebM Opus at 48 kHz, whose
  lengths are exact there and AAC's is not.

  Args:
    video: the file whose video stream is copied.
    wave: stereo, 44.1 kHz.
    out: the file to write; its suffix chooses the container.

  Raises:
    InputError: the video cannot be read, or `out` cannot be written, is the
      video itself, or cannot hold its codec.
  """
  check_output(out, video=video)
  codec = _codec(out)
  timeline = source.survey(video)
  if not timeline.stamped:
    raise errors.InputError(
      video, "its frames have no time stamps to copy: convert it first"
    )
  if timeline.hidden and codec is not _AAC:
    raise errors.InputError(
      out, "only .mp4 and .mov can leave out the frames its edit list hides"
    )
  with source.open_media(video) as container:
    stream = source.video_stream(container, video)
    with _output(out) as output:
      try:
        copy = output.add_stream_from_template(stream, opaque=True)
      except ValueError:
        raise errors.InputError(
          out,
          f"{pathlib.Path(out).suffix} cannot hold {stream.codec_context.name} "
          f"video: try another of {', '.join(_CODECS)}",
        ) from None
      track = _audio_stream(output, codec)
      samples = _fit(wave, codec, timeline.duration)
      output.start_encoding()
      _interleave(
        output,
        _copied(container, stream, copy, timeline),
        _encoded(track, codec, samples),
      )


def write_video(
  path: str | os.PathLike,
  images: UInt8[np.ndarray, "f h w 3"],
  *,
  rate: float | int,
  wave: Float[np.ndarray, "t 2"] | None = None,
) -> None:
  """Encodes frames, and a 44.1 kHz wave under them, as H.264 (BT.709, 4:2:0).

  4:2:0 wants even sides: odd ones get their last row or column twice. The
  suffix chooses container and audio codec as in `mux`.

  Raises:
    InputError: the file cannot be written or its container holds no H.264.
  """
  codec = _codec(path)
  rate = Fraction(rate).limit_denominator(1001)
  _, height, width, _ = images.shape
  odd = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
  images = np.pad(images, odd, mode="edge")
  with _output(path) as output:
    try:
      stream = output.add_stream(
        "libx264", rate=rate, options={"crf": "18", "preset": "veryfast"}
      )
    except ValueError:
      raise errors.InputError(
        path, f"{pathlib.Path(path).suffix} cannot hold H.264 video"
      ) from None
    stream.height, stream.width = images.shape[1:3]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = 1 / rate
    # FFmpeg's numbers for BT.709, and for 16..235 ("MPEG") range.
    stream.colorspace = stream.color_primaries = stream.color_trc = 1
    stream.color_range = 1
    if wave is not None:
      track = _audio_stream(output, codec)
      samples = _fit(wave, codec, float(len(images) / rate))
    output.start_encoding()
    sound = () if wave is None else _encoded(track, codec, samples)
    _interleave(output, _pictures(stream, images), sound)


def _codec(out: str | os.PathLike) -> _AudioCodec:
  suffix = pathlib.Path(out).suffix.lower()
  if suffix not in _CODECS:
    raise errors.InputError(
      out, f"suffix {suffix!r} is not one of {', '.join(_CODECS)}"
    )
  return _CODECS[suffix]


@contextlib.contextmanager
def _output(out: str | os.PathLike) -> Iterator[OutputContainer]:
  options = {}
  if _codec(out) is _AAC:
    options = {"movie_timescale": str(_AAC.rate), "movflags": "+faststart"}
  with files.atomic_path(out) as temporary:
    try:
      with av.open(
        f"file:{temporary}", "w", container_options=options
      ) as output:
        yield output
    except av.FFmpegError as error:
      raise errors.InputError(out, f"cannot write: {error.strerror}") from None


def _pcm16(wave: Float[np.ndarray, "t 2"]) -> np.ndarray:
  return np.clip(np.round(wave * 32768.0), -32768, 32767).astype(np.int16)


def _fit(
  wave: Float[np.ndarray, "t 2"], codec: _AudioCodec, duration: float
) -> Float[np.ndarray, "u 2"]:
  """The wave at the codec's rate, cut or padded to the duration."""
  wave = read.resample(wave, timing.SAMPLE_RATE, codec.rate)
  length = round(duration * codec.rate)
  wave = wave[:length]
  return np.pad(wave, ((0, length - len(wave)), (0, 0)))


def _audio_stream(
  output: OutputContainer, codec: _AudioCodec
) -> av.AudioStream:
  stream = output.add_stream(
    codec.name, rate=codec.rate, layout="stereo", bit_rate=_AUDIO_BIT_RATE
  )
  stream.format = codec.samples
  return stream


def _encoded(
  stream: av.AudioStream,
  codec: _AudioCodec,
  wave: Float[np.ndarray, "t 2"],
) -> Iterator[av.Packet]:
  block = stream.codec_context.frame_size
  for start in range(0, len(wave), block):
    part = wave[start : start + block].astype(np.float32)
    if codec.samples == "s16":
      part = _pcm16(part)
    # Planar formats are [channels, t]; packed ones one interleaved row.
    part = part.T if codec.samples == "fltp" else part.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(
      np.ascontiguousarray(part), format=codec.samples, layout="stereo"
    )
    frame.sample_rate = codec.rate
    frame.pts, frame.time_base = start, Fraction(1, codec.rate)
    yield from stream.encode(frame)
  yield from stream.encode(None)


def _pictures(
  stream: av.VideoStream, images: UInt8[np.ndarray, "f h w 3"]
) -> Iterator[av.Packet]:
  for index, image in enumerate(images):
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
    frame = frame.reformat(
      format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
    )
    frame.pts, frame.time_base = index, stream.codec_context.time_base
    yield from stream.encode(frame)
  yield from stream.encode(None)


def _copied(
  container: av.container.InputContainer,
  stream: av.VideoStream,
  copy: av.VideoStream,
  timeline: source.Timeline,
) -> Iterator[av.Packet]:
  """The stream's packets, their clock set to 0 at the first frame shown."""
  shift = round(timeline.start / stream.time_base)
  period = timeline.duration / len(timeline.times) / float(stream.time_base)
  late = []
  for packet in _needed(source.packets(container, stream)):
    packet.stream = copy
    packet.pts -= shift
    if packet.dts is None:
      late.append(packet)
      continue
    packet.dts -= shift
    yield from _dated(late, packet.dts, period)
    late = []
    yield packet
  yield from _dated(late, 0, period)


def _needed(packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
  """Leaves out what an edit list hides, unless a shown frame follows it."""
  waiting = []
  for packet in packets:
    waiting.append(packet)
    if not packet.is_discard:
      yield from waiting
      waiting = []


def _dated(late: list[av.Packet], until: int, period: float) -> list[av.Packet]:
  """Gives packets decoding times, `period` apart, before the next known one.

  Matroska stores display times alone. FFmpeg derives decoding times from them,
  but not for the first packets of a stream with B-frames.
  """
  for back, packet in enumerate(reversed(late), start=1):
    packet.dts = until - max(round(back * period), back)
  return late


def _interleave(
  output: OutputContainer,
  video: Iterable[av.Packet],
  sound: Iterable[av.Packet],
) -> None:
  """Muxes both in order of time, so that players need not seek."""
  for packet in heapq.merge(
    video, sound, key=lambda packet: packet.dts * packet.time_base
  ):
    output.mux(packet)
