"""The yard suite: does the model do what it is asked, against exact truth?

Every test draws held-out scenes of the kind it needs, generates under the
conditions it is about, and scores the sound against the scene. No test looks
at how good a sound is; each asks whether one control works.
"""

from __future__ import annotations

import math
import time

import numpy as np

from vta.data.yard import scene, sound, truth
from vta.evaluation import material
from vta.evaluation import rows as rows_lib
from vta.evaluation import stand as stand_lib
from vta.inference import job as job_lib
from vta.metrics import intervals, onsets, spectral, stereo
from vta.metrics import loudness as loudness_metric
from vta.signals import cues, timing
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib

_EVENT_RATE = 100.0
# The classifier's materials: what the yard strikes.
_MATERIALS = ("wood", "metal", "glass", "stone", "plastic", "drum skin")


class YardSuite:
  """The tests, on one stand."""

  def __init__(self, stand: stand_lib.Stand):
    self._stand = stand

  def run(self) -> list[rows_lib.Row]:
    """All tests, in the order of the model card."""
    return stand_lib.run(
      (
        self._codec,
        self._sync,
        self._events,
        self._loudness,
        self._masks,
        self._material,
        self._pan,
        self._speed,
      )
    )

  def _codec(self) -> list[rows_lib.Row]:
    """Reconstruction against silence and against an untrained codec."""
    clips = self._stand.draw(lambda s: bool(s.sources))
    codec = self._stand.generator
    untrained = codec.untrained_codec()
    made_of = [[codec.reconstruct(clip.heard.wave)] for clip in clips]
    table = {"the codec": [], "silence": [], "an untrained codec": []}
    for clip, (reconstruction,) in zip(clips, made_of, strict=True):
      wave = clip.heard.wave
      for name, made in (
        ("the codec", reconstruction),
        ("silence", np.zeros_like(wave)),
        ("an untrained codec", untrained(wave)),
      ):
        table[name].append(spectral.log_spectral_distance(wave, made))
    curves = [truth.loudness(clip.heard) for clip in clips]
    limit = rows_lib.Row(
      name="LUFS error of the codec (its limit)",
      unit="LU",
      values=rows_lib.scored(_lufs_error, curves, made_of),
    )
    distances = [
      rows_lib.Row(
        name=f"log-spectral distance of {name}", unit="dB", values=tuple(values)
      )
      for name, values in table.items()
    ]
    return [*distances, limit]

  def _sync(self) -> list[rows_lib.Row]:
    """Onsets from the picture alone; against another clip's; the detector's."""
    clips = self._stand.draw(_strikes_in_view)
    waves = self._stand.generate(clips, lambda _: cues.Track())
    truths = [truth.onsets(clip.staged) for clip in clips]
    shuffled = [*truths[1:], truths[0]]

    def f1(reference, wave):
      return onsets.score(reference, onsets.librosa_onsets(wave)).f1

    return [
      rows_lib.Row(
        name="onset F1 +-0.1 s, picture alone",
        unit="",
        values=rows_lib.scored(f1, truths, waves),
        aim=">= 0.80",
      ),
      rows_lib.Row(
        name="onset F1, shuffled videos",
        unit="",
        values=rows_lib.scored(f1, shuffled, waves),
        aim="<= 0.35",
      ),
      rows_lib.Row(
        name="onset F1 of the true sound (the detector's limit)",
        unit="",
        values=tuple(
          f1(t, c.heard.wave) for t, c in zip(truths, clips, strict=True)
        ),
      ),
    ]

  def _events(self) -> list[rows_lib.Row]:
    """Sounding or not, with a prompt, with and without events."""
    clips = self._stand.draw(lambda s: bool(s.sources))
    prompt = {id(clip): stand_lib.caption(clip) for clip in clips}
    times = timing.centres(int(stand_lib.DURATION * _EVENT_RATE), _EVENT_RATE)

    def iou(clip, wave):
      return intervals.event_iou(
        events_lib.to_binary(truth.events(clip.heard), times),
        events_lib.to_binary(events_lib.from_wave(wave), times),
      )

    rows = []
    for name, aim, track in (
      (
        "event IoU, text and events",
        ">= 0.66",
        lambda c: cues.Track(text=prompt[id(c)], events=truth.events(c.heard)),
      ),
      (
        "event IoU, text without events",
        None,
        lambda c: cues.Track(text=prompt[id(c)]),
      ),
    ):
      waves = self._stand.generate(clips, track, pictures=False)
      values = rows_lib.scored(iou, clips, waves)
      rows.append(rows_lib.Row(name=name, unit="", values=values, aim=aim))
    values = tuple(iou(clip, clip.heard.wave) for clip in clips)
    return [
      *rows,
      rows_lib.Row(name="event IoU of the true sound", unit="", values=values),
    ]

  def _loudness(self) -> list[rows_lib.Row]:
    """The distance of the obtained curve from the one that was given."""
    clips = self._stand.draw(lambda s: bool(s.sources))
    curves = [truth.loudness(clip.heard) for clip in clips]
    given = {id(c): curve for c, curve in zip(clips, curves, strict=True)}
    waves = self._stand.generate(
      clips, lambda c: cues.Track(loudness=given[id(c)])
    )

    def correlation(curve, wave):
      score = loudness_metric.compare(curve, loudness_lib.momentary(wave))
      return rows_lib.mean(score.correlation)

    return [
      rows_lib.Row(
        name="LUFS error, picture and curve",
        unit="LU",
        values=rows_lib.scored(_lufs_error, curves, waves),
        aim="<= 3",
      ),
      rows_lib.Row(
        name="LUFS correlation, picture and curve",
        unit="",
        values=rows_lib.scored(correlation, curves, waves),
        aim=">= 0.9",
      ),
    ]

  def _masks(self) -> list[rows_lib.Row]:
    """Energy of the source outside the mask relative to the one inside.

    Of scenes whose two sources are told apart by their spectra and are about
    as loud as each other, or the test would be passed by the scene.
    """

    def outside(clip, wave):
      heard = spectral.source_energies(clip.heard.stems, wave)
      return heard.ratio_db(1, 0) if heard.energy.any() else math.nan

    clips = self._stand.draw(
      stand_lib.two_in_view, audible=stand_lib.comparable
    )
    rows = []
    for name, aim, masked in (
      ("masked-out source, mask on the other", "<= -15", True),
      ("the same source without a mask", None, False),
    ):
      waves = self._stand.generate(
        clips,
        lambda c, masked=masked: cues.Track(
          masks=truth.masks(c.staged, [0]) if masked else None
        ),
      )
      values = rows_lib.scored(outside, clips, waves)
      rows.append(rows_lib.Row(name=name, unit="dB", values=values, aim=aim))
    true = tuple(outside(clip, clip.heard.wave) for clip in clips)
    return [
      *rows,
      rows_lib.Row(name="the same in the true sound", unit="dB", values=true),
    ]

  def _material(self) -> list[rows_lib.Row]:
    """Which material the sound is of, by a classifier of true sounds."""
    scenes = self._stand.scenes(_one_strike, split="train")
    training = [next(scenes) for _ in range(40 * len(_MATERIALS))]
    classifier = material.fit(
      [sound.render_sound(s).wave for s in training],
      [s.sources[0].material for s in training],
    )
    clips = self._stand.draw(_one_strike)
    prompt = {id(clip): stand_lib.caption(clip) for clip in clips}
    waves = self._stand.generate(
      clips, lambda c: cues.Track(text=prompt[id(c)])
    )

    def right(clip, wave):
      return float(classifier.classify(wave) == clip.staged.sources[0].material)

    return [
      rows_lib.Row(
        name="material right, picture and text",
        unit="",
        values=rows_lib.scored(right, clips, waves),
        aim=">= 0.80",
      ),
      rows_lib.Row(
        name="material of the true sound (the classifier's limit)",
        unit="",
        values=tuple(right(clip, clip.heard.wave) for clip in clips),
      ),
    ]

  def _pan(self) -> list[rows_lib.Row]:
    """Whether the sound comes from the side where its source is seen."""
    clips = self._stand.draw(_one_to_a_side)
    waves = self._stand.generate(clips, lambda _: cues.Track())

    def accuracy(clip, wave):
      return stereo.pan_sign(clip.heard.wave, wave).accuracy

    return [
      rows_lib.Row(
        name="pan sign right, picture alone",
        unit="",
        values=rows_lib.scored(accuracy, clips, waves),
        aim=">= 0.90",
      )
    ]

  def _speed(self) -> list[rows_lib.Row]:
    """Seconds of work per second of sound, compiled, one clip at a time."""
    clip = self._stand.render(
      next(self._stand.scenes(lambda s: bool(s.sources)))
    )
    job = job_lib.Job(
      duration=stand_lib.DURATION,
      frames=clip.frames,
      track=cues.Track(),
      seed=0,
    )
    generator, settings = self._stand.generator, self._stand.settings
    generator.generate([job], settings)
    values = []
    for _ in range(3):
      start = time.monotonic()
      generator.generate([job], settings)
      values.append((time.monotonic() - start) / stand_lib.DURATION)
    return [
      rows_lib.Row(
        name="time per second of sound", unit="s", values=tuple(values)
      )
    ]


def _lufs_error(curve, wave) -> float:
  score = loudness_metric.compare(curve, loudness_lib.momentary(wave))
  return rows_lib.mean(score.error)


def _strikes_in_view(staged: scene.Scene) -> bool:
  return len(truth.onsets(staged)) >= 2 and all(
    source.on_screen and len(source.contacts) for source in staged.sources
  )


def _one_strike(staged: scene.Scene) -> bool:
  return (
    len(staged.sources) == 1
    and staged.sources[0].kind == "impact"
    and staged.sources[0].on_screen
    and staged.sources[0].material in _MATERIALS
    and len(staged.sources[0].contacts) > 0
  )


def _one_to_a_side(staged: scene.Scene) -> bool:
  if len(staged.sources) != 1 or not staged.sources[0].on_screen:
    return False
  times = np.linspace(0.0, stand_lib.DURATION, 16)
  return bool(abs(truth.pan(staged, 0, times).mean()) > 0.25)
