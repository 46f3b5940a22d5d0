"""Ablation tables: what they compute, and what they say of it."""

import importlib
import json
import types

import numpy as np
import pytest
import tiny_release

from vta import cli, errors
from vta.commands import ablate
from vta.evaluation import ablation, measures, plots
from vta.evaluation import stand as stand_lib
from vta.inference import generator, heads
from vta.signals import cues
from vta.training import configs, modules


class Oracle(stand_lib.Stand):
  """A stand whose generator makes the true sound, softer by its settings."""

  def generate(self, clips, track, *, pictures=True, afresh=False):
    for clip in clips:
      assert isinstance(track(clip), cues.Track)
    gain = 10.0 ** (self.settings.steps / 20.0)
    return [
      [np.float32(gain) * clip.heard.wave for _ in self.seeds] for clip in clips
    ]


def row(name, training, gain, **more):
  return ablation.Row(
    name=name,
    training=training,
    track=lambda clip, props: cues.Track(),
    settings={"steps": gain},  # what the oracle makes of it
    **more,
  )


TABLE = ablation.Ablation(
  title="Levels",
  columns=("FD", "KL"),
  wanted=lambda staged: bool(staged.sources),
  rows=(
    row("as it is", "one", 0, paper=("1.5", "2"), x=0.0),
    row("softer", "other", -12, paper=("9.0",), x=1.0),
  ),
  measures=(measures.DISTANCE, measures.LUFS, measures.LUFS_CORRELATION),
  claims=(
    ablation.Claim(better="as it is", worse="softer", measure=measures.LUFS),
    ablation.Claim(better="softer", worse="as it is", measure=measures.LUFS),
    ablation.Claim(
      better="as it is", worse="softer", measure=measures.LUFS_CORRELATION
    ),
  ),
)


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
  patch = pytest.MonkeyPatch()
  patch.setattr(ablation.stand, "Stand", Oracle)
  tiny = generator.Generator(tiny_release.folder())
  patch.setattr(ablation.generator_lib, "Generator", lambda folder: tiny)
  asked = []

  def release(name, seed):
    asked.append((name, seed))
    return folder / name

  folder = tmp_path_factory.mktemp("props")
  props = ablation.Props(folder, heads=heads.Heads(generator.STARTER))
  made = ablation.run(TABLE, release, props, trainings=2, clips=3, repeats=2)
  patch.undo()
  assert asked == [("one", 0), ("other", 0), ("one", 1), ("other", 1)]
  return made


def test_rows_are_scored_over_trainings_and_seeds(scores):
  right, softer = scores["as it is"], scores["softer"]
  name = measures.LUFS.name
  assert right[name].made.shape == (4, 3)
  assert right[name].mean == pytest.approx(0.0, abs=1e-5)
  assert softer[name].mean == pytest.approx(12.0, abs=2.0)
  assert softer[name].spread == 0.0
  name = measures.DISTANCE.name
  # Of traces near 1e5 the rounding is left over.
  assert right[name].mean == pytest.approx(0.0, abs=0.1)
  assert softer[name].mean > 100.0
  assert softer[name].values(np.array([0, 0, 1])).shape == (4,)


def test_a_claim_holds_is_reversed_or_is_not_resolved(scores):
  words = [ablation.judge(claim, scores).word for claim in TABLE.claims]
  assert words[:2] == ["holds", "reversed"]
  first = ablation.judge(TABLE.claims[0], scores)
  assert first.low <= first.difference <= first.high
  same = ablation.Claim(
    better="as it is", worse="as it is", measure=measures.LUFS
  )
  assert ablation.judge(same, scores).word == "not resolved"


def test_the_table_has_ours_theirs_and_the_verdicts(scores, tmp_path):
  verdicts = [ablation.judge(claim, scores) for claim in TABLE.claims]
  text = ablation.table(TABLE, scores, verdicts)
  assert "| paper: FD | paper: KL |" in text
  (line,) = [x for x in text.splitlines() if x.startswith("| softer")]
  assert line.endswith("| 9.0 |  |")
  assert "as it is over softer by LUFS error, LU: **holds** (+1" in text
  plots.curve(tmp_path / "curve.png", TABLE, scores)
  assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def evidence(values):
  return ablation.Scores(
    made=np.array(values), true=np.zeros(4), measure=measures.EVENTS
  )


