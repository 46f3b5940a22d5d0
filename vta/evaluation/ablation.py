"""Ablation tables: rows of conditions, scored on the same clips and seeds.

A paper's table is a claim about directions: this condition helps, that fusion
is better. Here each claim is a pair of rows and a measure, and its verdict is
the difference with a 95 % bootstrap interval over clips, both rows resampled
alike. "holds" and "reversed" are said only when zero is outside.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from vta.data.yard import scene
from vta.evaluation import measures as measures_lib
from vta.evaluation import stand
from vta.inference import generator as generator_lib
from vta.inference import heads as heads_lib
from vta.inference import label_events
from vta.media import write
from vta.signals import cues

_DRAWS = 500
LABELS = "labels"  # the training whose release says when a label sounds
# The row of every table that no denoiser can be better than, but by chance.
LIMIT = "the true sound through the codec"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
  """A run that rows are of.

  Attributes:
    config: file of configs/ and its argument.
    base: the training beside whose frozen release it trains.
    joins: no run of its own: what these added to `base`, put together.
  """

  config: str = ""
  base: str = ""
  joins: tuple[str, ...] = ()


class Props:
  """What tracks are made from besides the clip's truth.

  Attributes:
    heads: a predictor's, of loudness and events from the picture.
    labels: what says when a label sounds, for tables that ask for it.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    *,
    heads: heads_lib.Heads,
    labels: label_events.LabelReader | None = None,
  ):
    """`folder` is for recordings, which tracks name as files."""
    self._folder = folder
    self.heads = heads
    self.labels = labels

  def recording(self, clip: stand.Clip) -> pathlib.Path:
    """The clip's true sound as a file."""
    path = self._folder / f"{clip.staged.split}-{clip.staged.index}.wav"
    if not path.exists():
      write.write_wave(path, clip.heard.wave)
    return path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
  """One line of a table.

  Attributes:
    name: of the condition.
    training: whose release generates.
    track: what is asked for.
    pictures: whether the clip is seen.
    settings: fields of `generator.Settings` in place of the release's.
    paper: the paper's numbers, in the order of its columns.
    x: where the row lies on a curve.
  """

  name: str
  training: str
  track: Callable[[stand.Clip, Props], cues.Track]
  pictures: bool = True
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  paper: tuple[str, ...] = ()
  x: float = math.nan


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
  """That by `measure` the row `better` is better than the row `worse`."""

  better: str
  worse: str
  measure: measures_lib.Measure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ablation:
  """One table.

  Attributes:
    title: which of the paper's it stands beside.
    columns: the paper's measures.
    wanted: scenes that it is about.
    rows: in the paper's order.
    measures: ours.
    claims: what the paper's numbers say.
    audible: of the rendered clips, those that count.
    axis: what `Row.x` is, for a table that is a curve.
  """

  title: str
  columns: tuple[str, ...]
  wanted: Callable[[scene.Scene], bool]
  rows: tuple[Row, ...]
  measures: tuple[measures_lib.Measure, ...]
  claims: tuple[Claim, ...]
  audible: Callable[[stand.Clip], bool] = lambda _: True
  axis: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
  """Evidence of one measure: [seeds, clips, ...] and of the true sounds."""

  made: np.ndarray
  true: np.ndarray
  measure: measures_lib.Measure

  def values(self, clips: np.ndarray | None = None) -> np.ndarray:
    """One number per seed, of all clips or of those named."""
    chosen = slice(None) if clips is None else clips
    true = self.true[chosen]
    return np.array(
      [self.measure.value(seed[chosen], true) for seed in self.made]
    )

  @property
  def mean(self) -> float:
    return float(self.values().mean())

  @property
  def spread(self) -> float:
    """Standard deviation over seeds."""
    values = self.values()
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan


