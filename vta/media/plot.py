"""Pictures of a run: what was asked for, what was made, on one time axis.

Matplotlib's figures are drawn without pyplot: no window, no global state.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import numpy as np
import scipy.signal
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from vta import files
from vta.media import read
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import objects as objects_lib
from vta.signals import timing

_WIDTH = 12.0  # inches
_DPI = 110
_COLUMNS = 1_000  # more than a panel has pixels to spare
# Okabe and Ito's blue and vermilion: told apart by every kind of eye.
_CHANNELS = (("left", "#0072b2"), ("right", "#d55e00"))
_EVENT = "#009e73"
_LOWEST, _HIGHEST, _BANDS = 40.0, 20_000.0, 192  # Hz, Hz, rows
_DEPTH = 80.0  # dB shown below the spectrogram's loudest point
_SILENCE = -40.0  # dB, some 95 below a full-scale tone

_Panel = tuple[float, Callable[[Axes], None]]  # inches, what draws it


def plot_run(
  path: str | os.PathLike,
  *,
  frames: read.Frames,
  requested: loudness_lib.Loudness | None,
  obtained: loudness_lib.Loudness,
  events: events_lib.Events | None,
  wave: Float[np.ndarray, "t 2"],
) -> None:
  """Draws a generated soundtrack under its clip, as a PNG.

  From top to bottom: frames; asked-for events; loudness asked for (dashed)
  and obtained (solid), with their mean distance; spectrogram of the mix.

  Args:
    path: the PNG to write.
    frames: of the clip, any number, at least one.
    requested: what the cue sheet asks for, None where it asks for nothing.
    obtained: measured on `wave`.
    events: what the cue sheet asks for, None where it asks for nothing.
    wave: 44.1 kHz.

  Raises:
    InputError: the file cannot be written.
  """
  duration = len(wave) / timing.SAMPLE_RATE
  panels = [(0.9, functools.partial(_frames, frames=frames, duration=duration))]
  if events is not None:
    panels.append((0.35, functools.partial(_events, events=events)))
  panels += [
    (
      2.2,
      functools.partial(
        _loudness, requested=requested, obtained=obtained, duration=duration
      ),
    ),
    (2.6, functools.partial(_spectrogram, wave=wave)),
  ]
  _draw(path, panels, duration)


def plot_signals(
  path: str | os.PathLike,
  *,
  duration: float | int,
  wave: Float[np.ndarray, "t 2"] | None = None,
  loudness: loudness_lib.Loudness | None = None,
  events: events_lib.Events | None = None,
  objects: objects_lib.Objects | None = None,
) -> None:
  """Draws a clip's signals above each other, those that there are, as a PNG.

  Args:
    path: the PNG to write.
    duration: of the clip, seconds.
    wave: 44.1 kHz; drawn as envelope and spectrogram.
    loudness: one line per channel.
    events: one bar per interval.
    objects: one row per label, the darker the more probable.

  Raises:
    InputError: the file cannot be written.
  """
  panels: list[_Panel] = []
  if wave is not None:
    panels.append((1.2, functools.partial(_envelope, wave=wave)))
  if events is not None:
    panels.append((0.35, functools.partial(_events, events=events)))
  if loudness is not None:
    draw = functools.partial(
      _loudness, requested=None, obtained=loudness, duration=duration
    )
    panels.append((1.8, draw))
  if objects is not None:
    rows = 0.25 + 0.25 * len(objects.labels)
    draw = functools.partial(_objects, objects=objects, duration=duration)
    panels.append((rows, draw))
  if wave is not None:
    panels.append((2.4, functools.partial(_spectrogram, wave=wave)))
  _draw(path, panels, duration)


def _draw(
  path: str | os.PathLike, panels: list[_Panel], duration: float | int
) -> None:
  heights = [height for height, _ in panels]
  figure = Figure(
    figsize=(_WIDTH, sum(heights) + 0.3 * len(panels) + 0.5),
    dpi=_DPI,
    layout="constrained",
  )
  FigureCanvasAgg(figure)
  axes = figure.subplots(
    len(panels), sharex=True, squeeze=False, height_ratios=heights
  )[:, 0]
  for axis, (_, draw) in zip(axes, panels, strict=True):
    for side in ("top", "right"):
      axis.spines[side].set_visible(False)
    draw(axis)
    axis.set_xlim(0, duration)
  axes[-1].set_xlabel("time (s)")
  figure.align_ylabels(axes)
  with files.atomic_path(path) as temporary:
    figure.savefig(temporary, format="png")


def _bare(axis: Axes, name: str) -> None:
  """A panel without a scale of its own."""
  axis.set_yticks([])
  axis.set_ylabel(name, rotation=0, ha="right", va="center")
  axis.spines["left"].set_visible(False)


def _frames(axis: Axes, *, frames: read.Frames, duration: float) -> None:
  height, width = frames.images.shape[1:3]
  # As many side by side as keep their shape in a panel 0.9 inches high.
  count = max(1, round(_WIDTH * 0.9 / (0.9 * width / height)))
  edges = np.linspace(0, duration, count + 1)
  middles = (edges[:-1] + edges[1:]) / 2
  order = np.argsort(frames.times)
  latest = np.searchsorted(frames.times[order], middles, side="right") - 1
  for index, start, end in zip(
    order[np.maximum(latest, 0)], edges[:-1], edges[1:], strict=True
  ):
    axis.imshow(frames.images[index], extent=(start, end, 0, 1), aspect="auto")
  axis.set_ylim(0, 1)
  _bare(axis, "frames")
  axis.spines["bottom"].set_visible(False)
  axis.tick_params(bottom=False)


def _events(axis: Axes, *, events: events_lib.Events) -> None:
  spans = [(start, end - start) for start, end in events.intervals]
  axis.broken_barh(spans, (0.1, 0.8), color=_EVENT, linewidth=0)
  axis.set_ylim(0, 1)
  _bare(axis, "events")


def _loudness(
  axis: Axes,
  *,
  requested: loudness_lib.Loudness | None,
  obtained: loudness_lib.Loudness,
  duration: float | int,
) -> None:
  # Curves hold their end values: draw them from edge to edge.
  ends = (0.0, float(duration))
  whole = obtained.resample(np.union1d(obtained.times, ends))
  for channel, (name, colour) in enumerate(_CHANNELS):
    axis.plot(
      whole.times, whole.lufs[:, channel], color=colour, lw=1.6, label=name
    )
  if requested is not None:
    asked = requested.resample(np.union1d(requested.times, ends))
    for channel, (name, colour) in enumerate(_CHANNELS):
      axis.plot(
        asked.times,
        asked.lufs[:, channel],
        color=colour,
        lw=1.4,
        ls=(0, (4, 2)),
        alpha=0.75,
        label=f"{name}, requested",
      )
    apart = np.abs(requested.resample(obtained.times).lufs - obtained.lufs)
    left, right = apart.mean(0)
    axis.set_title(
      f"mean |requested − obtained|: left {left:.1f}, right {right:.1f} LU",
      loc="left",
      fontsize="small",
      color="0.3",
    )
  axis.set_ylim(loudness_lib.FLOOR - 2, loudness_lib.CEILING)
  axis.set_ylabel("loudness (LUFS)")
  axis.grid(axis="y", color="0.9", lw=0.8)
  axis.legend(
    loc="lower right",
    bbox_to_anchor=(1, 1),
    ncols=4,
    frameon=False,
    fontsize="small",
    borderaxespad=0.1,
  )


def _objects(
  axis: Axes, *, objects: objects_lib.Objects, duration: float | int
) -> None:
  times = timing.centres(_COLUMNS, _COLUMNS / duration)
  rows = timing.interpolate(objects.probability, objects.times, times).T
  count = len(objects.labels)
  axis.imshow(
    rows,
    extent=(0, duration, count, 0),
    aspect="auto",
    cmap="Greens",
    vmin=0,
    vmax=1,
    interpolation="nearest",
  )
  axis.set_yticks(np.arange(count) + 0.5, objects.labels)
  axis.tick_params(left=False)


def _envelope(axis: Axes, *, wave: Float[np.ndarray, "t 2"]) -> None:
  starts = np.linspace(0, len(wave), _COLUMNS, endpoint=False).astype(int)
  low = np.minimum.reduceat(wave, starts)
  high = np.maximum.reduceat(wave, starts)
  times = starts / timing.SAMPLE_RATE
  peak = max(float(np.abs(wave).max()), 1e-3)
  for channel, (_, colour) in enumerate(_CHANNELS):
    middle = -2.1 * peak * channel
    axis.fill_between(
      times,
      middle + low[:, channel],
      middle + high[:, channel],
      color=colour,
      lw=0.3,
    )
  axis.set_ylim(-3.15 * peak, 1.05 * peak)
  _bare(axis, "wave")
  axis.legend(
    handles=[Patch(color=colour, label=name) for name, colour in _CHANNELS],
    loc="lower right",
    bbox_to_anchor=(1, 1),
    ncols=2,
    frameon=False,
    fontsize="small",
    borderaxespad=0.1,
  )


def _spectrogram(axis: Axes, *, wave: Float[np.ndarray, "t 2"]) -> None:
  """Power in bands of equal width in octaves, dB below the loudest."""
  window = 2_048
  hop = max(256, len(wave) // _COLUMNS)
  mono = np.pad(wave.mean(1), (0, max(window - len(wave), 0)))
  stft = scipy.signal.ShortTimeFFT(
    scipy.signal.windows.hann(window), hop, timing.SAMPLE_RATE
  )
  power = stft.spectrogram(mono, p0=0, p1=max(1, -(-len(wave) // hop)))
  edges = np.geomspace(_LOWEST, _HIGHEST, _BANDS + 1)
  # The running integral over frequency gives low bands, narrower than an FFT
  # bin, their share of it.
  total = np.pad(np.cumsum(power, axis=0), ((1, 0), (0, 0)))
  bins = edges / stft.delta_f + 0.5
  at = timing.interpolate(total, np.arange(len(total), dtype=float), bins)
  level = 10 * np.log10(np.maximum(np.diff(at, axis=0), 1e-12))
  # Silence is dark, not its own loudest point.
  loudest = max(float(level.max()), _SILENCE)
  axis.imshow(
    level,
    extent=(0, power.shape[1] * hop / timing.SAMPLE_RATE, 0, _BANDS),
    origin="lower",
    aspect="auto",
    cmap="magma",
    vmin=loudest - _DEPTH,
    vmax=loudest,
  )
  marks = np.array([100, 1_000, 10_000])
  rows = np.log(marks / _LOWEST) / np.log(_HIGHEST / _LOWEST) * _BANDS
  axis.set_yticks(rows, ["100 Hz", "1 kHz", "10 kHz"])
  axis.set_ylim(0, _BANDS)
  axis.set_ylabel("spectrum")
