"""Pictures of the yard: where, when and what, checked on rendered pixels."""

import dataclasses
import functools

import numpy as np
import pytest

from vta.data.yard import picture, scene, stage, texture, things

SEEN = [name for name, thing in things.THINGS.items() if thing.off_screen < 1]
STRIKING = ["ball", "block", "stick", "hammer", "bell", "knocking", "typing"]


STILL = scene.Camera(
  start=(0.0, 0.0),
  end=(0.0, 0.0),
  zoom=(1.0, 1.0),
  shake=0.0,
  rates=(1.0, 1.0),
  phases=(0.0, 0.0),
  duration=4.0,
)


@functools.cache
def clips():
  return [stage.sample_scene(11, index, duration=4.0) for index in range(150)]


def find(name, *, skip=0):
  """A clip in which `name` is seen, from the sampler itself."""
  seen = [
    (staged, source)
    for staged in clips()
    for source in staged.sources
    if source.thing == name and source.on_screen
  ]
  return seen[skip]


def standing(source, at):
  """A route that stays where the source is at a time."""
  return scene.Route(
    times=np.zeros(1),
    points=source.route.at(np.array([at])),
    bends=np.zeros((0, 3)),
  )


def alone(staged, source, **changes):
  """The clip with nothing but one source in it, and in plain daylight."""
  return dataclasses.replace(
    staged,
    sources=(dataclasses.replace(source, **changes),),
    distractors=(),
    background=dataclasses.replace(
      staged.background, light=1.0, gradient=(0.0, 0.0), vignette=0.0
    ),
  )


def empty(staged):
  return dataclasses.replace(staged, sources=())


def changed(staged, times, size=64):
  """Pixels that the clip's sources alter, [F, size, size]."""
  full = picture.render_frames(staged, times=times, size=size)
  bare = picture.render_frames(empty(staged), times=times, size=size)
  difference = np.abs(full.astype(int) - bare.astype(int)).max(axis=-1)
  return difference > 0


def test_frames_are_a_function_of_time_alone():
  for index in range(4):
    staged = stage.sample_scene(5, index, duration=1.0)
    frames = picture.render_frames(staged)
    assert frames.shape == (15, 64, 64, 3)
    assert frames.dtype == np.uint8
    order = np.array([11, 2, 14, 7])
    some = picture.render_frames(staged, times=order / 15.0)
    np.testing.assert_array_equal(some, frames[order])


@pytest.mark.parametrize(
  ("duration", "rate", "count"),
  [(2.0, 15.0, 30), (1.0, 25.0, 25), (2.01, 10.0, 21), (3.7, 30.0, 111)],
)
def test_frames_cover_the_clip(duration, rate, count):
  times = picture.frame_times(duration, rate)
  assert len(times) == count
  assert times[0] == 0.0
  assert times[-1] < duration <= times[-1] + 1.0 / rate + 1e-9


@pytest.mark.parametrize("name", SEEN)
def test_pixels_lie_inside_the_box(name, monkeypatch):
  monkeypatch.setattr(picture, "_shadows", lambda *_: [])
  size, total = 64, 0
  for skip in (0, 1):
    staged, source = find(name, skip=skip)
    staged = alone(staged, source)
    source = staged.sources[0]
    key = source.contacts[:3]
    times = np.concatenate([np.linspace(0.0, 3.99, 10), key, key + 0.05])
    touched = changed(staged, times, size)
    boxes = staged.box(source, times) * size
    cell = np.arange(size)
    for mask, (left, top, right, bottom) in zip(touched, boxes, strict=True):
      # A sample of the canvas may straddle the box's edge: a pixel of grace.
      in_x = (cell + 1 > left - 1.0) & (cell < right + 1.0)
      in_y = (cell + 1 > top - 1.0) & (cell < bottom + 1.0)
      outside = mask & ~(in_y[:, None] & in_x[None, :])
      assert not outside.any(), np.argwhere(outside)[:3]
    total += touched.sum()
  assert total > 200


@pytest.mark.parametrize("name", SEEN)
def test_a_box_is_filled_by_its_thing(name):
  """Masks would be worthless if boxes were far larger than what they hold."""
  staged, source = find(name)
  # Silent water and dry skies are seen or not; ask while they sound.
  times = np.linspace(0.0, 3.9, 24)
  if len(source.intervals):
    times = times[source.active(times) > 0.0]
  staged = alone(staged, source)
  touched = changed(staged, times)
  boxes = np.clip(staged.box(staged.sources[0], times), 0.0, 1.0) * 64
  area = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)).sum()
  assert touched.sum() > 0.25 * area


def test_what_is_off_screen_is_not_drawn():
  for name in ("stick", "stream"):
    staged, source = find(name)
    staged = alone(staged, source, on_screen=False)
    assert not changed(staged, np.linspace(0.0, 3.9, 5)).any()


@pytest.mark.parametrize("name", STRIKING)
def test_a_contact_shows(name):
  """Much more changes across a contact than across as long a pause."""
  staged, source = find(name)
  staged = alone(
    dataclasses.replace(staged, camera=STILL),
    source,
    route=standing(source, source.contacts[0]),
    contacts=np.array([2.0]),
    strengths=np.array([0.6]),
  )

  def change(time):
    pair = picture.render_frames(
      staged, times=np.array([time - 0.02, time + 0.02])
    )
    return np.abs(np.diff(pair.astype(int), axis=0)).sum()

  assert change(2.0) > 3 * max(change(1.0), change(3.9), 20)


