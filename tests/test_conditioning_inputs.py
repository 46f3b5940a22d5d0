"""Signals meet latents by time stamps, and absence is not a value."""

import numpy as np
import pytest

from vta.conditioning import inputs
from vta.signals import events, loudness

RATE = 44_100 / 2048


def geometry(latents=32):
  return inputs.Geometry(
    latents=latents,
    latent_rate=RATE,
    frames=30,
    frame_size=16,
    text_width=8,
    text_tokens=4,
    reference_width=6,
  )


def test_nothing_asked_for_is_marked_as_such():
  made = inputs.assemble(geometry(), start=0.0, total=1.0)
  assert not made["asked"].any()
  assert made["valid"].sum() == np.ceil(1.0 * RATE)


def test_loudness_is_read_at_the_latents_own_times():
  # A straight line in time is the same line at any rate.
  times = np.array([0.0, 10.0])
  lufs = np.array([[-60.0, -30.0], [-10.0, -30.0]])
  made = inputs.assemble(
    geometry(),
    start=2.0,
    total=10.0,
    loudness=loudness.Loudness(times=times, lufs=lufs),
  )
  at = 2.0 + (np.arange(32) + 0.5) / RATE
  expected = (-60.0 + 5.0 * at + 70.0) / 70.0
  np.testing.assert_allclose(made["loudness"][:, 0], expected, atol=1e-6)
  np.testing.assert_allclose(made["loudness"][:, 1], 40.0 / 70.0, atol=1e-6)


def test_event_channels_hold_coverage_and_onset():
  times = (np.arange(40) + 0.5) / RATE
  onset, end = 10.25 / RATE, 20.0 / RATE
  made = inputs.event_channels(
    events.Events(intervals=np.array([[onset, end]])), times, RATE
  )
  np.testing.assert_allclose(made[10, 0], 0.75, atol=1e-6)
  np.testing.assert_allclose(made[11:20, 0], 1.0, atol=1e-6)
  np.testing.assert_allclose(made[:10, 0], 0.0, atol=1e-6)
  # The onset is shared by the two nearest latents: its place can be read off.
  place = (made[:, 1] * times).sum() / made[:, 1].sum()
  assert place == pytest.approx(onset, abs=1e-6)
  assert made[:, 1].sum() == pytest.approx(1.0, abs=1e-6)


def test_pictures_are_cut_and_padded_like_frames():
  times = np.arange(4) / 15.0
  rng = np.random.default_rng(0)
  images = rng.integers(0, 255, (4, 16, 16, 3), np.uint8)
  given = {"start": 0.0, "total": 0.5, "frame_times": times}
  one = inputs.assemble(geometry(), frames=images, **given)
  told = images.reshape(4, -1)[:, :5].astype(np.float32)
  two = inputs.assemble(geometry(), pictures=told, **given)
  expected = one["frames"].reshape(30, -1)[:, :5]
  np.testing.assert_array_equal(two["pictures"], expected)
  assert "frames" not in two
  for name in ("frame_left", "frame_fraction", "asked"):
    np.testing.assert_array_equal(one[name], two[name])
  with pytest.raises(ValueError, match="not both"):
    inputs.assemble(geometry(), frames=images, pictures=told, **given)


def test_a_stretch_sees_its_own_frames_of_the_whole_clip():
  """Ten seconds of them, of which the inputs have room for two."""
  times = np.arange(150) / 15.0
  images = np.repeat(np.arange(150, dtype=np.uint8), 16 * 16 * 3)
  made = inputs.assemble(
    geometry(),
    start=5.0,
    total=10.0,
    frames=images.reshape(150, 16, 16, 3),
    frame_times=times,
    mask=images.reshape(150, 16, 16, 3)[..., 0],
  )
  shown = made["frames"][:, 0, 0, 0].astype(float)
  np.testing.assert_array_equal(made["mask"][:, 0, 0], shown)
  left, fraction = made["frame_left"], made["frame_fraction"]
  seen = shown[left] + fraction * (shown[left + 1] - shown[left])
  at = 5.0 + (np.arange(32) + 0.5) / RATE
  np.testing.assert_allclose(seen, 15.0 * at, atol=1e-3)


def test_frames_are_interpolated_by_their_time_stamps():
  # Uneven frames, each as bright as its time: the latents must see their own.
  times = np.array([0.0, 0.1, 0.4, 0.5, 1.3, 1.6])
  images = np.zeros((6, 16, 16, 3), np.uint8)
  made = inputs.assemble(
    geometry(), start=0.0, total=1.5, frames=images, frame_times=times
  )
  at = (np.arange(32) + 0.5) / RATE
  left, fraction = made["frame_left"], made["frame_fraction"]
  padded = np.append(times, times[-1] + np.arange(1.0, 3.0))
  seen = padded[left] + fraction * (padded[left + 1] - padded[left])
  np.testing.assert_allclose(seen[at < 1.6], at[at < 1.6], atol=1e-5)
  assert (made["mask"] == 255).all()


def test_a_single_frame_is_held():
  made = inputs.assemble(
    geometry(),
    start=0.0,
    total=1.0,
    frames=np.full((1, 16, 16, 3), 9, np.uint8),
    frame_times=np.zeros(1),
  )
  assert (made["frames"] == 9).all()


def test_a_reference_says_what_but_not_when():
  latents = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
  described = inputs.describe_reference(latents)
  shuffled = np.random.default_rng(1).permutation(latents)
  np.testing.assert_allclose(
    described, inputs.describe_reference(shuffled), atol=1e-6
  )
