"""The yard's scenes: determinism, splits, geometry and physics."""

import collections
import dataclasses

import numpy as np
import pytest

from vta.data import yard
from vta.data.yard import motion, scene, stage, things


def _flat(value):
  """Everything in a scene as one comparable tuple."""
  if dataclasses.is_dataclass(value):
    fields = [getattr(value, f.name) for f in dataclasses.fields(value)]
    return tuple(_flat(field) for field in fields)
  if isinstance(value, tuple):
    return tuple(_flat(part) for part in value)
  if isinstance(value, np.ndarray):
    return (value.shape, value.tobytes())
  return value


def _cast(staged):
  return [(source.thing, source.material) for source in staged.sources]


def test_a_scene_is_a_function_of_its_arguments():
  one = yard.sample_scene(3, 7, split="test", duration=4.0)
  assert _flat(one) == _flat(
    yard.sample_scene(3, 7, split="test", duration=4.0)
  )
  others = [
    yard.sample_scene(4, 7, split="test", duration=4.0),
    yard.sample_scene(3, 8, split="test", duration=4.0),
    yard.sample_scene(3, 7, split="validation", duration=4.0),
  ]
  for other in others:
    assert _flat(one.background) != _flat(other.background)
    assert _flat(one.camera) != _flat(other.camera)


@pytest.fixture(scope="module")
def train():
  return [yard.sample_scene(0, index) for index in range(500)]


def test_held_out_combinations_are_only_in_their_split(train):
  for staged in train:
    assert not things.is_held_out(_cast(staged))
  for index in range(100):
    for split in ("validation", "test"):
      staged = yard.sample_scene(0, index, split=split)
      assert not things.is_held_out(_cast(staged))
    staged = yard.sample_scene(0, index, split="combination")
    assert things.is_held_out(_cast(staged))


def test_train_shows_each_part_of_what_is_held_out(train):
  seen = {part for staged in train for part in _cast(staged)}
  assert {name for name, _ in seen} == set(things.THINGS)
  for name, thing in things.THINGS.items():
    for material in thing.materials:
      held_out = (name, material) in things.HELD_OUT_MATERIALS
      assert ((name, material) in seen) != held_out


def test_casts_have_the_stated_proportions(train):
  sizes = collections.Counter(len(staged.sources) for staged in train)
  assert set(sizes) == {0, 1, 2, 3}
  # Three standard deviations of a binomial of 500 draws at 0.08.
  assert sizes[0] / len(train) == pytest.approx(stage.SILENT, abs=0.037)
  for staged in train:
    assert staged.sources or staged.distractors
    assert 2.0 <= staged.duration <= 10.0


@pytest.mark.parametrize("duration", [1.0, 60.0])
def test_any_duration_has_something_to_hear(duration):
  for index in range(60):
    staged = yard.sample_scene(2, index, duration=duration)
    assert staged.duration == duration
    for source in staged.sources:
      assert len(source.contacts) + len(source.intervals)
      assert np.all(np.diff(source.contacts) > 0.0)
      assert np.all((source.contacts >= 0.0) & (source.contacts < duration))
      assert len(source.contacts) == len(source.strengths)
      assert np.all((source.strengths > 0.0) & (source.strengths <= 1.0))
      spans = source.intervals.ravel()
      assert np.all(np.diff(spans) >= 0.0)
      assert np.all((spans >= 0.0) & (spans <= duration))


def test_longer_clips_have_more_events():
  def contacts(duration):
    scenes = (yard.sample_scene(2, i, duration=duration) for i in range(60))
    return sum(len(s.contacts) for staged in scenes for s in staged.sources)

  # Not quite ten times: a ball or a train also has pauses, and a short clip
  # always has its first contact.
  assert contacts(50.0) > 5 * contacts(5.0)