def test_a_difference_is_paired_by_clips():
  """Clips differ by far more than conditions do, and no clip disagrees."""
  worse = np.array([[0.1, 0.4, 0.6, 0.9]])
  scores = {
    "with": {measures.EVENTS.name: evidence(worse + 0.02)},
    "without": {measures.EVENTS.name: evidence(worse)},
  }
  claim = ablation.Claim(
    better="with", worse="without", measure=measures.EVENTS
  )
  verdict = ablation.judge(claim, scores)
  assert verdict.word == "holds"
  assert verdict.low == pytest.approx(0.02)


@pytest.mark.parametrize("name", ablate.PAPERS)
def test_every_paper_s_tables_are_of_its_trainings(name, tmp_path):
  paper = importlib.import_module(f"vta.evaluation.papers.{name}")
  for table in paper.TABLES:
    rows = {row.name for row in table.rows}
    assert len(rows) == len(table.rows)
    assert {row.training for row in table.rows} <= paper.TRAININGS.keys()
    named = {measure.name for measure in table.measures}
    for claim in table.claims:
      assert {claim.better, claim.worse} <= rows
      assert claim.measure.name in named
    for row in table.rows:
      assert len(row.paper) in (0, len(table.columns))
      assert bool(table.axis) == np.isfinite(row.x)
  runs = ablate.Runs(paper.TRAININGS, cli_args(tmp_path), joined=tmp_path)
  for key, training in paper.TRAININGS.items():
    if training.joins:
      continue
    location = ablate._location(training)
    config = configs.load(location, runs._overrides(key, 1))
    assert config.seed == 1
    assert config.data.train[0].startswith(str(tmp_path / "data"))
    if training.base:
      folder = tmp_path / f"{training.base}-0/release"
      assert config.base_from == str(folder)
      assert runs.release(training.base, 1) == folder


def cli_args(folder):
  return types.SimpleNamespace(
    runs=folder,
    data=folder / "data",
    predictor=folder / "predictor",
    codec=folder / "codec",
  )


@pytest.fixture
def runs(tmp_path):
  """Two modules on a base, and both together; all have been trained."""
  trainings = {
    "text": ablation.Training(config="composed.py:text-yard"),
    "one": ablation.Training(
      config="composed.py:sonicvision-yard", base="text"
    ),
    "both": ablation.Training(base="text", joins=("one", "one")),
  }
  made = ablate.Runs(trainings, cli_args(tmp_path), joined=tmp_path / "joined")
  for name in ("text", "one"):
    release = made.release(name, 0)
    release.mkdir(parents=True)
    (release / "config.json").write_text("{}")
    config = configs.load(
      ablate._location(trainings[name]), made._overrides(name, 0)
    )
    text = config.to_json_best_effort()
    (release.parent / "config.json").write_text(text)
  return made


def test_what_was_trained_is_not_trained_again(runs, monkeypatch):
  monkeypatch.setattr(ablate.subprocess, "run", None)
  runs.ensure("text", 0)
  runs.ensure("one", 0)


@pytest.mark.parametrize("field", ["steps", "codec"])
def test_what_another_config_trained_is_refused(runs, field):
  path = runs.release("one", 0).parent / "config.json"
  document = json.loads(path.read_text())
  path.write_text(json.dumps({**document, field: 3}))
  runs.ensure("text", 0)
  with pytest.raises(errors.InputError, match=f"trained with other {field}"):
    runs.ensure("one", 0)


def test_modules_are_joined_to_their_base_anew(runs, tmp_path, monkeypatch):
  asked = []
  monkeypatch.setattr(modules, "join", lambda *given: asked.append(given))
  for _ in range(2):
    runs.ensure("both", 1)
  module = tmp_path / "one-1/module", 1.0
  base, out = tmp_path / "text-0/release", tmp_path / "joined/both-1"
  assert asked == [(base, [module, module], out)] * 2
  assert runs.release("both", 1) == out


def test_a_training_that_cannot_start_is_one_line(tmp_path, capfd):
  code = cli.main(
    [
      *("ablate", "sonicvision", "--runs", str(tmp_path / "runs")),
      *("--data", str(tmp_path), "--predictor", str(tmp_path)),
      *("--out", str(tmp_path / "out")),
    ]
  )
  said = capfd.readouterr().err.strip().splitlines()
  assert code == 2
  assert "holds no *.array_record shard" in said[-2]
  assert said[-1].endswith("text-0: training ended with code 2")
