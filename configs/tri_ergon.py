"""Tri-Ergon (arXiv 2412.20378; papers.md section 3): any prompt, and loudness.

  python -m vta train --config configs/tri_ergon.py:l --workdir runs/tri_ergon_l

`:l` is the paper's 24 blocks (1.06B parameters, up to 60 s), `:s` its 20 (881M,
10 s); 32 A100 and a batch of 256 there. `-aligned` puts loudness where time is
instead of into tokens (ours). None has been run on real data yet. `:yard`,
6M parameters for two CPU cores, learns from the yard, and what MiniLM, the
codec and a predictor's frame encoder say stands in LanguageBind's place.
Latent records come from `python -m data_prep.encode --languagebind DIR`, where
DIR holds the three public folders.
From Stable Audio's public weights on:

  python -m vta import stable-audio-open-1.0 --out runs/open
  python -m vta train --config configs/tri_ergon.py:l --workdir runs/tuned \\
      --set codec=runs/open --set denoiser_from=runs/open
"""

import ml_collections

_VARIANTS = ("l", "s", "l-aligned", "yard", "yard-aligned")


def get_config(arg: str = "l") -> ml_collections.ConfigDict:
  """One of `_VARIANTS`."""
  if arg not in _VARIANTS:
    raise ValueError(
      f"tri_ergon.py knows {', '.join(map(repr, _VARIANTS))}, not {arg!r}"
    )
  config = ml_collections.ConfigDict()
  config.task = "denoiser"
  config.preset = "tri_ergon"
  config.seed = 0
  config.steps = 220_000
  config.batch_size = 256
  config.init_from = ""
  # A release of `python -m vta import` whose denoiser is where this one starts.
  config.denoiser_from = ""
  config.codec = "runs/codec/release"
  # A predictor's release in LanguageBind's place, for `:yard`.
  config.frames_from = ""
  config.frozen = ()
  config.evaluate_every = 5_000
  config.save_every = 5_000
  config.log_every = 100
  config.keep = 3
  config.ema_maximum = 0.9999
  config.ema_power = 0.75
  # The paper weighs all times alike.
  config.weighting = "uniform"
  config.snr_gamma = 5.0
  config.posterior = 1.0
  config.data = ml_collections.ConfigDict(
    {"train": ("data/train",), "validation": ("data/validation",)}
  )
  config.data.validation_batch = 16
  config.data.validation_batches = 4
  config.window = 1292  # 60 s
  config.conditioner = ml_collections.ConfigDict(
    {"width": 768, "blocks": 360, "aligned": False}
  )
  config.denoiser = ml_collections.ConfigDict(
    {
      "latents": 64,
      "width": 1536,
      "depth": 24,
      "heads": 24,
      "cross_heads": 12,
      "condition_width": 768,
      "ff_multiple": 4,
      "remat": "dots",
      "unroll": 1,
      "dtype": "bfloat16",
    }
  )
  # The paper's 0.3 and 0.1; that loudness is dropped too is ours.
  config.drop = ml_collections.ConfigDict({"entries": 0.3, "all": 0.1})
  config.guidance = ml_collections.ConfigDict(
    {
      "groups": (("prompt", "text", "audio", "video", "loudness"),),
      "scales": (7.0,),
      "steps": 100,
      "solver": "dpm-sde",
    }
  )
  # Not in the paper: stable_audio_2_0.json's (papers.md 3.2).
  config.optimizer = ml_collections.ConfigDict(
    {
      "learning_rate": 5e-5,
      "b1": 0.9,
      "b2": 0.999,
      "weight_decay": 1e-3,
      "clip_norm": 1.0,
      "warmup": 0.99,
      "inverse_gamma": 1e6,
      "cooldown": 0.0,
    }
  )
  if arg.startswith("l"):
    # A step's clips fill 60, 30, 20, 15 or 10 s; 64 of them where they fill 60
    # and 384 where they fill 10. By the lengths that the paper gives of MM-V2A
    # that is 279 a step, 4 % of it padding; 77 % where all were padded to 60 s.
    config.batch_size = 64
    config.data.divisions = (1, 2, 3, 4, 6)
  if not arg.startswith("yard"):
    # Devices of each axis, -1 of all that are left: one copy of the parameters
    # on each. On a pod, fsdp 16 (docs/pods.md).
    config.mesh = ml_collections.ConfigDict(
      {"data": -1, "fsdp": 1, "tensor": 1}
    )
  if arg == "s":
    config.steps = 720_000
    config.denoiser.depth = 20
    config.window = 216
    config.conditioner.blocks = 60
  if arg.endswith("-aligned"):
    config.conditioner.aligned = True
  if arg.startswith("yard"):
    config.steps = 3_000
    config.batch_size = 8
    config.codec = "vta/starter"
    config.frames_from = "runs/predictor/release"
    config.posterior = 0.0
    # All times alike leave too little to the noisy ones, which decide most.
    config.weighting = "clamped"
    config.evaluate_every = config.save_every = 500
    config.log_every = 20
    config.ema_maximum = 0.998
    config.data.update(
      {
        "train": ("data/yard/seen",),
        "validation": ("data/yard/seen-validation",),
      }
    )
    config.window = 112  # 5.2 s
    config.conditioner.update({"width": 512, "blocks": 60})
    config.denoiser.update(
      {
        "latents": 32,
        "width": 256,
        "depth": 4,
        "heads": 4,
        "cross_heads": 2,
        "condition_width": 512,
        "conditioning": "adaln",
        "remat": "none",
        "unroll": 4,
        "dtype": "float32",
      }
    )
    config.guidance.update({"scales": (3.0,), "steps": 25, "solver": "dpm"})
    config.optimizer.update({"learning_rate": 1e-3, "cooldown": 0.3})
  return config.lock()
