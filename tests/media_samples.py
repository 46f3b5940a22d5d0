"""Small clips, odd on purpose, written with PyAV into a test's folder.

Frame i of a clip is a flat grey of level 20 + 5 i, so that a picture that was
read back tells which frame it is, whatever the codec did to it.
"""

import itertools
import pathlib
from fractions import Fraction

import av
import numpy as np

TICK = Fraction(1, 1000)  # every time below is in milliseconds


def grey(index: int, *, height: int = 48, width: int = 64) -> np.ndarray:
  return np.full((height, width, 3), 20 + 5 * index, np.uint8)


def index_of(images: np.ndarray) -> np.ndarray:
  """Which frame each picture of greys is."""
  return np.round((images.mean((1, 2, 3)) - 20) / 5).astype(int)


def video(
  path: pathlib.Path,
  *,
  stamps=tuple(range(0, 1000, 40)),
  images=None,
  size=None,
  rate=25,
  codec="libx264",
  pix_fmt="yuv420p",
  options=None,
  damaged=(),
  setup=lambda stream: None,
  audio=None,
  audio_codec="pcm_s16le",
  audio_rate=48_000,
  audio_layout="stereo",
  audio_stamps=None,
) -> pathlib.Path:
  """Writes greys (or `images`) shown at `stamps`, and audio blocks.

  `audio` is [T, C]; `audio_stamps` maps the first sample of each block to the
  time where it is played. `damaged` packets have their bytes replaced.
  """
  if images is None:
    images = [grey(i) for i in range(len(stamps))]
  with av.open(str(path), "w") as output:
    stream = output.add_stream(codec, rate=rate, options=options or {})
    stream.height, stream.width = size or images[0].shape[:2]
    stream.pix_fmt = pix_fmt
    stream.codec_context.time_base = TICK
    setup(stream)
    if audio is not None:
      track = output.add_stream(
        audio_codec, rate=audio_rate, layout=audio_layout
      )
    output.start_encoding()
    packets = []
    for stamp, image in zip(stamps, images, strict=True):
      frame = av.VideoFrame.from_ndarray(image, "rgb24")
      frame = frame.reformat(format=pix_fmt)
      frame.pts, frame.time_base = stamp, TICK
      packets += stream.encode(frame)
    packets += stream.encode(None)
    for index in damaged:
      packets[index] = _damage(packets[index])
    if audio is not None:
      blocks = audio_stamps or {0: 0}
      edges = [*blocks, len(audio)]
      for start, end in itertools.pairwise(edges):
        frame = av.AudioFrame.from_ndarray(
          np.ascontiguousarray(audio[start:end].T, np.float32),
          format="fltp",
          layout=audio_layout,
        )
        frame.sample_rate = audio_rate
        frame.time_base = Fraction(1, audio_rate)
        frame.pts = round(blocks[start] * audio_rate / 1000)
        mixer = av.AudioResampler(
          format=track.format.name, layout=audio_layout, rate=audio_rate
        )
        for part in mixer.resample(frame):
          packets += track.encode(part)
      packets += track.encode(None)
    for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
      output.mux(packet)
  return path


def sound(path: pathlib.Path, wave: np.ndarray, *, rate: int, layout: str):
  """Writes [T, C] as an audio-only float wave file."""
  with av.open(str(path), "w") as output:
    track = output.add_stream("pcm_f32le", rate=rate, layout=layout)
    frame = av.AudioFrame.from_ndarray(
      np.ascontiguousarray(wave.reshape(1, -1), np.float32),
      format="flt",
      layout=layout,
    )
    frame.sample_rate, frame.pts = rate, 0
    output.mux([*track.encode(frame), *track.encode(None)])
  return path


def trimmed(
  path: pathlib.Path, source: pathlib.Path, *, start: int, end: int
) -> pathlib.Path:
  """Copies an MP4 with an edit list that shows start..end milliseconds."""
  with av.open(str(source)) as container, av.open(str(path), "w") as output:
    stream = container.streams.video[0]
    copy = output.add_stream_from_template(stream, opaque=True)
    shift = round(start * TICK / stream.time_base)
    for packet in container.demux(stream):
      if packet.size:
        packet.stream = copy
        packet.pts -= shift
        packet.dts -= shift
        output.mux(packet)
  content = bytearray(path.read_bytes())
  # The box's name, version and flags, number of edits; then the first edit's
  # duration in the movie's milliseconds.
  at = content.index(b"elst") + 12
  content[at : at + 4] = (end - start).to_bytes(4, "big")
  path.write_bytes(content)
  return path


def video_packets(path: pathlib.Path) -> list[tuple[Fraction, bytes]]:
  """Time from the first and bytes of each video packet, in decoding order."""
  with av.open(str(path)) as container:
    stream = container.streams.video[0]
    packets = [p for p in container.demux(stream) if p.size]
    start = min(p.pts for p in packets)
    return [((p.pts - start) * p.time_base, bytes(p)) for p in packets]


def _damage(packet: av.Packet) -> av.Packet:
  noise = av.Packet(b"\x5a" * packet.size)
  noise.stream = packet.stream
  noise.pts, noise.dts = packet.pts, packet.dts
  noise.duration, noise.time_base = packet.duration, packet.time_base
  return noise
