"""Shots: where a video cuts from one picture to another.

FFmpeg's scene detection decides (filter scdet): how far grey levels change
from one frame to the next, on average, less what changed in the frame before,
so that steady motion is no cut. SonicVisionLM works shot by shot (papers.md
2.3) and does not say how it finds them.

Ours: frames are made small and grey first, and each becomes the median of the
five around it (FFmpeg's tmedian), since to scdet the flash of a camera is a
cut. A shot of one or two frames passes for a flash; a fade or a dissolve is
not seen.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator

import av
import av.filter
from av.video.reformatter import Interpolation, VideoReformatter

from vta import errors
from vta.media import source

# Of 100, scdet's own: it names 8 to 14 as useful.
_THRESHOLD = 10.0
_RADIUS = 2  # frames on each side of a median
_WIDTH, _HEIGHT = 128, 72


def shots(path: str | os.PathLike) -> list[tuple[float, float]]:
  """Where each shot starts and ends, seconds from the clip's start.

  The first starts at 0, each of the others where the one before ends, with its
  own first frame; the last one ends with the video.

  Raises:
    InputError: the file cannot be read, has no video, or no frame decodes.
  """
  timeline = source.survey(path)
  times = []

  def numbered(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    small = VideoReformatter()
    for frame in frames:
      if timeline.stamped and frame.pts is not None:
        time = float(frame.pts * stream.time_base - timeline.start)
      else:
        time = timeline.times[min(len(times), len(timeline.times) - 1)]
      frame = small.reformat(
        frame, _WIDTH, _HEIGHT, "gray", interpolation=Interpolation.AREA
      )
      # Frames by number: whatever their rate and their clock.
      frame.pts, frame.time_base = len(times), 1
      times.append(time)
      yield frame

  with source.open_media(path) as container:
    stream = source.video_stream(container, path)
    numbers = list(_cuts(numbered(source.decode(container, stream))))
  if not times:
    raise errors.InputError(path, "no frame of its video can be decoded")
  inside = {times[number] for number in numbers}
  inside = sorted(time for time in inside if 0 < time < timeline.duration)
  edges = [0.0, *inside, timeline.duration]
  return list(itertools.pairwise(edges))


def _cuts(frames: Iterator[av.VideoFrame]) -> Iterator[int]:
  """Yields the numbers of the frames that begin a shot."""
  graph = av.filter.Graph()
  graph.link_nodes(
    graph.add_buffer(
      width=_WIDTH,
      height=_HEIGHT,
      format=av.VideoFormat("gray"),
      time_base=1,
    ),
    graph.add("tmedian", f"radius={_RADIUS}"),
    graph.add("scdet", f"threshold={_THRESHOLD}:sc_pass=1"),
    graph.add("buffersink"),
  ).configure()
  for frame in frames:
    graph.push(frame)
    # What does not begin a shot does not come out.
    with contextlib.suppress(BlockingIOError):
      # A median has the number of the first of its frames.
      yield graph.pull().pts + _RADIUS
