"""A vta checkpoint in PyTorch; needs torch, numpy and safetensors alone.

With FOLDER what `python -m vta export ... --format torch` wrote:

  sys.path.insert(0, FOLDER)
  import vta_torch

  model = vta_torch.load(FOLDER)
  features = model.conditioner.encode(inputs)  # once a clip
  conditions = model.conditioner.select(features, keep)  # once a branch
  velocity = model.denoiser(noisy, time, conditions, mask=mask)
  mean = torch.tensor(model.config["latent_mean"])
  std = torch.tensor(model.config["latent_std"])
  wave = model.codec.decode(latents * std + mean)

The path between latents z and noise e, at time t from 0 (clean) to 1 (noise):
noisy = alpha z + sigma e and velocity = alpha e - sigma z, where alpha is
cos(pi t / 2) and sigma sin(pi t / 2); hence z = alpha noisy - sigma velocity.
The solver, steps and guidance scales chosen for these weights are in
config["guidance"]; what `keep` drops in one of its groups is the null branch.
`python FOLDER/check.py` compares all of it with what vta computed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any

import safetensors.torch
from torch import nn

from vta_torch import codec as codec_lib
from vta_torch import conditioner as conditioner_lib
from vta_torch import denoiser as denoiser_lib
from vta_torch import foley as foley_lib

_CONDITIONERS = {
  "foley": (foley_lib.Foley, foley_lib.Settings),
  "tri_ergon": (conditioner_lib.TriErgon, conditioner_lib.TriErgonSettings),
  "stable_audio": (
    conditioner_lib.StableAudio,
    conditioner_lib.StableAudioSettings,
  ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
  """A checkpoint's three networks, in float32 and ready for inference.

  Attributes:
    conditioner: inputs -> conditions.
    denoiser: noisy latents and conditions -> velocity.
    codec: wave <-> latents.
    config: config.json.
  """

  conditioner: nn.Module
  denoiser: denoiser_lib.Denoiser
  codec: codec_lib.Codec
  config: dict[str, Any]


def load(folder: str | os.PathLike, *, device: str = "cpu") -> Model:
  """Loads an exported folder.

  Raises:
    RuntimeError: from torch, naming every weight that is missing, unknown or
      of another shape than config.json says.
  """
  folder = pathlib.Path(folder)
  config = json.loads((folder / "config.json").read_text())
  conditioner, settings = _CONDITIONERS[config["preset"]]
  parts = {
    "conditioner": conditioner(settings(**config["conditioner"])),
    "denoiser": denoiser_lib.Denoiser(
      denoiser_lib.Settings(**config["denoiser"])
    ),
    "codec": codec_lib.Codec(codec_lib.Settings(**config["codec"])),
  }
  for name, module in parts.items():
    state = safetensors.torch.load_file(folder / f"{name}.safetensors")
    module.load_state_dict(state)
    module.eval().to(device)
  return Model(**parts, config=config)
