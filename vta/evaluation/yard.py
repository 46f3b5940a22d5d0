"""The yard suite: does the model do what it is asked, against exact truth?

Every test draws held-out scenes of the kind it needs, generates under the
conditions it is about, and scores the sound against the scene. No test looks
at how good a sound is; each asks whether one control works.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tqdm

from vta.data.yard import picture, scene, sound, stage, truth
from vta.data.yard.captions import captions
from vta.evaluation import material
from vta.evaluation import rows as rows_lib
from vta.inference import generator as generator_lib
from vta.inference import job as job_lib
from vta.media import read
from vta.metrics import intervals, onsets, spectral, stereo
from vta.metrics import loudness as loudness_metric
from vta.signals import cues, timing
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib

DURATION = 5.0  # of every clip, seconds
_SEED = 20_260  # of the scenes; the splits are held out by seed and by cast
_BATCH = 8
_EVENT_RATE = 100.0
# Of two sources for the masks' test: cosine of spectra, difference in dB.
_APART, _ALIKE = 0.7, 12.0
# The classifier's materials: what the yard strikes.
_MATERIALS = ("wood", "metal", "glass", "stone", "plastic", "drum skin")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
  """A held-out scene, rendered."""

  staged: scene.Scene
  heard: sound.SceneSound
  frames: read.Frames


class YardSuite:
  """The tests, for one generator."""

  def __init__(
    self,
    generator: generator_lib.Generator,
    settings: generator_lib.Settings,
    *,
    clips: int,
    seeds: Sequence[int],
  ):
    """`seeds` are of the generation; every test is the mean over them."""
    self._generator = generator
    self._settings = settings
    self._clips = clips
    self._seeds = tuple(seeds)

  def run(self) -> list[rows_lib.Row]:
    """All tests, in the order of the model card."""
    tests = (
      self._codec,
      self._sync,
      self._events,
      self._loudness,
      self._masks,
      self._material,
      self._pan,
      self._speed,
    )
    rows: list[rows_lib.Row] = []
    for test in tqdm.tqdm(tests, unit="test"):
      rows += test()
    return rows

  def _scenes(
    self, wanted: Callable[[scene.Scene], bool], *, split: str = "test"
  ) -> Iterator[scene.Scene]:
    """Scenes of the split that a test can use, in order."""
    index = 0
    while True:
      staged = stage.sample_scene(_SEED, index, split=split, duration=DURATION)
      if wanted(staged):
        yield staged
      index += 1

  def _draw(
    self,
    wanted: Callable[[scene.Scene], bool],
    *,
    audible: Callable[[Clip], bool] = lambda _: True,
  ) -> list[Clip]:
    rendered = (self._render(staged) for staged in self._scenes(wanted))
    return list(itertools.islice(filter(audible, rendered), self._clips))

  def _render(self, staged: scene.Scene) -> Clip:
    times = self._generator.reader.frame_times(DURATION)
    images = picture.render_frames(
      staged, times=times, size=self._generator.system.frame_size
    )
    report = read.FrameReport(
      duration=DURATION,
      fps=self._generator.system.frame_rate,
      decoded=len(times),
      duplicated=0,
      missing=0,
    )
    return Clip(
      staged=staged,
      heard=sound.render_sound(staged),
      frames=read.Frames(times=times, images=images, report=report),
    )

  def _generate(
    self,
    clips: Sequence[Clip],
    track: Callable[[Clip], cues.Track],
    *,
    pictures: bool = True,
  ) -> list[list[np.ndarray]]:
    """Per clip one wave per seed, under the track that `track` makes of it."""
    jobs = [
      job_lib.Job(
        duration=DURATION,
        frames=clip.frames if pictures else None,
        track=track(clip),
        seed=seed,
      )
      for clip in clips
      for seed in self._seeds
    ]
    waves = []
    for i in range(0, len(jobs), _BATCH):
      waves += self._generator.generate(jobs[i : i + _BATCH], self._settings)
    size = len(self._seeds)
    return [waves[i : i + size] for i in range(0, len(waves), size)]

  def _codec(self) -> list[rows_lib.Row]:
    """Reconstruction against silence and against an untrained codec."""
    clips = self._draw(lambda s: bool(s.sources))
    untrained = self._generator.untrained_codec()
    made_of = [[self._generator.reconstruct(clip.heard.wave)] for clip in clips]
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
    clips = self._draw(_strikes_in_view)
    waves = self._generate(clips, lambda _: cues.Track())
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
    clips = self._draw(lambda s: bool(s.sources))
    prompt = {id(clip): _caption(clip) for clip in clips}
    times = timing.centres(int(DURATION * _EVENT_RATE), _EVENT_RATE)

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
      waves = self._generate(clips, track, pictures=False)
      values = rows_lib.scored(iou, clips, waves)
      rows.append(rows_lib.Row(name=name, unit="", values=values, aim=aim))
    values = tuple(iou(clip, clip.heard.wave) for clip in clips)
    return [
      *rows,
      rows_lib.Row(name="event IoU of the true sound", unit="", values=values),
    ]

  def _loudness(self) -> list[rows_lib.Row]:
    """The distance of the obtained curve from the one that was given."""
    clips = self._draw(lambda s: bool(s.sources))
    curves = [truth.loudness(clip.heard) for clip in clips]
    given = {id(c): curve for c, curve in zip(clips, curves, strict=True)}
    waves = self._generate(clips, lambda c: cues.Track(loudness=given[id(c)]))

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

    def comparable(clip):
      heard = spectral.source_energies(clip.heard.stems, clip.heard.wave)
      level = 10 * np.log10(np.mean(np.square(clip.heard.stems), (1, 2)) + 1e-9)
      return heard.overlap < _APART and abs(level[0] - level[1]) < _ALIKE

    def outside(clip, wave):
      heard = spectral.source_energies(clip.heard.stems, wave)
      return heard.ratio_db(1, 0) if heard.energy.any() else math.nan

    clips = self._draw(_two_in_view, audible=comparable)
    rows = []
    for name, aim, masked in (
      ("masked-out source, mask on the other", "<= -15", True),
      ("the same source without a mask", None, False),
    ):
      waves = self._generate(
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
    scenes = self._scenes(_one_strike, split="train")
    training = [next(scenes) for _ in range(40 * len(_MATERIALS))]
    classifier = material.fit(
      [sound.render_sound(s).wave for s in training],
      [s.sources[0].material for s in training],
    )
    clips = self._draw(_one_strike)
    prompt = {id(clip): _caption(clip) for clip in clips}
    waves = self._generate(clips, lambda c: cues.Track(text=prompt[id(c)]))

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
    clips = self._draw(_one_to_a_side)
    waves = self._generate(clips, lambda _: cues.Track())

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
    clip = self._render(next(self._scenes(lambda s: bool(s.sources))))
    job = job_lib.Job(
      duration=DURATION, frames=clip.frames, track=cues.Track(), seed=0
    )
    self._generator.generate([job], self._settings)
    values = []
    for _ in range(3):
      start = time.monotonic()
      self._generator.generate([job], self._settings)
      values.append((time.monotonic() - start) / DURATION)
    return [
      rows_lib.Row(
        name="time per second of sound", unit="s", values=tuple(values)
      )
    ]


def _lufs_error(curve, wave) -> float:
  score = loudness_metric.compare(curve, loudness_lib.momentary(wave))
  return rows_lib.mean(score.error)


def _caption(clip: Clip) -> str:
  rng = np.random.default_rng(clip.staged.index)
  return captions(clip.staged, rng=rng, count=1)[0]


def _strikes_in_view(staged: scene.Scene) -> bool:
  return len(truth.onsets(staged)) >= 2 and all(
    source.on_screen and len(source.contacts) for source in staged.sources
  )


def _two_in_view(staged: scene.Scene) -> bool:
  return len(staged.sources) == 2 and all(
    source.on_screen and np.isfinite(source.extent).all()
    for source in staged.sources
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
  times = np.linspace(0.0, DURATION, 16)
  return bool(abs(truth.pan(staged, 0, times).mean()) > 0.25)