def run(
  ablation: Ablation,
  release: Callable[[str, int], pathlib.Path],
  props: Props,
  *,
  trainings: int,
  clips: int,
  repeats: int,
) -> dict[str, dict[str, Scores]]:
  """Generates and scores every row, training by training.

  Args:
    ablation: the table.
    release: where that of a training and its seed is.
    props: for the tracks.
    trainings: seeds that each training has been run with.
    clips: how many are drawn.
    repeats: generations of each clip by each release.

  Returns:
    row -> measure -> scores over trainings x repeats seeds, and of `LIMIT`.
  """
  drawn, found = None, {row.name: [] for row in ablation.rows}
  names = sorted({row.training for row in ablation.rows})
  bar = tqdm.tqdm(total=trainings * len(ablation.rows), unit="row")
  for seed, name in itertools.product(range(trainings), names):
    made = generator_lib.Generator(release(name, seed))
    seeds = range(seed * repeats, (seed + 1) * repeats)
    for row in ablation.rows:
      if row.training != name:
        continue
      settings = dataclasses.replace(made.settings, **row.settings)
      bench = stand.Stand(made, settings, clips=clips, seeds=seeds)
      if drawn is None:
        drawn = bench.draw(ablation.wanted, audible=ablation.audible)
        through = [[made.reconstruct(clip.heard.wave)] for clip in drawn]
        found[LIMIT] = [
          [score(measure, drawn, through) for measure in ablation.measures]
        ]
      waves = bench.generate(
        drawn,
        lambda clip, row=row: row.track(clip, props),
        pictures=row.pictures,
      )
      found[row.name].append(
        [score(measure, drawn, waves) for measure in ablation.measures]
      )
      bar.update()
  bar.close()
  return {
    name: {
      parts[0].measure.name: dataclasses.replace(
        parts[0], made=np.concatenate([part.made for part in parts])
      )
      for parts in zip(*rows, strict=True)
    }
    for name, rows in found.items()
  }


def score(
  measure: measures_lib.Measure,
  clips: Sequence[stand.Clip],
  waves: Sequence[Sequence[np.ndarray]],
) -> Scores:
  """Scores what a row made: per clip one wave per seed."""
  made = [
    [
      measure.of(clip, one[seed])
      for clip, one in zip(clips, waves, strict=True)
    ]
    for seed in range(len(waves[0]))
  ]
  true = [measure.of(clip, clip.heard.wave) for clip in clips]
  return Scores(made=np.array(made), true=np.array(true), measure=measure)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
  """A claim's difference, positive where it holds, and its 95 % interval."""

  claim: Claim
  difference: float
  low: float
  high: float

  @property
  def word(self) -> str:
    if self.low > 0.0:
      return "holds"
    return "reversed" if self.high < 0.0 else "not resolved"


def judge(claim: Claim, scores: Mapping[str, Mapping[str, Scores]]) -> Verdict:
  """`scores` is row -> measure -> scores."""
  name = claim.measure.name
  better, worse = scores[claim.better][name], scores[claim.worse][name]
  sign = 1.0 if claim.measure.higher else -1.0

  def difference(clips=None) -> float:
    return sign * (better.values(clips).mean() - worse.values(clips).mean())

  count, rng = len(better.true), np.random.default_rng(0)
  draws = [difference(rng.integers(count, size=count)) for _ in range(_DRAWS)]
  low, high = np.nanpercentile(draws, [2.5, 97.5])
  return Verdict(
    claim=claim, difference=difference(), low=float(low), high=float(high)
  )


def table(
  ablation: Ablation,
  scores: Mapping[str, Mapping[str, Scores]],
  verdicts: Sequence[Verdict],
) -> str:
  """A Markdown table with the paper's numbers beside ours, and the verdicts."""
  ours = [measure.name for measure in ablation.measures]
  theirs = [f"paper: {column}" for column in ablation.columns]
  lines = [
    f"### {ablation.title}",
    "",
    f"| | {' | '.join((*ours, *theirs))} |",
    "|" + "---|" * (1 + len(ours) + len(theirs)),
  ]
  papers = {row.name: row.paper for row in ablation.rows}
  for name, paper in (*papers.items(), (LIMIT, ())):
    cells = [_number(scores[name][measure]) for measure in ours]
    paper = [*paper, *[""] * (len(theirs) - len(paper))]
    lines.append(f"| {name} | {' | '.join((*cells, *paper))} |")
  lines += ["", "The paper's direction, and here (difference, 95 %):", ""]
  for verdict in verdicts:
    claim = verdict.claim
    lines.append(
      f"- {claim.better} over {claim.worse} by {claim.measure.name}: "
      f"**{verdict.word}** ({verdict.difference:+.3g}, {verdict.low:+.3g} to "
      f"{verdict.high:+.3g})"
    )
  return "\n".join(lines)


def _number(score: Scores) -> str:
  spread = score.spread
  return f"{score.mean:.3g}" + (
    "" if math.isnan(spread) else f" ± {spread:.2g}"
  )
