"""The predictor: what to hear from what is seen, and the eyes of `foley`.

  python -m vta train --config configs/predictor.py --workdir runs/predictor

One size, the starter's: 1.2M parameters, 50 minutes on two CPU cores.
`:tower` reads EfficientNet-Lite0's features besides, as foley.py:starter-tower
does, from latent records that data_prep.encode made with --tower; not yet run.
"""

import ml_collections


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """Frames alone, or "tower"."""
  if arg not in ("", "tower"):
    raise ValueError(f"predictor.py knows '' and 'tower', not {arg!r}")
  config = ml_collections.ConfigDict()
  config.task = "predictor"
  config.seed = 0
  config.steps = 7_000
  config.batch_size = 12
  config.codec = "runs/codec/release"
  # A predictor's release whose frame encoder is where this one's starts.
  config.frames_from = ""
  config.evaluate_every = 500
  config.save_every = 500
  config.log_every = 20
  config.keep = 3
  config.ema_maximum = 0.998
  config.ema_power = 0.75
  config.data = ml_collections.ConfigDict(
    {
      "train": ("data/yard/latents",),
      "validation": ("data/yard/latents-validation",),
      "validation_batch": 16,
      "validation_batches": 8,
    }
  )
  config.clip = ml_collections.ConfigDict(
    {
      "latent_rate": 44_100 / 2048,
      "frame_rate": 15.0,
      "frame_size": 64,
      "window": 96,
    }
  )
  config.frames = ml_collections.ConfigDict(
    {"widths": (64, 64, 128, 256), "features": 256, "taps": 5}
  )
  # Onsets are few: their cross-entropy is small before anything is learned.
  config.weights = ml_collections.ConfigDict(
    {"loudness": 1.0, "events": 0.5, "onsets": 1.5, "latents": 0.5}
  )
  config.optimizer = ml_collections.ConfigDict(
    {
      "learning_rate": 1e-3,
      "b1": 0.9,
      "b2": 0.99,
      "weight_decay": 1e-3,
      "clip_norm": 1.0,
      "warmup": 0.99,
      "inverse_gamma": 1e6,
      "cooldown": 0.3,
    }
  )
  if arg == "tower":
    config.data.train = ("data/yard/latents-tower",)
    config.data.validation = ("data/yard/latents-tower-validation",)
    config.frames.tower = 1280
  return config.lock()
