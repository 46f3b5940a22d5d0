"""Shots: cuts are found where they were made, and nothing else is one."""

import itertools

import media_samples as samples
import numpy as np
import pytest

from vta import errors
from vta.media import shots, source

# Frame times of a phone in bad light, ms: no two gaps in a row are the same.
VARIABLE = np.cumsum([0, *([33, 50, 40, 67, 35] * 10)]).tolist()


def scene(seed, *, height=48, width=64):
  """A textured picture, as a shot's is."""
  rng = np.random.default_rng(seed)
  blocks = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
  return blocks.repeat(8, axis=0).repeat(8, axis=1)


def filmed(path, images, **kwargs):
  stamps = [40 * i for i in range(len(images))]
  return samples.video(path, images=images, **{"stamps": stamps, **kwargs})


@pytest.mark.parametrize("turned", [0, 90])
def test_shots_begin_with_their_first_frame(tmp_path, turned):
  images = [scene(0)] * 20 + [scene(1)] * 7 + [scene(2)] * 24
  path = samples.video(
    tmp_path / "a.mp4",
    images=images,
    stamps=VARIABLE,
    setup=lambda stream: stream.set_display_rotation(turned),
  )
  found = shots.shots(path)
  # The last frame lasts as long as the one before it, to the codec's tick.
  end = found[-1][1]
  assert end == pytest.approx((VARIABLE[-1] + 35) / 1000, abs=0.04)
  edges = [0.0, VARIABLE[20] / 1000, VARIABLE[27] / 1000, end]
  want = list(itertools.pairwise(edges))
  np.testing.assert_allclose(found, want, atol=1e-3)


def test_times_count_from_the_first_frame(tmp_path):
  stamps = [3_600_000 + 40 * i for i in range(20)]
  images = [scene(0)] * 10 + [scene(1)] * 10
  path = filmed(tmp_path / "a.ts", images, stamps=stamps)
  np.testing.assert_allclose(
    shots.shots(path), [(0.0, 0.4), (0.4, 0.8)], atol=1e-3
  )


@pytest.mark.parametrize("kind", ["without", "that jump back"])
def test_frames_with_stamps_of_no_use_are_counted(tmp_path, kind):
  if kind == "without":
    images = [scene(0)] * 10 + [scene(1)] * 15
    path = filmed(tmp_path / "a.h264", images, options={"bf": "2"})
  else:
    path = filmed(tmp_path / "a.ts", [scene(0)] * 10)
    again = filmed(tmp_path / "b.ts", [scene(1)] * 15).read_bytes()
    path.write_bytes(path.read_bytes() + again)
  assert not source.survey(path).stamped
  np.testing.assert_allclose(
    shots.shots(path), [(0.0, 0.4), (0.4, 1.0)], atol=1e-3
  )


def moving():
  """The camera turns: everything is somewhere else in every frame."""
  wide = scene(3, width=64 * 4)
  return [wide[:, 4 * i : 4 * i + 64] for i in range(40)]


def flash(frames):
  return [*[scene(0)] * 12, *[np.full_like(scene(0), 255)] * frames] + (
    [scene(0)] * 12
  )


def faded():
  """Out to black in half a second, and in to another picture."""
  out = [np.uint8(scene(0) * (1 - i / 12)) for i in range(13)]
  return out + [np.uint8(scene(1) * (i / 12)) for i in range(13)]


@pytest.mark.parametrize(
  "images",
  [moving(), flash(1), flash(2), faded(), [scene(0)] * 3],
  ids=["a turn", "a flash", "two frames' flash", "a fade", "three frames"],
)
def test_what_is_no_cut(tmp_path, images):
  found = shots.shots(filmed(tmp_path / "a.mp4", images))
  assert found == [(0.0, pytest.approx(0.04 * len(images)))]


@pytest.mark.parametrize("kind", ["missing", "text", "sound", "noise"])
def test_errors_name_the_file(tmp_path, kind):
  path = tmp_path / "a.mkv"
  if kind == "text":
    path.write_text("this is not a video\n" * 40)
  elif kind == "sound":
    samples.sound(path, np.zeros((4_410, 2)), rate=44_100, layout="stereo")
  elif kind == "noise":
    filmed(path, [scene(0)] * 4, codec="ffv1", pix_fmt="bgr0", damaged=range(4))
  with pytest.raises(errors.InputError) as caught:
    shots.shots(path)
  assert str(caught.value).startswith(f"{path}: ")
