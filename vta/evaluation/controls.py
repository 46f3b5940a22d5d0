"""The suite of controls: does an edit of the cue sheet change what it says?

A sound designer changes one thing of a sheet and generates again from the same
seed. Every test here is such a pair, a sheet and the same sheet edited: what
did the edit change in the sound, against what changes when nothing is edited
and the noise is of another seed? The tests, their scenes and their thresholds
are ours; an aim is what perfect obedience would give.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from vta.data.yard import scene, sound, truth
from vta.evaluation import rows as rows_lib
from vta.evaluation import stand as stand_lib
from vta.inference import job as job_lib
from vta.inference import mixing, scoring
from vta.metrics import loudness as loudness_metric
from vta.metrics import spectral
from vta.signals import cues, timing
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib

_MOVE = 0.5  # by which an event is moved, s
_NEAR = 0.1  # what counts as having arrived, s: the onsets' tolerance
_MARGIN = 0.2  # of silence on each side of an event and of where it goes, s
_SILENT = 1e-6  # power below which nothing is there: -60 dB of full scale
_LOWER = -6.0  # of the left channel, LU: half the amplitude
_GONE = -10.0  # what counts as removed, dB: half as loud to the ear


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Score:
  """What of a clip's two waves, or of what was heard in them; what is right."""

  name: str
  unit: str
  of: Callable[[stand_lib.Clip, Sequence], float]
  aim: str | None = None


