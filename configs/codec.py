"""The codec: Stable Audio's Oobleck, or the starter's small one.

  python -m vta train --config configs/codec.py:starter --workdir runs/codec

`codec.py` alone is the published geometry (156.1M parameters; batch 128 on 8
A100 for 1M steps in Tri-Ergon); not yet run here at that size.
`:starter` is 8.4M parameters behind a lapped transform, for two CPU cores, some
ten minutes; two of its latents are the loudness, and its levels start at least
squares. The decoder alone may train on, which keeps latents that are made:

  python -m vta train --config configs/codec.py:starter --workdir runs/more \\
      --set init_from=runs/codec/release --set optimizer.learning_rate=3e-4 \\
      --set "frozen=('encoder','levels_in')" --set steps=1000
"""

import ml_collections


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """Full size, or "starter"."""
  if arg not in ("", "starter"):
    raise ValueError(f"codec.py knows '' and 'starter', not {arg!r}")
  config = ml_collections.ConfigDict()
  config.task = "codec"
  config.seed = 0
  config.steps = 1_000_000
  config.batch_size = 128
  config.crop = 65_536
  config.init_from = ""
  # Paths of parameters that stay as they start. With ("encoder", "levels_in")
  # the decoder trains on, and latents that are already made stay valid.
  config.frozen = ()
  config.evaluate_every = 10_000
  config.save_every = 10_000
  config.log_every = 100
  config.keep = 3
  config.ema_maximum = 0.9999
  config.ema_power = 0.75

  config.data = ml_collections.ConfigDict(
    {"train": ("data/train",), "validation": ("data/validation",)}
  )
  config.data.validation_batches = 4

  config.codec = ml_collections.ConfigDict(
    {
      "channels": 2,
      "latents": 64,
      "width": 128,
      "multiples": (1, 2, 4, 8, 16),
      "strides": (2, 4, 4, 8, 8),
      "dilations": (1, 3, 9),
      "groups": (),
      "edge": 7,
      "residual_scale": 1.0,
    }
  )
  # papers.md 3.8; the paper prints a KL weight of 1e-1, its code base 1e-4.
  config.weights = ml_collections.ConfigDict(
    {
      "spectral": 1.0,
      "level": 0.0,
      "kl": 1e-4,
      "adversarial": 0.1,
      "matching": 5.0,
    }
  )
  config.spectral = ml_collections.ConfigDict(
    {"ffts": (2048, 1024, 512, 256, 128, 64, 32), "a_weighting": True}
  )
  # The step from which the discriminator takes part; -1 is never.
  config.adversarial = ml_collections.ConfigDict({"start": 0})
  config.discriminator = ml_collections.ConfigDict(
    {"filters": 64, "ffts": (2048, 1024, 512, 256, 128)}
  )
  config.optimizer = ml_collections.ConfigDict(
    {
      "learning_rate": 1.5e-4,
      "b1": 0.8,
      "b2": 0.99,
      "weight_decay": 1e-3,
      "clip_norm": 1e9,
      "warmup": 0.999,
      "inverse_gamma": 2e5,
      "cooldown": 0.0,
    }
  )
  config.discriminator_optimizer = (
    config.optimizer.copy_and_resolve_references()
  )
  config.discriminator_optimizer.learning_rate = 3e-4

  if arg == "starter":
    config.steps = 1_500
    config.batch_size = 8
    config.crop = 20 * 2048
    config.evaluate_every = 500
    config.save_every = 500
    config.log_every = 20
    config.ema_maximum = 0.998
    config.data.train = ("data/yard/train",)
    config.data.validation = ("data/yard/validation",)
    config.codec.update(
      {
        "latents": 32,
        "width": 256,
        "multiples": (2,),
        "strides": (4,),
        "groups": ((24, 4), (16, 8), (18, 16)),
        "edge": 3,
        "residual_scale": 0.1,
      }
    )
    config.weights.update({"level": 10.0, "kl": 1e-5})
    config.spectral.update({"ffts": (2048, 512, 128), "a_weighting": False})
    config.adversarial.start = -1
    config.optimizer.update(
      {
        "learning_rate": 4e-4,
        "b1": 0.9,
        "clip_norm": 1.0,
        "warmup": 0.99,
        "cooldown": 0.3,
      }
    )
  return config.lock()