@pytest.mark.parametrize("duration", [0.5, 61.0])
def test_impossible_durations_raise(duration):
  with pytest.raises(ValueError, match="between 1 and 60"):
    yard.sample_scene(0, 0, duration=duration)


def test_falls_obey_gravity_and_contacts_touch_the_ground():
  seen = 0
  for index in range(100):
    for source in yard.sample_scene(4, index).sources:
      if source.thing not in ("ball", "block"):
        continue
      seen += 1
      bottom = source.route.at(source.contacts)[:, 1] - 0.5 * source.extent[1]
      np.testing.assert_allclose(bottom, 0.0, atol=1e-9)
      # Just before a contact it falls at the speed its strength says, and
      # 20 ms earlier at g x 20 ms less.
      v0, v1 = (
        source.route.velocity(source.contacts - back)[:, 1]
        for back in (0.021, 0.001)
      )
      np.testing.assert_allclose(v0 - v1, 0.02 * motion.GRAVITY, rtol=1e-6)
      fastest = np.sqrt(2.0 * motion.GRAVITY * motion.HIGHEST_FALL)
      np.testing.assert_allclose(
        -v1 + 0.001 * motion.GRAVITY, source.strengths * fastest, rtol=1e-6
      )
  assert seen > 15


def test_velocity_is_the_derivative_of_the_route():
  rng = np.random.default_rng(0)
  route = scene.Route(
    times=np.array([0.5, 1.2, 3.0]),
    points=rng.normal(size=(3, 3)),
    bends=rng.normal(size=(2, 3)),
  )
  times = rng.uniform(0.0, 3.5, 200)
  times = times[np.abs(times[:, None] - route.times).min(axis=-1) > 1e-3]
  slope = (route.at(times + 1e-6) - route.at(times - 1e-6)) / 2e-6
  np.testing.assert_allclose(route.velocity(times), slope, atol=1e-6)


def test_phase_counts_contacts():
  for index in range(60):
    for source in yard.sample_scene(5, index).sources:
      if len(source.contacts) < 2:
        continue
      count = np.arange(len(source.contacts))
      np.testing.assert_allclose(source.phase(source.contacts), count)
      times = np.linspace(-1.0, 12.0, 300)
      assert np.all(np.diff(source.phase(times)) > 0.0)
      since, strength = source.last_contact(source.contacts + 1e-6)
      np.testing.assert_allclose(since, 1e-6, atol=1e-9)
      np.testing.assert_array_equal(strength, source.strengths)
      until, strength = source.next_contact(source.contacts - 1e-6)
      np.testing.assert_allclose(until, 1e-6, atol=1e-9)
      np.testing.assert_array_equal(strength, source.strengths)


def test_boxes_follow_the_camera():
  for index in range(40):
    staged = yard.sample_scene(6, index)
    times = np.linspace(0.0, staged.duration, 11)
    for item in (*staged.sources, *staged.distractors):
      if np.isinf(item.extent[0]):
        continue
      left, top, right, bottom = staged.box(item, times).T
      seen = scene.project(item.route.at(times))
      middle = staged.camera.transform(
        np.stack([seen.x, seen.y], axis=-1), times
      )
      np.testing.assert_allclose((left + right) / 2, middle[:, 0])
      np.testing.assert_allclose((top + bottom) / 2, middle[:, 1])
      zoom = staged.camera.magnification(times)
      np.testing.assert_allclose(
        right - left, item.extent[0] * seen.scale * zoom
      )


def test_on_screen_sources_are_in_the_frame_and_others_are_not(train):
  for staged in train[:250]:
    times = np.linspace(0.0, staged.duration, 121)
    for source in staged.sources:
      left, top, right, bottom = staged.box(source, times).T
      inside = (left < 1.0) & (right > 0.0) & (top < 1.0) & (bottom > 0.0)
      if source.on_screen:
        assert inside.any(), (staged.index, source.thing)
      elif source.kind != "ambient":
        assert not inside.any(), (staged.index, source.thing)
