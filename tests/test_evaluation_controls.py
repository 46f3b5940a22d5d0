"""The suite of controls: obeying scores what was asked, being deaf chance."""

import numpy as np
import pytest

from vta.data.yard import truth
from vta.evaluation import controls, stand
from vta.inference import generator
from vta.signals import cues, loudness


class Fake(generator.Generator):
  """Sees little pictures, loads nothing; makes what `answer` does of a job."""

  def __init__(self, answer=None):
    self.reader = self
    self.frame_size, self.frame_rate = 8, 0.2
    self.settings = generator.Settings(steps=2, solver="dpm", guidance=())
    self._answer = answer

  def frame_times(self, duration):
    return np.zeros(1)

  def generate(self, jobs, settings):
    return [self._answer(job, jobs) for job in jobs]


class Oracle(stand.Stand):
  """A stand whose sounds are what `answer` makes of a clip and a track."""

  def __init__(self, answer):
    super().__init__(Fake(), Fake().settings, clips=1, seeds=(0,))
    self._answer = answer

  def generate(self, clips, track, *, pictures=True, afresh=False):
    return [[self._answer(clip, track(clip))] for clip in clips]


def rows(answer, test):
  suite = controls.ControlSuite(Oracle(answer))
  return {row.name: row for row in getattr(suite, test)()}


def deaf(clip, track):
  """Makes the true sound whatever the sheet says."""
  return clip.heard.wave


def silent(clip, track):
  return np.zeros_like(clip.heard.wave)


def moving(clip, track):
  """Moves what lies in the event that is not where it truly is."""
  true = truth.events(clip.heard).intervals
  (changed,) = np.nonzero(track.events.intervals[:, 0] != true[:, 0])
  wave = clip.heard.wave
  for event in true[changed]:
    assert track.events.intervals[changed, 0] == pytest.approx(event[0] + 0.5)
    wave = controls._moved(wave, tuple(event))
  return wave


def test_a_moved_event_is_where_its_sound_lies():
  obedient = rows(moving, "_events")
  stays = rows(deaf, "_events")
  for words in ("text", "picture"):
    name = f"event moved by 0.5 s, {words} and events: "
    assert obedient[name + "error of the move"].mean < 0.02
    assert obedient[name + "share within 0.1 s"].mean == 1.0
    unedited = f"event not moved, another seed, {words} and events: "
    assert obedient[unedited + "error of the move"].mean == 0.5
    assert obedient[unedited + "share within 0.1 s"].mean == 0.0
    assert stays[name + "error of the move"].mean == 0.5
    assert stays[name + "share within 0.1 s"].mean == 0.0


def test_silence_has_not_arrived_and_has_no_error():
  name = "event moved by 0.5 s, text and events: "
  made = rows(silent, "_events")
  assert made[name + "share within 0.1 s"].mean == 0.0
  assert made[name + "error of the move"].dropped == 1


def test_an_isolated_event_has_room_to_move():
  clips = Oracle(deaf).draw(
    lambda staged: len(staged.sources) == 1,
    audible=lambda clip: controls._isolated(clip.heard) is not None,
  )
  for clip in clips:
    start, end = controls._isolated(clip.heard)
    others = truth.events(clip.heard).erase(start, end)
    assert len(others.intervals) == len(truth.events(clip.heard).intervals) - 1
    assert not len(others.crop(start - 0.2, end + 0.7).intervals)
    assert 0.2 <= start < end <= stand.DURATION - 0.7


def test_a_lowered_channel_is_measured_where_it_sounds():
  def follows(clip, track):
    """Turns each channel by what the curve differs from the true one."""
    given = track.loudness.lufs - truth.loudness(clip.heard).lufs
    return clip.heard.wave * (10 ** (np.median(given, axis=0) / 20))

  name = "left 6 LU lower: "
  made = rows(follows, "_loudness")
  assert made[name + "change of the left"].mean == pytest.approx(-6.0, abs=1e-3)
  assert made[name + "change of the right"].mean == pytest.approx(0.0, abs=1e-3)
  assert made[name + "error of both by block"].mean < 1e-3
  stays = rows(deaf, "_loudness")
  assert stays[name + "change of the left"].mean == 0.0
  assert stays[name + "error of both by block"].mean == pytest.approx(
    3.0, abs=0.5
  )


def test_the_curve_is_lowered_on_the_left_alone():
  curve = loudness.Loudness(
    times=np.array([0.0, 1.0]), lufs=np.array([[-20.0, -30.0], [-66.0, -70.0]])
  )
  lower = controls._lowered(curve)
  np.testing.assert_allclose(lower.lufs, [[-26.0, -30.0], [-70.0, -70.0]])


def test_the_painted_thing_is_the_louder_one():
  def painted(clip, track):
    if track.masks is None:
      return clip.heard.wave
    first = track.masks == truth.masks(clip.staged, [0])
    return clip.heard.stems[0 if first else 1]

  def other(clip, track):
    return clip.heard.wave - painted(clip, track)

  share, swing = (
    "painted: share where the asked one is louder",
    "painted: swing of the first against the second",
  )
  made = rows(painted, "_masks")
  assert made[share].mean == 1.0
  assert made[swing].mean > 20.0
  assert made["no mask: share where the asked one is louder"].mean == 0.5
  assert made[
    "true stems (the measure's limit): share where the asked one is louder"
  ].mean == pytest.approx(1.0)
  wrong = rows(other, "_masks")
  assert wrong[share].mean == 0.0
  assert wrong[swing].mean < -20.0


def test_a_muted_object_is_removed():
  def muting(clip, track):
    heard = track.objects.probability.max(axis=0) > 0.0
    return clip.heard.stems[heard].sum(axis=0)

  made = rows(muting, "_objects")
  stays = rows(deaf, "_objects")
  for given in ("picture and objects", "objects"):
    change = f"object muted, {given}: change against the other"
    share = f"object muted, {given}: share 10 dB down"
    assert made[change].mean < -10.0
    assert made[share].mean == 1.0
    assert stays[change].mean == 0.0
    assert stays[share].mean == 0.0


def test_another_seed_is_another():
  asked = []

  def listening(job, jobs):
    asked.append(job.seed)
    return np.zeros((4, 2), np.float32)

  fake = Fake(listening)
  here = stand.Stand(fake, fake.settings, clips=1, seeds=(3, 4))
  clips = here.draw(lambda staged: True)
  here.generate(clips, lambda clip: cues.Track())
  here.generate(clips, lambda clip: cues.Track(), afresh=True)
  assert asked == [3, 4, 5, 6]


def stems(answer):
  fake = Fake(answer)
  here = stand.Stand(fake, fake.settings, clips=2, seeds=(0, 1))
  return controls.ControlSuite(here)._stems()


def noise(job, jobs):
  rng = np.random.default_rng(job.seed)
  return rng.uniform(-1.0, 1.0, (1000, 2)).astype(np.float32)


def test_stems_sum_to_the_mix_and_are_their_tracks_alone():
  mix, alone, others = stems(noise)
  assert max(mix.values) <= 2e-7
  assert max(alone.values) <= 2e-7
  assert min(others.values) > 0.5


def test_a_track_that_hears_the_others_is_found():
  def leaking(job, jobs):
    first = noise(jobs[0], jobs)
    return first if job is jobs[0] else noise(job, jobs) + 1e-3 * first

  mix, alone, _ = stems(leaking)
  assert max(mix.values) <= 2e-7
  assert min(alone.values) > 1e-4
