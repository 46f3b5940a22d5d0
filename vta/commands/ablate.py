"""A paper's ablation table on the yard, next to the paper's own numbers.

Trains what is missing under --runs (a run that was interrupted goes on), then
generates every row for the same held-out clips and seeds, and prints measures,
spread over seeds, and whether each of the paper's directions holds. A training
of a `-yard` config takes 4 to 15 minutes on two CPU cores, a row of 24 clips
and 3 seeds about one. The yard's records come first: see docs/ablations.md.

Papers: tri_ergon, draw_an_audio, sonicvision, vta_sam, smooth_foley.

Examples:
  python -m vta ablate sonicvision --predictor runs/predictor/release
  python -m vta ablate vta_sam --predictor runs/predictor/release \\
      --trainings 3 --clips 48
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import math
import pathlib
import subprocess
import sys
import tempfile

from vta import errors, files
from vta.commands import arguments

PAPERS = (
  "tri_ergon",
  "draw_an_audio",
  "sonicvision",
  "vta_sam",
  "smooth_foley",
)
_ROOT = pathlib.Path(__file__).parents[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument("paper", choices=PAPERS, metavar="PAPER")
  parser.add_argument(
    "--runs",
    type=pathlib.Path,
    default=pathlib.Path("runs/ablate"),
    metavar="DIR",
    help="where trainings go and are looked for (default: runs/ablate)",
  )
  parser.add_argument(
    "--data",
    type=pathlib.Path,
    default=pathlib.Path("data/yard"),
    metavar="DIR",
    help="folder with the records latents and seen, and -validation of both "
    "(default: data/yard)",
  )
  parser.add_argument(
    "--predictor",
    type=pathlib.Path,
    required=True,
    metavar="DIR",
    help="the predictor's release that the records were seen by",
  )
  parser.add_argument(
    "--codec",
    type=pathlib.Path,
    default=_ROOT / "vta/starter",
    metavar="DIR",
    help="release whose codec the latents are of (default: the starter)",
  )
  parser.add_argument(
    "--trainings",
    type=arguments.whole(1),
    default=1,
    metavar="N",
    help="of each row, with seeds 0 and on; a frozen base is trained once "
    "(default: 1)",
  )
  parser.add_argument(
    "--clips",
    type=arguments.whole(2),
    default=24,
    metavar="N",
    help="held-out clips per table (default: 24)",
  )
  parser.add_argument(
    "--repeats",
    type=arguments.whole(1),
    default=3,
    metavar="N",
    help="generations per clip and training (default: 3)",
  )
  parser.add_argument(
    "--out",
    type=pathlib.Path,
    default=pathlib.Path("out/ablate"),
    metavar="DIR",
    help="folder for PAPER.md, PAPER.json and curves (default: out/ablate)",
  )


def run(args: argparse.Namespace) -> int:
  """Trains what is missing, scores, prints; returns 0."""
  from vta.evaluation import ablation, plots
  from vta.inference import compilation, heads, label_events

  paper = importlib.import_module(f"vta.evaluation.papers.{args.paper}")
  args.out.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory() as folder:
    runs = Runs(paper.TRAININGS, args, joined=pathlib.Path(folder) / "joined")
    for seed in range(args.trainings):
      for name in paper.TRAININGS:
        runs.ensure(name, seed)
    compilation.use_cache()
    labels = None
    if ablation.LABELS in paper.TRAININGS:
      labels = label_events.LabelReader(runs.release(ablation.LABELS, 0))
    props = ablation.Props(
      pathlib.Path(folder), heads=heads.Heads(args.predictor), labels=labels
    )
    texts, document = [], []
    for i, table in enumerate(paper.TABLES):
      scores = ablation.run(
        table,
        runs.release,
        props,
        trainings=args.trainings,
        clips=args.clips,
        repeats=args.repeats,
      )
      verdicts = [ablation.judge(claim, scores) for claim in table.claims]
      texts.append(ablation.table(table, scores, verdicts))
      print(texts[-1] + "\n", flush=True)
      document.append(_document(table, scores, verdicts))
      if table.axis:
        plots.curve(args.out / f"{args.paper}-{i}.png", table, scores)
  with files.atomic_path(args.out / f"{args.paper}.md") as temporary:
    temporary.write_text("\n\n".join(texts) + "\n")
  settings = {"clips": args.clips, "repeats": args.repeats}
  settings["trainings"] = args.trainings
  with files.atomic_path(args.out / f"{args.paper}.json") as temporary:
    whole = {"paper": args.paper, **settings, "tables": document}
    temporary.write_text(json.dumps(whole, indent=2) + "\n")
  return 0


class Runs:
  """A paper's trainings: where their releases are, and how they get there."""

  def __init__(self, trainings, args, *, joined: pathlib.Path):
    """`joined` is a folder for what is put together of several, anew."""
    self._trainings = trainings
    self._args = args
    self._joined = joined

  def release(self, name: str, seed: int) -> pathlib.Path:
    """Where a training's release is; bases and the labels' train once."""
    from vta.evaluation import ablation

    if self._trainings[name].joins:
      return self._joined / f"{name}-{seed}"
    once = {training.base for training in self._trainings.values()}
    once.add(ablation.LABELS)
    known = f"{name}-{0 if name in once else seed}"
    return self._args.runs / known / "release"

  def ensure(self, name: str, seed: int) -> None:
    """Trains, or joins, what is not there.

    Raises:
      InputError: the training failed, it has said why; or what is there was
        trained by another config, which is named.
    """
    training, release = self._trainings[name], self.release(name, seed)
    if training.joins:
      self._join(training, seed, release)
      return
    overrides = self._overrides(name, seed)
    if (release / "config.json").exists():
      from vta.training import configs, loop

      config = configs.load(_location(training), overrides)
      loop.check_config(release.parent / loop.CONFIG, config)
      return
    command = [sys.executable, "-m", "vta", "train"]
    command += ["--config", _location(training)]
    command += ["--workdir", str(release.parent)]
    for override in overrides:
      command += ["--set", override]
    print("$", " ".join(command[1:]), flush=True)
    code = subprocess.run(command, check=False).returncode
    if code:
      raise errors.InputError(
        release.parent, f"training ended with code {code}"
      )

  def _join(self, training, seed: int, out: pathlib.Path) -> None:
    from vta.training import modules

    added = [self.release(other, seed) for other in training.joins]
    modules.join(
      self.release(training.base, seed),
      [(one.with_name(modules.FOLDER), 1.0) for one in added],
      out,
    )

  def _overrides(self, name: str, seed: int) -> list[str]:
    """What a person would `--set`."""
    from vta.training import configs

    args, training = self._args, self._trainings[name]
    config = configs.load(_location(training), [])

    def here(folders):
      """Of the config's own folders, those of the same names under --data."""
      return tuple(str(args.data / pathlib.Path(f).name) for f in folders)

    values = {
      "seed": seed,
      "data.train": here(config.data.train),
      "data.validation": here(config.data.validation),
    }
    if "codec" in config:
      values["codec"] = args.codec
    if config.frames_from:
      values["frames_from"] = args.predictor
    if training.base:
      values["base_from"] = self.release(training.base, seed)
    return [f"{key}={value}" for key, value in values.items()]


def _location(training) -> str:
  return str(_ROOT / "configs" / training.config)


def _document(table, scores, verdicts) -> dict:
  """A table as JSON."""

  papers = {row.name: row.paper for row in table.rows}

  def plain(values):
    return [float(v) if math.isfinite(v) else None for v in values]

  return {
    "title": table.title,
    "rows": [
      {
        "name": name,
        "paper": dict(zip(table.columns, papers.get(name, ()), strict=False)),
        "values": {
          measure: plain(score.values()) for measure, score in found.items()
        },
      }
      for name, found in scores.items()
    ],
    "claims": [
      {
        "better": verdict.claim.better,
        "worse": verdict.claim.worse,
        "measure": verdict.claim.measure.name,
        **{
          k: v for k, v in dataclasses.asdict(verdict).items() if k != "claim"
        },
        "verdict": verdict.word,
      }
      for verdict in verdicts
    ],
  }
