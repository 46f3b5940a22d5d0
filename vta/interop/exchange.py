"""What the two public formats of Stable Audio share: checks and conversion.

A release of the preset "stable_audio" has three parts, "codec", "conditioner"
and "denoiser", and the text encoder's files, as they came, in the folder
text_encoder. One tensor is held at a time, and every name and shape is checked
before anything is written.
"""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from vta import errors
from vta.interop import release, stable_audio, tables, tensors, trees
from vta.training import system

PRESET = "stable_audio"
TEXT_ENCODER = "text_encoder"
NO_TEXT_ENCODER = (
  "the release has no text encoder: prompts have to come encoded"
)
RATE = 44_100
PICKLES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})
# Of a text encoder's folder; the same weights lie there in other forms too.
_COPIED = frozenset({".json", ".safetensors", ".model", ".txt"})
# What the public layouts leave no choice in.
_FIXED = (
  ("codec", "dilations", (1, 3, 9)),
  ("codec", "groups", ()),
  ("codec", "edge", 7),
  ("denoiser", "ff_multiple", 4),
  ("denoiser", "conditioning", "prepend"),
  ("denoiser", "qk_norm", False),
  ("denoiser", "control_depth", 0),
)

Shapes = Mapping[str, tuple[int, ...]]
Rows = Sequence[tables.Row]


def defaults(config: Mapping[str, Any]) -> dict[str, Any]:
  """A release's config of this preset: sizes, and the public card's sampling.

  Args:
    config: the sections "codec", "denoiser", "conditioner" and "window".
  """
  latents = config["codec"]["latents"]
  return {
    "preset": PRESET,
    **config,
    # Stable Audio's latents are as its codec has them.
    "latent_mean": [0.0] * latents,
    "latent_std": [1.0] * latents,
    "guidance": {
      "groups": [["text"]],
      "scales": [7.0],
      "steps": 100,
      "solver": "dpm-sde",
    },
  }


def rows(config: Mapping[str, Any], naming: stable_audio.Format):
  """The table of every part of a release."""
  sizes = config["conditioner"]
  return {
    "codec": list(stable_audio.codec(len(config["codec"]["strides"]), naming)),
    "conditioner": list(
      stable_audio.conditioner(
        naming, projected=sizes["text_width"] != sizes["width"]
      )
    ),
    "denoiser": list(
      stable_audio.denoiser(config["denoiser"]["depth"], naming)
    ),
  }


def shapes(
  config: Mapping[str, Any], *, where: pathlib.Path
) -> dict[str, Shapes]:
  """Path -> shape of every parameter of every part, without computing any.

  Raises:
    InputError: the sizes that `where` gives make no model.
  """
  try:
    return _shapes(config)
  except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
    reason = str(error).partition("\n")[0]
    raise errors.InputError(
      where, f"describes no model: {type(error).__name__}: {reason}"
    ) from None


def _shapes(config: Mapping[str, Any]) -> dict[str, Shapes]:
  made = system.build(config)

  def init():
    key = jax.random.key(0)
    return {"codec": made.init_codec(key), **made.init(key)}

  return {
    name: {path: leaf.shape for path, leaf in trees.flatten(tree).items()}
    for name, tree in jax.eval_shape(init).items()
  }


def check(
  rows: Rows,
  reader: tensors.Reader,
  *,
  ours: Shapes,
  ignored: Sequence[str] = (),
) -> None:
  """Raises InputError with every name and shape that does not fit.

  Args:
    rows: the table of what the checkpoint should hold.
    reader: the checkpoint.
    ours: what the model expects.
    ignored: names of the checkpoint that are of no concern.
  """
  theirs = {n: s for n, s in reader.shapes.items() if n not in ignored}
  found = tables.mismatches(rows, ours=ours, theirs=theirs)
  if found:
    raise errors.InputError(
      reader.path,
      f"{len(found)} tensors do not fit its config: {trees.summary(found)}",
    )


def opened(folder: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
  """A release's config and a reader of each of its parts.

  Raises:
    InputError: it is no release, not of this preset, or does not hold what its
      config says.
  """
  path = folder / "config.json"
  config = system.tuples(release.read_config(folder))
  if config.get("preset") != PRESET:
    raise errors.InputError(
      path,
      f"preset: only {PRESET!r} has a public layout, this is "
      f"{config.get('preset')!r}; --format torch writes every preset",
    )
  expected = shapes(config, where=path)
  for section, name, public in _FIXED:
    found = config[section].get(name, public)
    if found != public:
      raise errors.InputError(
        path,
        f"{section}.{name}: the public layout has {public!r}, this is "
        f"{found!r}",
      )
  return config, readers(folder, expected)


def readers(
  folder: pathlib.Path, expected: Mapping[str, Shapes]
) -> dict[str, tensors.Reader]:
  """A reader of each of a release's parts.

  Raises:
    InputError: naming every parameter that is not as expected.
  """
  parts = {}
  for name, wanted in expected.items():
    reader = tensors.Reader(folder / f"{name}.safetensors")
    wrong = trees.shape_mismatches(wanted, reader.shapes)
    if wrong:
      raise errors.InputError(
        reader.path,
        f"{len(wrong)} arrays do not fit config.json: {trees.summary(wrong)}",
      )
    parts[name] = reader
  return parts


def copy_files(
  source: pathlib.Path,
  target: pathlib.Path,
  *,
  wanted: Callable[[str], bool] = lambda name: True,
) -> None:
  """Copies a folder's settings, words and safetensors, and nothing else."""
  target.mkdir(parents=True, exist_ok=True)
  for file in sorted(source.iterdir()):
    if file.suffix in _COPIED and file.is_file() and wanted(file.name):
      shutil.copyfile(file, target / file.name)


def card(source: pathlib.Path) -> str:
  """The model card of an imported release."""
  return (
    f"# Imported from {source.name}\n\n"
    "Weights of the public Stable Audio layout, renamed by `python -m vta "
    "import`, not a number changed. The licence they came under applies.\n"
  )
