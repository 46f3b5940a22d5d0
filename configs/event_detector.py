"""SonicVisionLM's timestamp detector (papers.md 2.1 (ii)): events from frames.

  python -m vta train --config configs/event_detector.py --workdir runs/events

The paper's R(2+1)D-18 (31M parameters) on 2 s of 112 pixels, its batch, rate
and loss; there a day on an A6000, here not yet run. `--set trunk_from=FILE`
starts from torchvision's r2plus1d_18 of Kinetics, or from CondFoleyGen's or
FoleyCrafter's detector. `:yard` is the same code at a size for two cores: not
yet run. Both learn from wave records, which have frames and events.
"""

import ml_collections

_VARIANTS = ("", "yard")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """One of `_VARIANTS`."""
  if arg not in _VARIANTS:
    raise ValueError(
      f"event_detector.py knows {', '.join(map(repr, _VARIANTS))}, not {arg!r}"
    )
  config = ml_collections.ConfigDict()
  config.task = "event_detector"
  config.seed = 0
  # The paper's 70 epochs at its batch of 24, of a set of 8,192 clips: set it to
  # 70 / 24 of how many there are.
  config.steps = 23_900
  config.batch_size = 24
  config.evaluate_every = config.save_every = 1_000
  config.log_every = 100
  config.keep = 3
  # The paper averages no parameters.
  config.ema_maximum = 0.0
  config.ema_power = 0.75
  config.data = ml_collections.ConfigDict(
    {
      "train": ("data/train",),
      "validation": ("data/validation",),
      "validation_batch": 24,
      "validation_batches": 0,
    }
  )
  # 2 s; pictures are resized to one square and a smaller one is cut from it.
  config.clip = ml_collections.ConfigDict(
    {"frame_rate": 15, "frames": 30, "resize": 128, "size": 112}
  )
  # CondFoleyGen's: of brightness and contrast.
  config.jitter = 0.1
  config.predictor = ml_collections.ConfigDict(
    {
      "widths": (64, 128, 256, 512),
      "blocks": (2, 2, 2, 2),
      "stem": 45,
      "hidden": 128,
      "dtype": "bfloat16",
    }
  )
  # "": random. The paper does not say what it starts from.
  config.trunk_from = ""
  config.event_weight = "duration"
  # Batches that batch norm's population is measured over (ours).
  config.population_batches = 32
  # The rate is the paper's, decay and cosine are CondFoleyGen's.
  config.optimizer = ml_collections.ConfigDict(
    {"learning_rate": 1e-5, "weight_decay": 5e-4}
  )
  if arg == "yard":
    config.steps = 1_000
    config.batch_size = 8
    config.evaluate_every = config.save_every = 250
    config.ema_maximum = 0.99
    config.data.update(
      {
        "train": ("data/yard/train",),
        "validation": ("data/yard/validation",),
        "validation_batch": 16,
      }
    )
    config.clip.update({"resize": 72, "size": 64})
    config.predictor.update(
      {
        "widths": (8, 16, 32, 64),
        "blocks": (1, 1, 1, 1),
        "stem": 8,
        "hidden": 32,
        "dtype": "float32",
      }
    )
    config.event_weight = "none"
    config.population_batches = 16
    config.optimizer.learning_rate = 2e-3
  return config.lock()
