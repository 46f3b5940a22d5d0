"""A yard record holds the truth of what it shows and sounds."""

import dataclasses

import numpy as np
import pytest

from vta.data import records
from vta.data.yard import record as record_lib
from vta.data.yard import render_sound, sample_scene
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import masks as masks_lib
from vta.signals import timing

SCENES = [sample_scene(8, i, duration=2.0) for i in range(120)]


def scene_with(heard):
  """The first scene whose draw is of so many sources."""
  for scene in SCENES:
    drawn = record_lib.draw_heard(scene)
    if drawn is not None and len(drawn) == heard:
      return scene, drawn
  raise AssertionError("no scene")


def test_choice_of_sources():
  drawn = [(scene, record_lib.draw_heard(scene)) for scene in SCENES]
  able = 0
  for scene, heard in drawn:
    seen = [
      i
      for i, source in enumerate(scene.sources)
      if source.on_screen and source.thing != "rain"
    ]
    able += bool(seen) and len(scene.sources) > 1
    assert heard == record_lib.draw_heard(scene)
    if heard is not None:
      assert set(heard) <= set(seen)
      assert 0 < len(heard) < len(scene.sources)
      assert list(heard) == sorted(set(heard))
  masked = sum(heard is not None for _, heard in drawn)
  # 3 standard deviations of a binomial.
  share = record_lib.MASKED
  margin = 3 * np.sqrt(able * share * (1 - share))
  assert abs(masked - share * able) < margin


@pytest.mark.parametrize("index", [0, 1, 2])
def test_whole_scene(index):
  scene = SCENES[index]
  record = record_lib.record(scene)
  records.check(record)
  arrays, meta = record.arrays, record.meta
  sound = render_sound(scene)
  assert "mask" not in arrays
  assert arrays["frames"].shape == (30, 64, 64, 3)
  np.testing.assert_allclose(
    arrays["frame_times"], np.arange(30) / 15, atol=1e-6
  )
  # Half a step of 16 bits.
  np.testing.assert_allclose(
    arrays["wave"] / 32768.0, sound.wave, atol=0.5 / 32768 + 1e-9
  )
  curve = loudness_lib.momentary(sound.wave)
  np.testing.assert_allclose(arrays["loudness"], curve.lufs, atol=1e-4)
  np.testing.assert_allclose(arrays["loudness_times"], curve.times, atol=1e-6)
  assert arrays["object_probability"].shape == (30, len(scene.sources))
  # Some label sounds where the clip does, and nowhere else.
  heard = events_lib.to_binary(
    events_lib.Events(intervals=arrays["events"].astype(np.float64)),
    arrays["frame_times"].astype(np.float64),
  )
  np.testing.assert_array_equal(
    arrays["object_sounding"].any(axis=1), heard > 0.5
  )
  assert arrays["object_sounding"].shape == (30, len(scene.sources))
  assert meta["objects"] == [source.thing for source in scene.sources]
  assert len(meta["captions"]) >= 6
  assert meta["duration"] == 2.0
  assert (meta["split"], meta["seed"], meta["index"]) == ("train", 8, index)
  for told, source in zip(meta["sources"], scene.sources, strict=True):
    assert told["thing"] == source.thing
    assert told["material"] == source.material
    assert len(told["pan"]) == len(curve.times)
    assert all(-1.0 <= p <= 1.0 for p in told["pan"])


def test_masked_record_is_of_the_sources_under_the_mask():
  scene, heard = scene_with(1)
  whole, masked = (
    record_lib.record(scene),
    record_lib.record(scene, heard=heard),
  )
  records.check(masked)
  np.testing.assert_array_equal(masked.arrays["frames"], whole.arrays["frames"])
  stem = render_sound(scene).stems[heard[0]]
  np.testing.assert_allclose(
    masked.arrays["wave"] / 32768.0, stem, atol=0.5 / 32768 + 1e-9
  )
  assert not np.array_equal(masked.arrays["wave"], whole.arrays["wave"])
  assert masked.meta["id"] != whole.meta["id"]
  assert masked.meta["objects"] == [scene.sources[heard[0]].thing]
  assert len(masked.meta["sources"]) == 1
  assert masked.arrays["object_probability"].shape[1] == 1
  # What a label's frames say under the mask, they say without it.
  (one,) = masked.arrays["object_sounding"].T
  np.testing.assert_array_equal(
    one, whole.arrays["object_sounding"][:, heard[0]]
  )
  # Every sounding moment of a part is one of the whole.
  times = timing.centres(400, 200.0)
  part, all_ = (
    events_lib.to_binary(
      events_lib.Events(intervals=r.arrays["events"].astype(np.float64)), times
    )
    for r in (masked, whole)
  )
  assert np.all(part <= all_)


@pytest.mark.parametrize("count", [1, 2])
def test_mask_covers_the_boxes_with_little_to_spare(count):
  scene, heard = scene_with(count)
  record = record_lib.record(scene, heard=heard)
  mask = np.unpackbits(record.arrays["mask"], axis=-1)
  assert mask.shape == (30, 64, 64)
  times = np.arange(30) / 15
  for i in heard:
    corners = np.clip(scene.box(scene.sources[i], times), 0.0, 1.0)
    box = masks_lib.Box(times=times, corners=corners)
    share = box.draw(times, 64, 64)
    # Every pixel that the box touches, be it by its edge.
    assert np.all(mask[share > 1e-3] == 1)
  # No more than a tenth on each side, and the pixels that its edges touch.
  wide = np.zeros_like(mask, bool)
  for i in heard:
    corners = np.clip(scene.box(scene.sources[i], times), 0.0, 1.0)
    side = np.tile(corners[:, 2:] - corners[:, :2], 2)
    out = np.array([[-1.0, -1.0, 1.0, 1.0]])
    grown = np.clip(corners + out * (0.1 * side + 1.0 / 64), 0.0, 1.0)
    wide |= masks_lib.Box(times=times, corners=grown).draw(times, 64, 64) > 0
  assert np.all(wide[mask == 1])


def test_without_pictures_for_the_codec():
  record = record_lib.record(SCENES[0], pictures=False)
  records.check(record)
  assert "frames" not in record.arrays
  assert len(record.arrays["wave"]) == 88_200


def test_the_same_scene_gives_the_same_bytes():
  scene, heard = scene_with(1)
  again = sample_scene(scene.seed, scene.index, duration=2.0)
  assert records.pack(record_lib.record(scene, heard=heard)) == records.pack(
    record_lib.record(again, heard=heard)
  )


def test_a_silent_scene_is_a_record_too():
  scene = dataclasses.replace(SCENES[0], sources=())
  record = record_lib.record(scene)
  records.check(record)
  assert not record.arrays["wave"].any()
  assert record.arrays["events"].shape == (0, 2)
  assert np.all(record.arrays["loudness"] == loudness_lib.FLOOR)
  assert record.arrays["object_probability"].shape == (30, 0)
  assert record.meta["objects"] == []
  assert record_lib.draw_heard(scene) is None