class ControlSuite:
  """The tests, on one stand."""

  def __init__(self, stand: stand_lib.Stand):
    self._stand = stand

  def run(self) -> list[rows_lib.Row]:
    """All tests, in the order of the model card."""
    return stand_lib.run(
      (self._events, self._loudness, self._masks, self._objects, self._stems)
    )

  def _events(self) -> list[rows_lib.Row]:
    """One event is moved into the silence after it; the others stay."""
    clips = self._stand.draw(
      _sounds, audible=lambda clip: _isolated(clip.heard) is not None
    )
    event = {id(clip): _isolated(clip.heard) for clip in clips}
    prompt = {id(clip): stand_lib.caption(clip) for clip in clips}

    def sheet(clip, *, moved, words):
      intervals = truth.events(clip.heard).intervals.copy()
      if moved:
        intervals[(intervals == event[id(clip)]).all(axis=1)] += _MOVE
      return cues.Track(
        text=prompt[id(clip)] if words else None,
        events=events_lib.Events(intervals=intervals),
      )

    def error(clip, pair):
      start, end = event[id(clip)]
      window = start - _MARGIN / 2, end + _MOVE + _MARGIN / 2
      before, after = (_centre(wave, *window) for wave in pair)
      return abs(after - before - _MOVE)

    def arrived(clip, pair):
      return float(error(clip, pair) <= _NEAR)  # a NaN has not

    scores = (
      _Score(name="error of the move", unit="s", of=error, aim="0"),
      _Score(name="share within 0.1 s", unit="", of=arrived, aim="1"),
    )
    rows = []
    for given, words in (("text", True), ("picture", False)):
      waves = self._three(
        clips,
        functools.partial(sheet, moved=False, words=words),
        functools.partial(sheet, moved=True, words=words),
        pictures=not words,
      )
      rows += _against(
        clips,
        waves,
        scores,
        edited=f"event moved by 0.5 s, {given} and events",
        unedited=f"event not moved, another seed, {given} and events",
      )
    true = [[(c.heard.wave, _moved(c.heard.wave, event[id(c)]))] for c in clips]
    name = "true sound moved by 0.5 s (the measure's limit)"
    return rows + _rows(name, clips, true, scores[:1])

  def _loudness(self) -> list[rows_lib.Row]:
    """The left channel of the true curve is drawn 6 LU lower."""
    clips = self._stand.draw(_sounds)
    curve = {id(clip): truth.loudness(clip.heard) for clip in clips}
    lower = {key: _lowered(one) for key, one in curve.items()}

    def change(clip, pair):
      """LU per block and channel; NaN where the lower curve is not heard."""
      before, after = (loudness_lib.momentary(wave) for wave in pair)
      asked = lower[id(clip)].resample(before.times).lufs
      heard = asked > loudness_metric.AUDIBLE
      return np.where(heard, after.lufs - before.lufs, np.nan)

    def left(clip, pair):
      return rows_lib.mean(change(clip, pair)[:, 0])

    def right(clip, pair):
      return rows_lib.mean(change(clip, pair)[:, 1])

    def error(clip, pair):
      return rows_lib.mean(np.abs(change(clip, pair) - [[_LOWER, 0.0]]))

    waves = self._three(
      clips,
      lambda clip: cues.Track(loudness=curve[id(clip)]),
      lambda clip: cues.Track(loudness=lower[id(clip)]),
    )
    return _against(
      clips,
      waves,
      (
        _Score(name="change of the left", unit="LU", of=left, aim="-6"),
        _Score(name="change of the right", unit="LU", of=right, aim="0"),
        _Score(name="error of both by block", unit="LU", of=error, aim="0"),
      ),
      edited="left 6 LU lower",
      unedited="the same curve, another seed",
    )

  def _masks(self) -> list[rows_lib.Row]:
    """One of two things is painted, then the other."""
    clips = self._stand.draw(
      stand_lib.two_in_view, audible=stand_lib.comparable
    )

    def swing(_, pair):
      first, second = pair
      return first - second

    def louder(_, pair):
      first, second = pair
      return 0.5 * (float(first > 0.0) + float(second < 0.0))

    scores = (
      _Score(
        name="swing of the first against the second",
        unit="dB",
        of=swing,
      ),
      _Score(
        name="share where the asked one is louder", unit="", of=louder, aim="1"
      ),
    )
    first, second, neither = (
      _balances(
        clips,
        self._stand.generate(
          clips,
          lambda c, which=which: cues.Track(
            masks=None if which is None else truth.masks(c.staged, [which])
          ),
        ),
      )
      for which in (0, 1, None)
    )
    stems = [
      [tuple(_first_to_second(clip, stem) for stem in clip.heard.stems)]
      for clip in clips
    ]
    return [
      *_rows("painted", clips, _pairs(first, second), scores, aims=True),
      *_rows("no mask", clips, _pairs(neither, neither), scores),
      *_rows("true stems (the measure's limit)", clips, stems, scores),
    ]

  def _objects(self) -> list[rows_lib.Row]:
    """The first of two things that are seen gets the probability 0."""
    clips = self._stand.draw(
      lambda staged: stand_lib.two_in_view(staged) and _both_named(staged),
      audible=stand_lib.comparable,
    )

    def sheet(clip, *, muted):
      objects = truth.objects(clip.staged)
      if muted:
        kept = objects.probability * np.array([[0.0, 1.0]])
        objects = dataclasses.replace(objects, probability=kept)
      return cues.Track(objects=objects)

    def change(_, pair):
      before, after = pair
      return after - before

    def gone(_, pair):
      before, after = pair
      return float(after - before <= _GONE)

    scores = (
      _Score(name="change against the other", unit="dB", of=change),
      _Score(name="share 10 dB down", unit="", of=gone, aim="1"),
    )
    rows = []
    for given, pictures in (("picture and objects", True), ("objects", False)):
      waves = self._three(
        clips,
        functools.partial(sheet, muted=False),
        functools.partial(sheet, muted=True),
        pictures=pictures,
      )
      rows += _against(
        clips,
        [_balances(clips, made) for made in waves],
        scores,
        edited=f"object muted, {given}",
        unedited=f"no object muted, another seed, {given}",
      )
    return rows

  def _stems(self) -> list[rows_lib.Row]:
    """Two tracks of one clip, mixed; each of them alone.

    Of every clip the largest difference of any sample and seed, in shares of
    full scale.
    """
    clips = self._stand.draw(stand_lib.two_in_view)
    sums, same, other = [], [], []
    for clip in clips:
      for seed in self._stand.seeds:
        made = scoring.score(
          self._stand.generator,
          duration=stand_lib.DURATION,
          frames=clip.frames,
          tracks=_two_tracks(clip),
          settings=self._stand.settings,
          seed=seed,
        )
        gain = 10 ** (made.gain_db / 20)
        alone = [gain * self._alone(clip, track) for track in made.sheet.tracks]
        sums.append(_apart([made.wave], [sum(made.stems)]))
        same.append(_apart(made.stems, alone))
        other.append(_apart(made.stems, alone[::-1]))

    def row(name, differences, aim=None):
      largest = np.reshape(differences, (len(clips), -1)).max(axis=1)
      values = tuple(float(value) for value in largest)
      return rows_lib.Row(name=name, unit="", values=values, aim=aim)

    return [
      row("two tracks: mix less the sum of its stems, at most", sums, "0"),
      row("two tracks: stem less its track alone, at most", same, "0"),
      row("two tracks: stem less the other track alone, at most", other),
    ]

  def _three(self, clips, plain, edited, *, pictures=True):
    """Waves of a sheet, of the sheet edited, and of the sheet afresh."""
    return [
      self._stand.generate(clips, track, pictures=pictures, afresh=afresh)
      for track, afresh in ((plain, False), (edited, False), (plain, True))
    ]

  def _alone(self, clip: stand_lib.Clip, track: cues.Track) -> np.ndarray:
    """A track generated in a batch of its own, at its gain and balance."""
    job = job_lib.Job(
      duration=stand_lib.DURATION,
      frames=clip.frames,
      track=track,
      seed=track.seed,
    )
    (wave,) = self._stand.generator.generate([job], self._stand.settings)
    return mixing.place(wave, gain_db=track.gain_db, pan=track.pan)


