"""A release as a folder for PyTorch that needs nothing of ours to run.

  config.json           the preset, and the sizes of every part
  <part>.safetensors    weights in torch's axis order, the release's own types
  vta_torch/, check.py  the networks, as `vta/interop/torch_module` has them
  parity.safetensors    inputs and outputs, by JAX; check.py compares
  README.md             the release's card

Nothing in this package imports `torch_module`: torch is no dependency of ours.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from vta import files
from vta.interop import (
  exchange,
  release,
  tables,
  tensors,
  torch_names,
  torch_parity,
  trees,
)
from vta.training import system as system_lib

FORMAT = "vta-torch-1"
_SOURCE = pathlib.Path(__file__).parent / "torch_module"
# What is how our networks run, or start, and not what they are.
_OURS = {
  "denoiser": {"control_depth", "remat", "unroll", "dtype"},
  "codec": {"residual_scale", "dtype"},
}
# Of a release's config, what says how to use it.
_USE = ("latent_mean", "latent_std", "guidance", "clip", "window")


def export_folder(source: pathlib.Path, out: pathlib.Path) -> None:
  """Writes the folder of a release.

  Raises:
    InputError: the release is damaged, or its config describes no model.
  """
  config = system_lib.tuples(release.read_config(source))
  expected = exchange.shapes(config, where=source / "config.json")
  readers = exchange.readers(source, expected)
  made = system_lib.build(config)
  out.mkdir(parents=True, exist_ok=True)
  for part, reader in readers.items():
    table = list(torch_names.rows(expected[part]))
    tensors.write(
      out / f"{part}.safetensors",
      tables.to_theirs(table, reader.read),
      limit=sys.maxsize,  # the loader reads one file a part
    )
  params = {
    part: trees.unflatten(
      {
        name: jnp.asarray(reader.read(name), jnp.float32)
        for name in reader.shapes
      }
    )
    for part, reader in readers.items()
  }
  parity = torch_parity.compute(made, params)
  tensors.write(out / "parity.safetensors", parity.items())
  document = {
    "format": FORMAT,
    "preset": config["preset"],
    "sample_rate": exchange.RATE,
    **_sizes(made, parity),
    **{name: config[name] for name in _USE if name in config},
  }
  with files.atomic_path(out / "config.json") as temporary:
    temporary.write_text(json.dumps(document, indent=2) + "\n")
  shutil.copyfile(_SOURCE / "check.py", out / "check.py")
  shutil.copytree(
    _SOURCE / "vta_torch",
    out / "vta_torch",
    ignore=shutil.ignore_patterns("__pycache__"),
  )
  card = source / "README.md"
  if card.is_file():
    shutil.copyfile(card, out / card.name)


def _sizes(
  made: system_lib.System, parity: Mapping[str, tensors.Tensor]
) -> Mapping[str, Any]:
  """The fields of the torch modules' settings."""
  sections = {
    part: {
      name: value
      for name, value in dataclasses.asdict(getattr(made, part).config).items()
      if name not in _OURS.get(part, ())
    }
    for part in ("codec", "conditioner", "denoiser")
  }
  # What the denoiser's first layers take is nowhere but in what reaches them.
  widths = trees.unflatten(
    {name: tensor.shape[-1] for name, tensor in parity.items()}
  )["conditions"]
  sections["denoiser"] |= {
    name: widths.get(name, {})
    for name in ("tokens", "vector", "input", "block")
  }
  if isinstance(made, system_lib.Foley):
    sections["conditioner"]["text_width"] = made.text_width
    sections["conditioner"]["frames"]["size"] = made.frame_size
  return sections
