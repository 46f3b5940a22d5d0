"""Fine-tuning on 20 to 1,000 clips of one's own: docs/fine_tuning.md.

  python -m vta train --config configs/finetune.py:BASE --workdir runs/mine

BASE is a release folder of the preset `foley`, `tri_ergon` or `stable_audio`
(what `python -m vta import` made of public weights), the starter when left out:
all sizes are read from it. Adapters (LoRA) learn, the base stays as
it is; with `--set lora.rank=0` all of it learns, which wants thousands of
clips. Training ends when held-out clips say so, and the release is of the step
they liked best. Measured once, in docs/fine_tuning.md.
"""

import pathlib

import ml_collections

from vta.interop import release
from vta.models import dit


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """For the release folder `arg`."""
  base = arg or "vta/starter"
  sizes = release.read_config(pathlib.Path(base))
  preset = sizes.get("preset")
  if preset not in ("foley", "tri_ergon", "stable_audio"):
    raise ValueError(
      f"{base} is of the preset {preset!r}, "
      "not 'foley', 'tri_ergon' or 'stable_audio'"
    )
  config = ml_collections.ConfigDict()
  config.task = "denoiser"
  config.preset = preset
  config.seed = 0
  config.steps = 2_000
  config.batch_size = 8
  config.init_from = base
  config.codec = base
  config.frozen = ()
  # Rank 0 is none: everything that is not frozen learns.
  config.lora = ml_collections.ConfigDict({"rank": 16, "alpha": 16.0})
  # The held-out figure whose best step becomes the release, and the number of
  # evaluations without a better one after which training ends; 0 is no limit.
  config.best = "validation/loss"
  config.patience = 5
  config.evaluate_every = 100
  config.save_every = 100
  config.log_every = 20
  config.keep = 1
  config.ema_maximum = 0.99
  config.ema_power = 0.75
  config.weighting = "clamped"
  config.snr_gamma = 5.0
  config.posterior = 0.0
  config.data = ml_collections.ConfigDict(
    {
      "train": ("data/mine/train",),
      "validation": ("data/mine/validation",),
      "validation_batch": 1,
      # All of them: where clips are few, each counts.
      "validation_batches": 0,
    }
  )
  config.conditioner = ml_collections.ConfigDict(sizes["conditioner"])
  # What a block keeps for its gradient, a wide one has no room for.
  wide = sizes["denoiser"].get("width", dit.DiTConfig.width) >= 1024
  execution = {
    "remat": "full" if wide else "none",
    "unroll": 1,
    "dtype": "float32",
  }
  config.denoiser = ml_collections.ConfigDict(execution | sizes["denoiser"])
  config.guidance = ml_collections.ConfigDict(sizes["guidance"])
  # What the presets' own configs have.
  if preset == "tri_ergon":
    config.window = sizes["window"]
    config.denoiser_from = ""
    config.drop = ml_collections.ConfigDict({"entries": 0.3, "all": 0.1})
  elif preset == "stable_audio":
    config.window = sizes["window"]
    config.drop = ml_collections.ConfigDict({"all": 0.1})
  else:
    config.frames_from = ""
    config.clip = ml_collections.ConfigDict(sizes["clip"])
    config.drop = ml_collections.ConfigDict(
      {
        "all": 0.1,
        "all_but_frames": 0.25,
        "entries": {
          "frames": 0.25,
          "text": 0.3,
          "reference": 0.6,
          "loudness": 0.5,
          "events": 0.5,
          "objects": 0.5,
        },
      }
    )
  config.optimizer = ml_collections.ConfigDict(
    {
      "learning_rate": 1e-3,
      "b1": 0.9,
      "b2": 0.99,
      "weight_decay": 0.0,
      "clip_norm": 1.0,
      "warmup": 0.95,
      "inverse_gamma": 1e6,
      "cooldown": 0.0,
    }
  )
  return config.lock()