def _apart(ones, others) -> float:
  """The largest difference of any sample of waves that should be the same."""
  pairs = zip(ones, others, strict=True)
  return max(float(np.abs(one - other).max()) for one, other in pairs)


def _rows(what, clips, pairs, scores, *, aims=False):
  """One row per score of each clip's pairs."""
  return [
    rows_lib.Row(
      name=f"{what}: {score.name}",
      unit=score.unit,
      values=rows_lib.scored(score.of, clips, pairs),
      aim=score.aim if aims else None,
    )
    for score in scores
  ]


def _against(clips, waves, scores, *, edited, unedited) -> list[rows_lib.Row]:
  """What an edit changes, then what another seed does, of `_three`."""
  before, after, afresh = waves
  return [
    *_rows(edited, clips, _pairs(before, after), scores, aims=True),
    *_rows(unedited, clips, _pairs(before, afresh), scores),
  ]


def _pairs(one, other):
  """What there is per clip and seed, two by two."""
  return [
    list(zip(*both, strict=True)) for both in zip(one, other, strict=True)
  ]


def _sounds(staged: scene.Scene) -> bool:
  return bool(staged.sources)


def _isolated(heard: sound.SceneSound) -> tuple[float, float] | None:
  """The loudest event with room around it and around where it is to go."""
  intervals = truth.events(heard).intervals
  found = []
  for i, (start, end) in enumerate(intervals):
    last = intervals[i - 1, 1] if i else 0.0
    rest = intervals[i + 1 :, 0]
    following = rest[0] if len(rest) else stand_lib.DURATION
    if last + _MARGIN <= start and end + _MOVE + _MARGIN <= following:
      part = heard.wave[round(start * heard.rate) : round(end * heard.rate)]
      found.append((np.square(part).sum(), float(start), float(end)))
  return max(found)[1:] if found else None


def _centre(wave: np.ndarray, start: float, end: float) -> float:
  """Where the energy between two times lies, s; NaN in silence."""
  rate = timing.SAMPLE_RATE
  part = wave[round(start * rate) : round(end * rate)]
  power = np.square(part, dtype=np.float64).mean(axis=1)
  if power.max() <= _SILENT:
    return float("nan")
  return start + float(power @ np.arange(len(power)) / power.sum()) / rate


def _moved(wave: np.ndarray, event: tuple[float, float]) -> np.ndarray:
  """The wave with an event's sound where the event is moved to."""
  rate = timing.SAMPLE_RATE
  first = round((event[0] - _MARGIN / 2) * rate)
  last = round((event[1] + _MOVE + _MARGIN / 2) * rate)
  moved = wave.copy()
  moved[first:last] = np.roll(wave[first:last], round(_MOVE * rate), axis=0)
  return moved


def _lowered(curve: loudness_lib.Loudness) -> loudness_lib.Loudness:
  left, right = curve.gain(_LOWER).lufs[:, 0], curve.lufs[:, 1]
  return dataclasses.replace(curve, lufs=np.stack([left, right], axis=1))


def _balances(clips, waves):
  """`_first_to_second` of every wave, per clip and seed."""
  return [
    [_first_to_second(clip, wave) for wave in made]
    for clip, made in zip(clips, waves, strict=True)
  ]


def _first_to_second(clip: stand_lib.Clip, wave: np.ndarray) -> float:
  """Energy of the first source against the second's, dB; NaN in silence."""
  heard = spectral.source_energies(clip.heard.stems, wave)
  return heard.ratio_db(0, 1) if heard.energy.any() else float("nan")


def _both_named(staged: scene.Scene) -> bool:
  """Whether either thing is, at some time, more in the frame than out of it."""
  return bool((truth.objects(staged).probability.max(axis=0) > 0.5).all())


def _two_tracks(clip: stand_lib.Clip) -> list[cues.Track]:
  """One under a mask, one with words and events, neither at unity gain."""
  masked = truth.masks(clip.staged, [0])
  events = truth.events(clip.heard, [1])
  words = stand_lib.caption(clip)
  return [
    cues.Track(masks=masked, gain_db=-3.0, pan=-0.5),
    cues.Track(text=words, events=events, gain_db=2.0, pan=0.4),
  ]
