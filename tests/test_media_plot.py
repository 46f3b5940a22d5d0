"""Plots that show what they claim to, found again in their pixels."""

import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from vta import errors
from vta.media import plot, read
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import objects as objects_lib

GREEN, VERMILION = (0, 158, 115), (213, 94, 0)
REPORT = read.FrameReport(
  duration=2.0, fps=5.0, decoded=10, duplicated=0, missing=0
)


def picture(path):
  with PIL.Image.open(path) as image:
    return np.array(image.convert("RGB")).astype(int)


def pixels(path, colour):
  """Rows and columns of a PNG that have exactly a colour."""
  return np.nonzero((picture(path) == np.array(colour)).all(-1))


def events(*intervals):
  return events_lib.Events(intervals=np.array(intervals).reshape(-1, 2))


def curve(level):
  return loudness_lib.Loudness(
    times=np.array([0.5, 1.5]), lufs=np.full((2, 2), level)
  )


def test_events_lie_where_they_sound(tmp_path):
  path = tmp_path / "a.png"
  plot.plot_signals(path, duration=2, events=events([0.0, 2.0]))
  _, whole = pixels(path, GREEN)
  plot.plot_signals(path, duration=2, events=events([0.5, 0.75], [1.5, 2.0]))
  _, columns = pixels(path, GREEN)
  times = 2 * (np.unique(columns) - whole.min()) / np.ptp(whole)
  first, second = times[times < 1], times[times > 1]
  for got, want in ((first, (0.5, 0.75)), (second, (1.5, 2.0))):
    np.testing.assert_allclose((got.min(), got.max()), want, atol=0.01)


def test_a_run_shows_frames_and_both_curves(tmp_path):
  # A red and a blue frame, half the clip each.
  images = np.zeros((2, 9, 16, 3), np.uint8)
  images[0, ..., 0] = images[1, ..., 2] = 200
  frames = read.Frames(times=np.array([0.0, 1.0]), images=images, report=REPORT)
  tone = np.sin(np.arange(88_200) / 7)[:, None].repeat(2, 1).astype(np.float32)
  asked = dict(frames=frames, events=events([0.2, 0.4]), wave=tone)
  path = tmp_path / "a.png"
  plot.plot_run(path, requested=curve(-10.0), obtained=curve(-30.0), **asked)
  _, red = pixels(path, (200, 0, 0))
  _, blue = pixels(path, (0, 0, 200))
  assert red.max() <= blue.min()
  # The strip has an odd number of places: the middle one tips the balance.
  assert len(red) == pytest.approx(len(blue), rel=0.5)
  # The right channel covers the left; the asked-for line is dashed above it.
  with_request = len(pixels(path, VERMILION)[0])
  plot.plot_run(path, requested=None, obtained=curve(-30.0), **asked)
  assert 0 < len(pixels(path, VERMILION)[0]) <= with_request


def test_silence_is_dark_and_a_tone_is_where_it_belongs(tmp_path):
  path = tmp_path / "a.png"
  silence = np.zeros((44_100, 2), np.float32)
  plot.plot_signals(path, duration=1, wave=silence)
  height, width, _ = picture(path).shape
  assert (picture(path).max(-1) < 10).mean() > 0.4
  heights = []
  for hertz in (200, 2_000):
    tone = np.sin(2 * np.pi * hertz * np.arange(44_100) / 44_100)
    wave = tone[:, None].repeat(2, 1).astype(np.float32)
    plot.plot_signals(path, duration=1, wave=wave)
    spectrum = picture(path).sum(-1)[height // 2 : -80, width // 2]
    heights.append(np.argmax(spectrum == spectrum.max()))
  assert heights[0] - heights[1] == pytest.approx(
    # 2.4 inches at 110 points for 9 octaves
    264 * np.log(10) / np.log(500),
    rel=0.1,
  )


@pytest.mark.parametrize("length", [1, 700, 44_100 * 61])
def test_shortest_and_longest(tmp_path, length):
  wave = np.random.default_rng(0).normal(0, 0.1, (length, 2))
  wave = wave.astype(np.float32)
  plot.plot_signals(
    tmp_path / "a.png",
    duration=length / 44_100,
    wave=wave,
    loudness=curve(-20.0),
    events=events(),
    objects=objects_lib.Objects(
      labels=("a dog", "rain"),
      times=np.array([0.0]),
      probability=np.array([[0.2, 1.0]]),
    ),
  )
  assert picture(tmp_path / "a.png").shape[1] == 1320


def test_a_plot_that_cannot_be_written(tmp_path):
  with pytest.raises(errors.InputError, match="cannot write: No such file"):
    plot.plot_signals(tmp_path / "none" / "a.png", duration=1, events=events())


def test_reading_needs_no_matplotlib():
  code = (
    "import sys; import vta.media.read, vta.media.write; "
    "assert 'matplotlib' not in sys.modules"
  )
  subprocess.run([sys.executable, "-c", code], check=True)
