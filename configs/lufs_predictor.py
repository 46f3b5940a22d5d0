"""Tri-Ergon's LUFS predictor (papers.md 3.3): a loudness curve from pictures.

  python -m vta train --config configs/lufs_predictor.py:s --workdir runs/lufs

`:s` has the paper's 12 layers (85M parameters), `:l` its 14 (99M); 8 A100 and a
batch of 128 there. `:tiny` is the same code at a size for a CPU. None has been
run on real data yet. Latent records come from `python -m data_prep.encode
--dinov2 DIR`, where DIR holds a DINOv2 ViT-B/14.
"""

import ml_collections

_VARIANTS = ("s", "l", "tiny")


def get_config(arg: str = "s") -> ml_collections.ConfigDict:
  """One of `_VARIANTS`."""
  if arg not in _VARIANTS:
    raise ValueError(
      f"lufs_predictor.py knows {', '.join(map(repr, _VARIANTS))}, not {arg!r}"
    )
  config = ml_collections.ConfigDict()
  config.task = "lufs_predictor"
  config.seed = 0
  # The paper's 10 epochs (VGGSound) and 30 (MM-V2A) at its batch of 128.
  config.steps = 14_000
  config.batch_size = 128
  config.evaluate_every = config.save_every = 1_000
  config.log_every = 100
  config.keep = 3
  config.ema_maximum = 0.9999
  config.ema_power = 0.75
  config.data = ml_collections.ConfigDict(
    {
      "train": ("data/train",),
      "validation": ("data/validation",),
      "validation_batch": 16,
      "validation_batches": 8,
    }
  )
  config.frames = 360  # 60 s
  config.predictor = ml_collections.ConfigDict(
    {"depth": 12, "heads": 8, "width": 768, "dtype": "bfloat16"}
  )
  # Ours; the paper gives none.
  config.optimizer = ml_collections.ConfigDict(
    {
      "learning_rate": 1e-4,
      "b1": 0.9,
      "b2": 0.99,
      "weight_decay": 1e-2,
      "clip_norm": 1.0,
      "warmup": 0.999,
      "inverse_gamma": 1e6,
      "cooldown": 0.1,
    }
  )
  if arg == "l":
    config.predictor.update({"depth": 14, "heads": 12})
  if arg == "tiny":
    config.steps = 1_000
    config.batch_size = 8
    config.ema_maximum = 0.99
    config.frames = 60
    config.predictor.update({"depth": 2, "heads": 4, "dtype": "float32"})
    config.optimizer.update({"learning_rate": 1e-3, "warmup": 0.99})
  return config.lock()
