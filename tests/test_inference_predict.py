"""The predicted sheet: one track a shot, sources of all, silent elsewhere."""

import json

import jax
import media_samples as samples
import numpy as np
import pytest
import test_inference_lufs as lufs_lib
import tiny_annotators
import tiny_heads

from vta import errors
from vta.annotators import detect, detections
from vta.inference import finders, generator, heads, predict
from vta.interop import event_detector as names
from vta.interop import release
from vta.models import event_detector
from vta.signals import cues, events, masks

DURATION, CUT = 3.0, 1.6
SHOTS = ((0.0, CUT), (CUT, DURATION))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
  """Two shots of 40 and 35 frames, of which a half grows light and dark."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 160, (2, 6, 8, 3))[[0] * 40 + [1] * 35]
  light = 40 + 40 * np.sin(np.arange(75) / 2.5)
  images[:, :, :4] += np.int64(light)[:, None, None, None]
  images = images.astype(np.uint8)
  return samples.video(
    tmp_path_factory.mktemp("clip") / "a.mp4",
    images=images.repeat(8, 1).repeat(8, 2),
    stamps=range(0, 3000, 40),
  )


@pytest.fixture(autouse=True)
def bare_starter(tmp_path, monkeypatch):
  """A starter without heads, whatever the one that is shipped has."""
  folder = tmp_path / "starter"
  release.save(
    folder, config={"preset": "foley"}, parts={"codec": {}}, card="# Empty\n"
  )
  monkeypatch.setattr(generator, "STARTER", folder)
  return folder


def made(clip, **request):
  return predict.predict(
    clip, duration=DURATION, request=finders.Request(**request)
  )


def test_each_shot_is_a_track_and_silent_elsewhere(clip):
  folder = tiny_heads.folder()
  whole = heads.Heads(folder).predict(clip, DURATION)
  got = made(clip, predictor=folder, text="a bell")
  assert got.shots == SHOTS
  fine = (np.arange(300) + 0.5) / 100
  heard = events.to_binary(whole.events, fine)
  assert 0.1 < heard.mean() < 0.9
  curve = whole.loudness.resample(fine).lufs
  for track, (start, end) in zip(got.sheet.tracks, SHOTS, strict=True):
    inside = (fine > start) & (fine < end)
    shown = events.to_binary(track.events, fine)
    # But for what the cut leaves of an event, at most 10 ms.
    assert (shown != heard * inside).mean() < 0.02
    lufs = track.loudness.resample(fine).lufs
    np.testing.assert_array_equal(lufs[~inside], -70.0)
    # Milliseconds, of a curve with knots every 167 of them.
    np.testing.assert_allclose(lufs[inside], curve[inside], atol=0.2)
    assert (track.text, track.on_screen) == ("a bell", True)
    assert track.sources == {
      "on_screen": "shots, by FFmpeg's scdet",
      "text": "user",
      "events": f"heads of {folder}",
      "loudness": f"heads of {folder}",
    }
  none = "no --detect is given"
  missing = {"objects": none, "masks": none, "pan": none}
  assert got.missing == (missing, missing)


def test_one_track_of_the_whole_clip(clip):
  folder = tiny_heads.folder()
  whole = heads.Heads(folder).predict(clip, DURATION)
  got = made(clip, predictor=folder, one_track=True)
  assert got.shots == ((0.0, DURATION),)
  (track,) = got.sheet.tracks
  assert track.sources["on_screen"] == "the whole clip, as asked for"
  np.testing.assert_allclose(
    track.events.intervals, whole.events.intervals, atol=6e-4
  )
  assert got.missing[0]["text"] == "neither --text nor --describe is given"


def test_without_heads_a_shot_is_one_event(clip):
  got = made(clip)
  for track, span, missing in zip(
    got.sheet.tracks, SHOTS, got.missing, strict=True
  ):
    assert track.events.intervals.tolist() == [list(span)]
    assert track.sources["events"].startswith("the shot, since nothing says")
    assert (
      missing["loudness"] == "vta/starter holds no heads; name a --predictor"
    )
  (track,) = made(clip, one_track=True).sheet.tracks
  assert track.events is None
  assert track.loudness is None


def test_the_starter_s_heads_are_used_if_it_has_them(clip, monkeypatch):
  monkeypatch.setattr(generator, "STARTER", tiny_heads.starter())
  got, want = made(clip), made(clip, predictor=tiny_heads.folder())
  for one, other in zip(got.sheet.tracks, want.sheet.tracks, strict=True):
    assert one.sources["events"] == "heads of vta/starter"
    assert (one.events, one.loudness) == (other.events, other.loudness)


def event_release(folder):
  """A tiny detector's release; its network is another's to test."""
  sizes = {"widths": [4], "blocks": [1], "stem": 3, "hidden": 4}
  like = names.like(
    event_detector.EventDetectorConfig(
      **{**sizes, "widths": (4,), "blocks": (1,)}
    )
  )
  params = jax.tree.map(
    lambda x: np.random.default_rng(x.size).random(x.shape, np.float32), like
  )
  clip = {"frame_rate": 15, "frames": 12, "resize": 18, "size": 16}
  release.save(
    folder,
    config={"preset": "event_detector", "predictor": sizes, "clip": clip},
    parts={"predictor": params},
    card="# Random weights, for tests\n",
  )
  return folder


def test_predictors_that_are_named_take_the_heads_place(clip, tmp_path):
  import test_encoders_dinov2 as tower_lib

  curve = lufs_lib.make(tmp_path / "lufs")
  tower_lib.make(curve / "dinov2")
  times = event_release(tmp_path / "events")
  got = made(clip, predictor=tiny_heads.folder(), lufs=curve, one_track=True)
  (track,) = got.sheet.tracks
  assert track.sources["loudness"] == f"LUFS predictor {curve}"
  assert track.sources["events"] == f"heads of {tiny_heads.folder()}"
  # Six a second, and the ends.
  assert len(track.loudness.times) == 18 + 2
  (track,) = made(clip, events=times, lufs=curve, one_track=True).sheet.tracks
  assert track.sources["events"] == f"event detector {times}"
  assert track.sources["loudness"] == f"LUFS predictor {curve}"
  with pytest.raises(errors.InputError, match="leave it nothing to predict"):
    made(clip, events=times, lufs=curve, predictor=tiny_heads.folder())


OBJECTS = {
  "labels": ["ball", "bell"],
  "times": [0.1001, 0.1004, 1.599, 2.0],
  "probability": [[0.5, 0.1], [0.5, 0.1], [0.75, 0.2], [1.0, 0.3]],
}


@pytest.fixture
def objects_file(tmp_path):
  path = tmp_path / "objects.json"
  path.write_text(json.dumps(OBJECTS))
  return path


def test_a_file_s_objects_are_not_there_outside_of_a_shot(clip, objects_file):
  got = made(clip, detect=objects_file, text="no matter")
  first, second = (track.objects for track in got.sheet.tracks)
  assert first.labels == second.labels == ("ball", "bell")
  at = np.array([0.0, 0.05, 0.85, 1.6, 1.601, 1.7, 3.0])
  np.testing.assert_allclose(
    first.resample(at).probability[:, 0],
    [0.5, 0.5, 0.625, 0.7506, 0, 0, 0],
    atol=2e-3,
  )
  np.testing.assert_allclose(
    second.resample(np.array([0.0, 1.599, 1.6, 3.0])).probability[:, 1],
    [0, 0, 0.2, 0.3],
    atol=1e-3,
  )
  assert got.missing[0]["masks"] == f"{objects_file} gives no boxes"
  assert got.missing[0]["pan"] == f"{objects_file} gives no boxes"
  one = made(clip, detect=objects_file, labels=("bell",), one_track=True)
  assert one.sheet.tracks[0].objects.labels == ("bell",)


class Finds:
  """Finds whatever it is asked for, further right in every frame."""

  labels = None

  def __init__(self):
    self.asked = []

  def detect(self, frames, labels):
    self.asked.append((frames.times, tuple(labels)))
    left = np.clip(frames.times / 4, 0, 0.75)
    box = np.stack([left, left, left + 0.25, left + 0.25], axis=1)
    shape = (len(frames.times), len(labels))
    return detections.Detections(
      times=frames.times,
      labels=tuple(labels),
      probability=np.full(shape, 0.5),
      boxes=np.broadcast_to(box[:, None], (*shape, 4)),
    )


@pytest.fixture
def detector(monkeypatch):
  found = Finds()
  monkeypatch.setattr(detect, "load", lambda path, *, duration: found)
  return found


def test_each_shot_s_frames_are_searched_for_the_nouns(clip, detector):
  got = made(clip, detect="dino", text="a red ball bounces on the floors")
  assert [labels for _, labels in detector.asked] == [("ball", "floor")] * 2
  # Two a second, at the middles of equal parts of the shot.
  np.testing.assert_allclose(detector.asked[0][0], [8 / 30, 0.8, 40 / 30])
  np.testing.assert_allclose(
    detector.asked[1][0], CUT + np.array([1, 3, 5]) * 1.4 / 6
  )
  for track, (start, end) in zip(got.sheet.tracks, SHOTS, strict=True):
    said = "dino, looking for the text's nouns"
    assert track.sources["objects"] == said
    assert track.sources["masks"] == f"boxes of {said}"
    for region in track.masks.regions:
      assert isinstance(region, masks.Box)
      assert region.span == (start, end)
    # Nothing tells left from right but the boxes.
    middle = np.mean(detector.asked[int(start > 0)][0]) / 4 + 0.125
    assert track.pan == pytest.approx(2 * middle - 1, abs=1e-3)


def test_what_is_loud_left_and_right_is_not_panned_again(clip, detector):
  got = made(
    clip, detect="dino", labels=("cow",), predictor=tiny_heads.folder()
  )
  assert [labels for _, labels in detector.asked] == [("cow",)] * 2
  for track, missing in zip(got.sheet.tracks, got.missing, strict=True):
    assert track.masks is not None
    assert track.pan is None
    assert missing["pan"] == "the loudness of left and right has it already"
    assert track.sources["objects"] == "dino"


def test_why_nothing_was_looked_for(clip, detector):
  (missing, _) = made(clip, detect="dino").missing
  assert missing["objects"].startswith("there is no text to take nouns from")
  (missing, _) = made(clip, detect="dino", text="suddenly").missing
  assert missing["objects"] == "'suddenly' has no nouns"
  assert detector.asked == []


def test_a_detector_that_finds_nothing_masks_nothing(
  clip, detector, monkeypatch
):
  def blind(frames, labels):
    shape = (len(frames.times), len(labels))
    return detections.Detections(
      times=frames.times,
      labels=tuple(labels),
      probability=np.zeros(shape),
      boxes=np.full((*shape, 4), np.nan),
    )

  monkeypatch.setattr(detector, "detect", blind)
  got = made(clip, detect="dino", labels=("cow", "pig"))
  assert got.sheet.tracks[0].masks is None
  assert got.missing[0]["masks"] == "no box for cow, pig"
  assert got.missing[0]["pan"] == "no box for cow, pig"


def test_a_model_describes_every_shot(clip, tmp_path, monkeypatch):
  from vta.annotators import describe

  folder, *_ = tiny_annotators.llava(tmp_path / "llava", template=None)
  monkeypatch.setattr(describe, "_LONGEST", 8)
  got = made(clip, describe=folder)
  first, second = got.sheet.tracks
  assert first.text != second.text
  assert first.sources["text"] == f"{folder}, from 4 frames"
  monkeypatch.setattr(describe.Describer, "describe", lambda self, frames: "")
  assert (
    made(clip, describe=folder).missing[1]["text"] == f"{folder} says nothing"
  )


@pytest.mark.parametrize(
  ("duration", "want"), [(0.96, 1.0), (3.0004, 3.0), (60.03, 60.0)]
)
def test_durations_are_the_sheet_s(clip, duration, want):
  request = finders.Request(one_track=True, predictor=tiny_heads.folder())
  got = predict.predict(clip, duration=duration, request=request)
  assert got.sheet.duration == want
  sheet = cues.parse(cues.to_json(got.sheet), where="x")
  assert sheet == got.sheet
