"""A table whose rows lie on an axis, as a picture."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping

from vta import files
from vta.evaluation import ablation as ablation_lib


def curve(
  path: str | os.PathLike,
  table: ablation_lib.Ablation,
  scores: Mapping[str, Mapping[str, ablation_lib.Scores]],
) -> None:
  """Writes one panel per measure: means, and deviations over seeds."""
  import matplotlib

  matplotlib.use("Agg")
  import matplotlib.pyplot as plt

  path = pathlib.Path(path)
  figure, panels = plt.subplots(
    1,
    len(table.measures),
    figsize=(4 * len(table.measures), 3),
    squeeze=False,
    layout="constrained",
  )
  for panel, measure in zip(panels[0], table.measures, strict=True):
    found = [scores[row.name][measure.name] for row in table.rows]
    panel.errorbar(
      [row.x for row in table.rows],
      [one.mean for one in found],
      yerr=[one.spread for one in found],
      marker="o",
      capsize=3,
    )
    better = "higher" if measure.higher else "lower"
    panel.set(
      xlabel=table.axis, ylabel=measure.name, title=f"{better} is better"
    )
    panel.grid(alpha=0.3)
  with files.atomic_path(path) as temporary:
    figure.savefig(temporary, format="png", dpi=120)
  plt.close(figure)