def test_a_ball_touches_its_shadow_at_contacts():
  staged, source = find("ball")
  staged = alone(staged, source)
  rows = []
  for time in (source.contacts[0], source.contacts[0] - 0.15):
    touched = changed(staged, np.array([time]), size=128)[0]
    columns = touched[:, touched.any(axis=0)]
    middle = columns[:, columns.shape[1] // 2]
    seen = np.flatnonzero(middle)
    rows.append(seen[-1] - seen[0] + 1 - len(seen))
  assert rows[0] == 0  # nothing of the ground between ball and shadow
  assert rows[1] > 0


def test_a_pendulum_turns_at_its_ticks():
  """It comes back the way it went, and ticks on the other side next."""
  staged, source = find("clock")
  staged = alone(dataclasses.replace(staged, camera=STILL), source)
  first, second = source.contacts[1:3]
  times = np.array([first - 0.1, first + 0.1, first, second])
  frames = picture.render_frames(staged, times=times, size=128)
  left, top, right, bottom = staged.box(source, times[:1])[0] * 128
  high = bottom - top
  # Between the panes the case is black; the tick's glow must not count.
  inside = frames[
    :,
    int(top + 0.5 * high) : int(top + 0.86 * high),
    int(left + 0.2 * (right - left)) : int(right - 0.2 * (right - left)),
  ]
  pendulum = inside.max(axis=-1) > 75
  there_and_back = (pendulum[0] ^ pendulum[1]).sum()
  opposite = (pendulum[2] ^ pendulum[3]).sum()
  assert opposite > 3 * there_and_back
  assert opposite > 40


def test_rain_is_seen_exactly_while_it_falls():
  staged, source = find("rain")
  staged = alone(staged, source, intervals=np.array([[1.0, 2.5]]))
  times = np.linspace(0.0, 3.9, 40)
  touched = changed(staged, times).any(axis=(1, 2))
  np.testing.assert_array_equal(
    touched, staged.sources[0].active(times).astype(bool)
  )


def test_a_siren_blinks_only_while_it_sounds():
  staged, source = find("siren")
  staged = alone(
    dataclasses.replace(staged, camera=STILL),
    source,
    route=scene.Route(
      times=np.zeros(1),
      points=np.array([[0.0, 1.0, 9.0]]),
      bends=np.zeros((0, 3)),
    ),
    intervals=np.array([[0.0, 2.0]]),
  )
  frames = picture.render_frames(staged).astype(int)
  step = np.abs(np.diff(frames, axis=0)).max(axis=(1, 2, 3))
  assert (step[:29] > 60).sum() >= 8
  assert (step[31:] == 0).all()


def test_a_plane_shrinks_as_it_leaves():
  staged, source = find("plane")
  staged = alone(staged, source)
  times = np.linspace(0.0, 3.9, 20)
  count = changed(staged, times, size=128).sum(axis=(1, 2))
  distance = staged.place(source, times).distance
  far, near = np.argmax(distance), np.argmin(distance)
  assert count[near] > 4 * count[far] > 0


def test_the_horizon_moves_with_the_camera():
  background = scene.Background(
    kind="horizon",
    colours=((0, 0, 0), (255, 255, 255), (255, 255, 255)),
    light=1.0,
    gradient=(0.0, 0.0),
    vignette=0.0,
    seed=1,
  )
  camera = scene.Camera(
    start=(0.1, -0.12),
    end=(-0.1, 0.12),
    zoom=(0.9, 1.3),
    shake=0.01,
    rates=(1.0, 0.7),
    phases=(0.0, 1.0),
    duration=4.0,
  )
  staged = dataclasses.replace(
    stage.sample_scene(0, 0, duration=4.0),
    sources=(),
    distractors=(),
    background=background,
    camera=camera,
  )
  times = np.linspace(0.0, 4.0, 9)
  frames = picture.render_frames(staged, times=times, size=128).astype(int)
  # The sky brightens towards the horizon and has clouds; the step down in
  # brightness is the ground.
  line = frames.sum(axis=-1).mean(axis=2)
  row = np.abs(np.diff(line, axis=1)).argmax(axis=1) + 1
  horizon = np.stack([np.full(9, 0.5), np.full(9, scene.HORIZON)], -1)
  expected = camera.transform(horizon, times)[:, 1] * 128
  np.testing.assert_allclose(row, expected, atol=1.5)


def test_large_frames_show_the_same_as_small_ones():
  for index in range(4):
    staged = stage.sample_scene(8, index, duration=2.0)
    times = np.array([0.3, 1.1])
    small = picture.render_frames(staged, times=times, size=64).astype(float)
    large = picture.render_frames(staged, times=times, size=256)
    pooled = large.reshape(2, 64, 4, 64, 4, 3).mean(axis=(2, 4))
    difference = np.abs(small - pooled).max(axis=-1)
    # Tiles' edges differ by a sample of the canvas; nothing else moves.
    assert difference.mean() < 1.8, index
    assert (difference > 60.0).mean() < 2e-3, index


def test_balls_tell_their_material():
  """Nearest neighbours by colour and contrast; chance is 1 / 5."""
  rng = np.random.default_rng(0)
  features, labels = [], []
  for label, name in enumerate(things.SOLIDS):
    for _ in range(16):
      colour = tuple(int(v) for v in rng.integers(60, 256, 3))
      ball = texture.ball(name, colour, rng, 64).scaled(18, 18)
      pixels = np.asarray(ball).astype(float) / 255.0
      inside = pixels[4:14, 4:14]
      spread = inside[..., :3].max(-1) - inside[..., :3].min(-1)
      features.append(
        [*inside.mean((0, 1)), *inside.std((0, 1)), spread.mean()]
      )
      labels.append(label)
  features, labels = np.array(features), np.array(labels)
  features = (features - features.mean(0)[None]) / features.std(0)[None]
  gap = np.linalg.norm(features[:, None] - features[None], axis=-1)
  np.fill_diagonal(gap, np.inf)
  assert (labels[gap.argmin(axis=1)] == labels).mean() > 0.9
