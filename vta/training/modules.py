"""Modules: what a paper adds to a frozen base, in a folder of its own.

A release of the preset `composed` that trained beside another (`base_from`)
has everything of its base, unchanged, and more. The more is a module: it is
saved alone, put onto the same base again, and stacked with other modules of
that base, each at a strength of its own. Smooth-Foley's two adapters are
trained like this, apart from each other (papers.md 5.1).

  config.json                        its rows of the table, the base's digest
  conditioner, denoiser.safetensors  what the base does not have
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import PyTree

from vta import errors
from vta.conditioning import composed
from vta.interop import release, trees

FOLDER = "module"  # beside the release
PRESET = "module"
_PARTS = ("conditioner", "denoiser")


def save(folder: pathlib.Path, *, whole: pathlib.Path, base: str) -> None:
  """Writes what a release has more than its base.

  Args:
    folder: made if missing.
    whole: a release that was trained beside the base.
    base: the base's release.
  """
  made, below = release.load(whole), release.load(base)
  known = below.config["conditioner"]["places"]
  rows = made.config["conditioner"]["places"]
  release.save(
    folder,
    config={
      "preset": PRESET,
      "base": _digest(below),
      "adds": [row for row in rows if row not in known],
      "conditioner": made.config["conditioner"],
      "control_depth": made.config["denoiser"]["control_depth"],
      "guidance": made.config["guidance"],
    },
    parts={
      part: trees.unflatten(_beyond(made.parts[part], below.parts[part]))
      for part in _PARTS
    },
    card=f"# A module for {base} without a card yet\n",
    like=dict.fromkeys(_PARTS, whole),
  )


def join(
  base: pathlib.Path,
  chosen: Sequence[tuple[pathlib.Path, float | None]],
  out: pathlib.Path,
) -> None:
  """Writes the release `base` with modules added.

  Guidance is that of the module whose groups name most features, the first of
  such.

  Args:
    base: a release of the preset `composed`.
    chosen: folders of modules, and the strength of each: None is its own.
    out: a folder; what else the release holds is copied.

  Raises:
    InputError: naming the module that is of another base, collides with one
      before it, or has no strength to choose.
  """
  held = release.load(base)
  if held.config.get("preset") != "composed":
    raise errors.InputError(
      base / "config.json", "preset: modules are for 'composed' alone"
    )
  modules = [(load(folder), strength) for folder, strength in chosen]
  mine = _digest(held)
  for module, _ in modules:
    if module.config["base"] != mine:
      raise errors.InputError(
        module.folder, f"was trained beside another base than {base}"
      )
  config, strengths = dict(held.config), {}
  config["conditioner"] = dict(config["conditioner"])
  tables = {part: trees.flatten(held.parts[part]) for part in _PARTS}
  for module, strength in modules:
    adds = module.config["adds"]
    for part in _PARTS:
      own = trees.flatten(module.parts.get(part, {}))
      if both := sorted(own.keys() & tables[part].keys()):
        raise errors.InputError(
          module.folder,
          f"{part}/{both[0]} is there already: two modules for one place",
        )
      tables[part] |= own
    places = [*config["conditioner"]["places"], *adds]
    # How frames are seen is the matter of the module that looks at them.
    if any(feature == "frames" for feature, _ in adds):
      config["conditioner"] |= module.config["conditioner"]
    config["conditioner"]["places"] = places
    strengths |= _strengths(module, adds, strength)
  config["denoiser"] = {
    **config["denoiser"],
    "control_depth": max(
      [config["denoiser"]["control_depth"]]
      + [module.config["control_depth"] for module, _ in modules]
    ),
  }
  guidance = max(
    (module.config["guidance"] for module, _ in modules),
    key=lambda one: sum(map(len, one["groups"])),
  )
  config["guidance"] = {**guidance, "strengths": strengths}
  release.save(
    out,
    config=config,
    parts={
      "codec": held.parts["codec"],
      **{part: trees.unflatten(table) for part, table in tables.items()},
    },
    card=_card(base, chosen),
    like=dict.fromkeys(("codec", *_PARTS), base),
  )
  release.copy_rest(base, out)


def load(folder: pathlib.Path) -> release.Release:
  """A module's folder.

  Raises:
    InputError: it is none.
  """
  module = release.load(folder)
  if module.config.get("preset") != PRESET:
    raise errors.InputError(
      folder / "config.json", "preset: this is no module, but a release"
    )
  return module


def _strengths(
  module: release.Release, adds: Sequence[Sequence[str]], strength: float | None
) -> Mapping[str, float]:
  """What its features weigh when sampling: others' are not its own."""
  weighed = [
    feature
    for feature, place in adds
    if feature in composed.STRENGTHS
    and place in ("decoupled", "layer", "control")
  ]
  if strength is None:
    own = module.config["guidance"].get("strengths", {})
    return {feature: own[feature] for feature in weighed if feature in own}
  if not weighed:
    raise errors.InputError(
      module.folder, "enters where nothing is weighed: leave out its strength"
    )
  return dict.fromkeys(weighed, strength)


def _beyond(made: PyTree, base: PyTree) -> dict[str, Any]:
  known = trees.flatten(base)
  return {k: v for k, v in trees.flatten(made).items() if k not in known}


def _digest(base: release.Release) -> str:
  return release.digest({part: base.require(part) for part in _PARTS})


def _card(base: pathlib.Path, chosen) -> str:
  rows = "".join(
    f"- {folder}" + ("" if scale is None else f", strength {scale:g}") + "\n"
    for folder, scale in chosen
  )
  return (
    f"# {base.name}, with modules\n\nJoined by `python -m vta merge`:\n\n{rows}"
  )
