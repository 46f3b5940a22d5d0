"""The data card: what a prepared set holds, from where, and how it sounds."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data_prep import checks as checks_lib
from vta import files

_WIDTH = 7.0  # inches
_DPI = 110
_COLOUR = "#0072b2"  # Okabe and Ito's blue
_CLASSES = 40  # that are drawn and listed; the manifest has them all


def write(
  out: pathlib.Path,
  manifest: Mapping[str, Any],
  *,
  durations: Sequence[float],
  loudness: Sequence[float],
) -> None:
  """Writes README.md and its pictures.

  Args:
    out: the folder of the prepared set.
    manifest: what `manifest.make` made.
    durations: of the clips that are used, s.
    loudness: of those that are above the gate, integrated, LUFS.

  Raises:
    InputError: nothing can be written there.
  """
  labels = manifest["statistics"]["labels"]
  pictures = []
  for name, values, unit in (
    ("duration", durations, "duration of a clip (s)"),
    ("loudness", loudness, "integrated loudness of a clip (LUFS)"),
  ):
    if len(values):
      _histogram(out / f"{name}.png", values, unit)
      pictures.append(name)
  if labels:
    _bars(out / "classes.png", dict(list(labels.items())[:_CLASSES]))
    pictures.append("classes")
  with files.atomic_path(out / "README.md") as temporary:
    temporary.write_text(_text(manifest, pictures), encoding="utf-8")


def _text(manifest: Mapping[str, Any], pictures: Sequence[str]) -> str:
  about, statistics = manifest["set"], manifest["statistics"]
  lines = [f"# {about['name']} {about['version']}, prepared for vta", ""]
  for part in (about["description"], about["homepage"]):
    lines += [part, ""] if part else []
  lines += _table(
    ("split", "entries", "clips used", "records", "hours", "GB", "shards"),
    [
      (
        split,
        row["entries"],
        row["clips"],
        row["records"],
        f"{row['seconds'] / 3600:.3f}",
        f"{row['bytes'] / 1e9:.3f}",
        row["shards"],
      )
      for split, row in manifest["splits"].items()
    ],
  )
  lines += [
    f"The clips come from {statistics['sources']} sources; no source is on two "
    "sides. manifest.json has all numbers, and the digest of every shard.",
    "",
    "## Left out",
    "",
  ]
  if manifest["left_out"]:
    lines += _table(
      ("reason", "what it means", "count"),
      [
        (f"`{reason}`", checks_lib.REASONS[reason], count)
        for reason, count in manifest["left_out"].items()
      ],
    )
    lines += ["quarantine.json names each of them.", ""]
  else:
    lines += ["Nothing.", ""]
  lines += ["## What it holds", ""]
  for name in pictures:
    lines += [f"![{name}]({name}.png)", ""]
  lines += _table(
    ("", "mean", "least", "median", "most"),
    [
      (
        words,
        *(f"{statistics[name][k]:g}" for k in ("mean", "least", "median")),
        f"{statistics[name]['most']:g}",
      )
      for name, words in (
        ("duration", "duration, s"),
        ("loudness", "loudness, LUFS"),
        ("clipped", "share at full scale"),
        ("fps", "frames a second"),
      )
      if name in statistics
    ],
  )
  for name, words in (
    ("channels", "Channels of the sound"),
    ("rates", "Its samples a second"),
  ):
    found = statistics[name].items()
    lines += [f"{words}: {_listed(found)}.", ""]
  classes = statistics["labels"]
  if classes:
    shown = list(classes.items())[:_CLASSES]
    more = len(classes) - len(shown)
    lines += [
      f"{len(classes)} classes: {_listed(shown)}"
      + (f", and {more} more." if more else "."),
      "",
    ]
  lines += ["## Licences", ""]
  if about["licence"]:
    lines += [f"Of the set: {about['licence']}.", ""]
  lines += ["Of the clips used, as the set gives them:", ""]
  lines += _table(("licence", "clips"), statistics["licences"].items())
  lines += ["## How it was made", "", "By `python -m data_prep.prepare`.", ""]
  lines += _table(
    ("setting", "value"),
    [(f"`{k}`", _value(v)) for k, v in manifest["configuration"].items()],
  )
  lines += _table(
    ("library", "version"),
    [(k, ", ".join(v)) for k, v in manifest["versions"].items()],
  )
  if about["citation"]:
    lines += ["## Citation", "", "```", about["citation"], "```", ""]
  return "\n".join(lines)


def _value(value: Any) -> str:
  if isinstance(value, Mapping):
    return ", ".join(f"{k} {v}" for k, v in value.items())
  return "none" if value is None else str(value)


def _listed(rows) -> str:
  return ", ".join(f"{name} ({count})" for name, count in rows)


def _table(head, rows) -> list[str]:
  def line(cells):
    # A licence or a label may hold what ends a cell.
    return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"

  return [line(head), "|" + "---|" * len(head), *map(line, rows), ""]


def _histogram(path: pathlib.Path, values: Sequence[float], unit: str) -> None:
  figure, axis = _figure(2.6)
  axis.hist(values, bins=40, color=_COLOUR)
  axis.set_xlabel(unit)
  axis.set_ylabel("clips")
  _save(path, figure)


def _bars(path: pathlib.Path, counts: Mapping[str, int]) -> None:
  figure, axis = _figure(0.8 + 0.18 * len(counts))
  axis.barh(range(len(counts)), list(counts.values()), color=_COLOUR)
  # Names are the set's own: a dollar sign is no formula.
  names = [name.replace("$", r"\$") for name in counts]
  axis.set_yticks(range(len(counts)), names, fontsize="small")
  axis.invert_yaxis()
  axis.set_xlabel("clips")
  _save(path, figure)


def _figure(height: float) -> tuple[Figure, Axes]:
  figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
  FigureCanvasAgg(figure)
  axis = figure.subplots()
  for side in ("top", "right"):
    axis.spines[side].set_visible(False)
  return figure, axis


def _save(path: pathlib.Path, figure: Figure) -> None:
  with files.atomic_path(path) as temporary:
    figure.savefig(temporary, format="png")
