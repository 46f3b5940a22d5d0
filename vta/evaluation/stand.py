"""What suites stand on: held-out scenes, rendered, and sounds made for them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tqdm

from vta.data.yard import picture, scene, sound, stage
from vta.data.yard.captions import captions
from vta.evaluation import rows as rows_lib
from vta.inference import generator as generator_lib
from vta.inference import job as job_lib
from vta.media import read
from vta.metrics import spectral
from vta.signals import cues

DURATION = 5.0  # of every clip, seconds
_SEED = 20_260  # of the scenes; the splits are held out by seed and by cast
_BATCH = 8
# Of two sources that can be compared: cosine of spectra, difference in dB.
_APART, _ALIKE = 0.7, 12.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
  """A held-out scene, rendered."""

  staged: scene.Scene
  heard: sound.SceneSound
  frames: read.Frames


class Stand:
  """One generator, and the scenes that it is tested on.

  Attributes:
    generator: what is tested.
    settings: how it samples.
    seeds: of the generation; every test is the mean over them.
  """

  def __init__(
    self,
    generator: generator_lib.Generator,
    settings: generator_lib.Settings,
    *,
    clips: int,
    seeds: Sequence[int],
  ):
    """`clips` is how many scenes each test draws."""
    self.generator = generator
    self.settings = settings
    self.seeds = tuple(seeds)
    self._clips = clips

  def scenes(
    self, wanted: Callable[[scene.Scene], bool], *, split: str = "test"
  ) -> Iterator[scene.Scene]:
    """Scenes of the split that a test can use, in order."""
    index = 0
    while True:
      staged = stage.sample_scene(_SEED, index, split=split, duration=DURATION)
      if wanted(staged):
        yield staged
      index += 1

  def draw(
    self,
    wanted: Callable[[scene.Scene], bool],
    *,
    audible: Callable[[Clip], bool] = lambda _: True,
  ) -> list[Clip]:
    """As many clips of scenes that a test can use as it is to have."""
    rendered = (self.render(staged) for staged in self.scenes(wanted))
    return list(itertools.islice(filter(audible, rendered), self._clips))

  def render(self, staged: scene.Scene) -> Clip:
    """A scene as the generator sees it and as it truly sounds."""
    times = self.generator.reader.frame_times(DURATION)
    images = picture.render_frames(
      staged, times=times, size=self.generator.reader.frame_size
    )
    report = read.FrameReport(
      duration=DURATION,
      fps=self.generator.reader.frame_rate,
      decoded=len(times),
      duplicated=0,
      missing=0,
    )
    return Clip(
      staged=staged,
      heard=sound.render_sound(staged),
      frames=read.Frames(times=times, images=images, report=report),
    )

  def generate(
    self,
    clips: Sequence[Clip],
    track: Callable[[Clip], cues.Track],
    *,
    pictures: bool = True,
    afresh: bool = False,
  ) -> list[list[np.ndarray]]:
    """Per clip one wave per seed, under the track that `track` makes of it.

    Args:
      clips: what is scored.
      track: what is asked for.
      pictures: whether the generator sees the clip.
      afresh: from other seeds, what changes when nothing else does.
    """
    later = len(self.seeds) if afresh else 0
    jobs = [
      job_lib.Job(
        duration=DURATION,
        frames=clip.frames if pictures else None,
        track=track(clip),
        seed=seed + later,
      )
      for clip in clips
      for seed in self.seeds
    ]
    waves = []
    for i in range(0, len(jobs), _BATCH):
      waves += self.generator.generate(jobs[i : i + _BATCH], self.settings)
    size = len(self.seeds)
    return [waves[i : i + size] for i in range(0, len(waves), size)]


def run(
  tests: Sequence[Callable[[], Sequence[rows_lib.Row]]],
) -> list[rows_lib.Row]:
  """The rows of all tests, in order, with a bar."""
  rows: list[rows_lib.Row] = []
  for test in tqdm.tqdm(tests, unit="test"):
    rows += test()
  return rows


def caption(clip: Clip) -> str:
  """Words for the clip, the same whenever they are asked for."""
  rng = np.random.default_rng(clip.staged.index)
  return captions(clip.staged, rng=rng, count=1)[0]


def two_in_view(staged: scene.Scene) -> bool:
  """Whether two things are seen, neither of which fills the frame."""
  return len(staged.sources) == 2 and all(
    source.on_screen and np.isfinite(source.extent).all()
    for source in staged.sources
  )


def comparable(clip: Clip) -> bool:
  """Whether two sources differ in spectrum and hardly in level.

  Otherwise a test of which is louder would be passed by the scene.
  """
  heard = spectral.source_energies(clip.heard.stems, clip.heard.wave)
  level = 10 * np.log10(np.mean(np.square(clip.heard.stems), (1, 2)) + 1e-9)
  return bool(heard.overlap < _APART and abs(level[0] - level[1]) < _ALIKE)
