"""AV-Align against OpenCV and librosa, run as both published versions are."""

import cv2
import librosa
import numpy as np
import pytest
from scipy import ndimage

from vta.metrics import av_align, optical_flow

FPS = 12.5
RATE = 44_100


def _texture(height, width, seed=0):
  rng = np.random.default_rng(seed)
  image = ndimage.gaussian_filter(
    rng.normal(size=(height, width, 3)), (3, 3, 0)
  )
  return 255 * (image - image.min()) / np.ptp(image)


def _clip(steps, *, height=60, width=88):
  """Frames of a texture behind which a camera moves by so many pixels."""
  image = _texture(height + 60, width + 60)
  frames, at = [], 10.0
  for step in (0.0, *steps):
    at += step
    moved = ndimage.shift(image, (-at / 2, -at, 0), order=1, mode="nearest")
    frames.append(np.round(moved[:height, :width]).astype(np.uint8))
  return np.stack(frames)


def _their_flow(first, second):
  grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in (first, second)]
  return cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, 15, 3, 5, 1.2, 0)


@pytest.mark.parametrize("size", [(160, 200), (65, 97), (32, 40), (20, 24)])
def test_flow_is_opencvs(size):
  """Of four, two and one levels; of odd sides; and of a moving bright box."""
  first, second = _clip([2.5], height=size[0], width=size[1])
  first[5:15, 5:15], second[6:16, 9:19] = 250, 250
  ours = [optical_flow.expand(optical_flow.grey(f)) for f in (first, second)]
  across, down = optical_flow.flow(*ours)
  theirs = _their_flow(first, second)
  assert np.abs(theirs).max() > 2
  np.testing.assert_allclose(across, theirs[..., 0], atol=1e-3)
  np.testing.assert_allclose(down, theirs[..., 1], atol=1e-3)


def test_grey_is_opencvs_to_the_bit():
  frame = np.random.default_rng(0).integers(0, 256, (90, 80, 3), np.uint8)
  np.testing.assert_array_equal(
    optical_flow.grey(frame), cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
  )


def test_flow_is_the_shift():
  first, second = _clip([3.0])
  expanded = [
    optical_flow.expand(optical_flow.grey(f)) for f in (first, second)
  ]
  across, down = optical_flow.flow(*expanded)
  assert np.median(across) == pytest.approx(-3.0, abs=0.1)
  assert np.median(down) == pytest.approx(-1.5, abs=0.1)
  with pytest.raises(ValueError, match="pixels"):
    optical_flow.flow(
      expanded[0], optical_flow.expand(np.zeros((50, 50), np.uint8))
    )


def _sound(times, seconds=3.0):
  at = np.arange(int(seconds * RATE)) / RATE
  wave = sum(
    np.where(at >= t, np.exp(-30 * np.maximum(at - t, 0)), 0)
    * np.sin(5000 * (at - t))
    for t in times
  )
  return (0.3 * np.stack([wave, 0.5 * wave], axis=1)).astype(np.float32)


@pytest.mark.parametrize("version", ["2023", "2025"])
def test_the_whole_procedure_with_opencv_and_librosa(version):
  """Motion that jerks with most impacts, and once far below 0.1 pixel."""
  steps = np.zeros(36)
  steps[[5, 12, 20, 29]], steps[25] = 3.0, 0.05
  frames = _clip(steps)
  # Two impacts within one frame of the same jerk; one without any.
  wave = _sound([0.48, 1.04, 1.11, 1.68, 2.7])

  # What librosa.load does with a file.
  rate = 22_050
  y = librosa.resample(librosa.to_mono(wave.T), orig_sr=RATE, target_sr=rate)
  strength = librosa.onset.onset_strength(y=y, sr=rate)
  heard = librosa.frames_to_time(
    librosa.onset.onset_detect(onset_envelope=strength, sr=rate), sr=rate
  )
  lengths = []
  for i in range(len(frames)):
    flow = _their_flow(*(frames[[0, 1]] if i == 0 else frames[[i - 1, i]]))
    lengths.append(cv2.mean(cv2.magnitude(flow[..., 0], flow[..., 1]))[0])
  floor = 0.1 if version == "2025" else 0.0
  seen = [
    i / FPS
    for i in range(1, len(lengths) - 1)
    if lengths[i - 1] < lengths[i] > lengths[i + 1] and lengths[i] >= floor
  ]
  hits, taken = 0, set()
  for a in heard:
    for v in seen:
      if v - 1 / FPS < a < v + 1 / FPS and v not in taken:
        hits += 1
        if version == "2025":
          taken.add(v)
        break
  expected = hits / (len(heard) + len(seen) - hits)

  motion = av_align.motion(iter(frames))
  np.testing.assert_allclose(motion, lengths, atol=1e-4)
  video = av_align.video_peaks(motion, fps=FPS, version=version)
  audio = av_align.audio_peaks(wave, rate=RATE)
  np.testing.assert_array_equal(video, seen)
  np.testing.assert_allclose(audio, heard)
  ours = av_align.score(audio, video, fps=FPS, version=version)
  assert ours == expected
  assert 0 < ours < 1


def test_the_versions_differ_as_their_names_say():
  audio, video = np.array([1.0, 1.02]), np.array([1.01])
  assert av_align.score(audio, video, fps=25.0, version="2023") == 2.0
  assert av_align.score(audio, video, fps=25.0, version="2025") == 0.5
  motion = np.array([0.0, 0.05, 0.0, 0.1, 0.0, 0.3, 0.3, 0.0])
  old = av_align.video_peaks(motion, fps=1.0, version="2023")
  new = av_align.video_peaks(motion, fps=1.0, version="2025")
  np.testing.assert_array_equal(old, [1.0, 3.0])
  np.testing.assert_array_equal(new, [3.0])


def test_a_whole_frame_apart_is_no_pair_and_nothing_has_no_score():
  none, one = np.zeros(0), np.array([2.0])
  for version in ("2023", "2025"):
    score = lambda a, v, version=version: av_align.score(  # noqa: E731
      a, v, fps=2.0, version=version
    )
    assert score(one, one + 0.5) == 0.0
    assert score(one, one + 0.25) == 1.0
    assert score(none, one) == 0.0
    assert np.isnan(score(none, none))


def test_the_first_frame_has_the_seconds_motion():
  motion = av_align.motion(_clip([2.0, 0.0]))
  assert motion[0] == motion[1] > 1 > motion[2]
  with pytest.raises(ValueError, match="two frames"):
    av_align.motion(_clip([]))
