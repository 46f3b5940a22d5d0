"""The yard's signals say what its sound and boxes do."""

import numpy as np
import pytest

from vta.data import yard
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import masks as masks_lib
from vta.signals import objects as objects_lib
from vta.signals import timing

RATE = timing.SAMPLE_RATE


@pytest.fixture(scope="module")
def scenes():
  return [yard.sample_scene(11, index, duration=3.0) for index in range(16)]


def test_events_are_where_a_stem_is_heard(scenes):
  checked = 0
  for staged in scenes:
    heard = yard.render_sound(staged)
    for index in range(len(staged.sources)):
      events = yard.events(heard, [index])
      assert np.all(events.intervals <= staged.duration + 1e-9)
      power = np.mean(heard.stems[index].astype(np.float64) ** 2, axis=-1)
      times = np.arange(len(power)) / RATE
      inside = np.zeros(len(power), bool)
      for start, end in events.intervals:
        inside |= (times >= start - 1e-9) & (times < end)
      # -40 dB over any 20 ms, so that no 10 ms frame need be aligned.
      blocks = power[: len(power) // 882 * 882].reshape(-1, 882).mean(axis=-1)
      held = inside[: len(power) // 882 * 882].reshape(-1, 882)
      assert np.all(held.any(axis=-1)[blocks > 1.01e-4])
      assert np.all(blocks[held.all(axis=-1)].max(initial=1.0) > 1e-4)
      checked += len(events.intervals)
  assert checked > 8


def test_loud_contacts_begin_events(scenes):
  checked = 0
  for staged in scenes:
    heard = yard.render_sound(staged)
    starts, ends = yard.events(heard).intervals.T
    for index, source in enumerate(staged.sources):
      if source.kind != "impact":
        continue
      for contact in source.contacts:
        piece = heard.stems[index][round(contact * RATE) :][: RATE // 50]
        if np.square(piece).mean() < 1e-3:  # -30 dB: surely heard
          continue
        assert np.any((contact >= starts - 0.011) & (contact < ends))
        checked += 1
  assert checked > 5


def test_events_of_tracks_merge_to_those_of_the_scene(scenes):
  for staged in scenes[:10]:
    heard = yard.render_sound(staged)
    merged = events_lib.Events(intervals=np.zeros((0, 2)))
    for index in range(len(staged.sources)):
      merged = merged.merge(yard.events(heard, [index]))
    np.testing.assert_allclose(
      merged.intervals, yard.events(heard).intervals, atol=1e-9
    )


def test_silent_scenes_have_no_events_and_floor_loudness():
  staged = next(
    s for s in (yard.sample_scene(3, i) for i in range(60)) if not s.sources
  )
  assert not len(yard.events(yard.render_sound(staged)).intervals)
  assert not len(yard.onsets(staged))
  assert not yard.masks(staged).regions
  assert yard.objects(staged).labels == ()
  curve = yard.loudness(yard.render_sound(staged))
  assert np.all(curve.lufs == loudness_lib.FLOOR)


def test_loudness_of_stems(scenes):
  staged = next(s for s in scenes if len(s.sources) == 2)
  heard = yard.render_sound(staged)
  for index in range(2):
    expected = loudness_lib.momentary(heard.stems[index])
    assert yard.loudness(heard, [index]) == expected
  whole = yard.loudness(heard)
  np.testing.assert_allclose(
    yard.loudness(heard, [0, 1]).lufs, whole.lufs, atol=0.05
  )


def test_masks_are_the_boxes_at_any_time(scenes):
  rng = np.random.default_rng(0)
  checked = 0
  for staged in scenes:
    times = np.sort(rng.uniform(0.0, staged.duration, 9))
    for index, source in enumerate(staged.sources):
      masks = yard.masks(staged, [index])
      if not source.on_screen:
        assert not masks.regions
        continue
      if source.thing == "rain":
        drawn = masks_lib.rasterise(masks, times, height=4, width=4)
        active = source.active(times)
        # A keyframe more on each side of an interval is a tolerance of 1/15 s.
        near = np.abs(times[:, None] - source.intervals.ravel()[None]).min(-1)
        clear = near > 2.5 / 15.0
        np.testing.assert_array_equal(drawn[clear].min((1, 2)), active[clear])
        continue
      size = 50
      drawn = masks_lib.rasterise(masks, times, height=size, width=size)
      box = staged.box(source, times).clip(-0.5, 1.5) * size
      for frame, (left, top, right, bottom) in zip(drawn, box, strict=True):
        y, x = np.mgrid[:size, :size] + 0.5
        # Keyframes are straight lines: allow a pixel and a half of 50.
        slack = 1.5
        inner = (x > left + slack) & (x < right - slack)
        inner &= (y > top + slack) & (y < bottom - slack)
        outer = (x > left - slack) & (x < right + slack)
        outer &= (y > top - slack) & (y < bottom + slack)
        assert np.all(frame[inner] > 0.99)
        assert not frame[~outer].any()
        checked += 1
  assert checked > 60


def test_masks_and_objects_survive_the_cue_sheet_s_json(scenes):
  for staged in scenes[:12]:
    masks = yard.masks(staged)
    if masks.regions:
      read = masks_lib.from_json(
        masks_lib.to_json(masks), where="masks", duration=staged.duration
      )
      assert read == masks
    objects = yard.objects(staged)
    if objects.labels:
      read = objects_lib.from_json(
        objects_lib.to_json(objects), where="o", duration=staged.duration
      )
      assert read == objects


def test_objects_are_seen_where_boxes_are(scenes):
  for staged in scenes:
    objects = yard.objects(staged)
    assert objects.labels == tuple(s.thing for s in staged.sources)
    assert np.all((objects.probability >= 0) & (objects.probability <= 1))
    for source, seen in zip(staged.sources, objects.probability.T, strict=True):
      if not source.on_screen:
        assert not seen.any()
        continue
      box = staged.box(source, objects.times)
      whole = np.all((box[:, :2] >= 0) & (box[:, 2:] <= 1), axis=-1)
      gone = (box[:, 0] >= 1) | (box[:, 2] <= 0)
      np.testing.assert_allclose(seen[whole], 1.0)
      assert not seen[gone].any()


def test_onsets_of_what_comes_from_afar_are_none(scenes):
  for staged in scenes:
    for index, source in enumerate(staged.sources):
      onsets = yard.onsets(staged, [index])
      assert np.all(np.diff(onsets) >= 0.0)
      if source.thing in ("motorbike", "plane"):
        assert not len(onsets)
      elif len(source.contacts):
        np.testing.assert_array_equal(onsets, source.contacts)
