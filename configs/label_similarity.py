"""Smooth-Foley's label-guided timestamps (papers.md 5.1, 5.3): events by name.

  python -m vta train --config configs/label_similarity.py --workdir runs/labels

A frame's CLIP feature through a learned 1024 x 1024 projection, its cosine with
the CLIP embedding of a label, 1 where the label sounds. The width is that of
OpenCLIP's ViT-H/14, of which both towers have to be; records come from
`python -m data_prep.encode --clip DIR`. Not yet run.

`:yard` sees by a predictor's frame encoder and reads labels by MiniLM; 3,000
steps are 10 minutes on two cores that others use too. On 1,792 clips of the
yard, 256 others to validate: average precision over labels 0.77 (a constant:
0.42), 82 % of a clip's labels and frames right (a constant: 76 %), 97 % of
frames of labels that the clip has not. Nothing is gained after 500 steps. What
cannot be seen (wind, birds) or hardly (planes) stays below 0.5: other clips'
labels, as many as a clip's own, teach it to doubt them.
"""

import ml_collections

_VARIANTS = ("", "yard")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """One of `_VARIANTS`."""
  if arg not in _VARIANTS:
    raise ValueError(
      f"label_similarity.py knows {', '.join(map(repr, _VARIANTS))}, not "
      f"{arg!r}"
    )
  config = ml_collections.ConfigDict()
  config.task = "label_similarity"
  config.seed = 0
  # All of these are ours; the paper gives none.
  config.steps = 10_000
  config.batch_size = 64
  config.evaluate_every = config.save_every = 1_000
  config.log_every = 100
  config.keep = 3
  config.ema_maximum = 0.999
  config.ema_power = 0.75
  config.data = ml_collections.ConfigDict(
    {
      "train": ("data/train",),
      "validation": ("data/validation",),
      "validation_batch": 16,
      "validation_batches": 0,
    }
  )
  # "": CLIP. Else a predictor's release, whose frame encoder sees.
  config.frames_from = ""
  # 10 s, as FoleyCrafter's 150 frames are; labels of one clip, at most.
  config.clip = ml_collections.ConfigDict(
    {"frame_rate": 15.0, "frames": 150, "labels": 8}
  )
  # A cosine of 0.25, in the middle of CLIP's, is even.
  config.predictor = ml_collections.ConfigDict(
    {"frame_width": 1024, "label_width": 1024, "scale": 20.0, "bias": -5.0}
  )
  # No decay: a cosine does not know how long its vectors are.
  config.optimizer = ml_collections.ConfigDict(
    {
      "learning_rate": 1e-4,
      "b1": 0.9,
      "b2": 0.99,
      "weight_decay": 0.0,
      "clip_norm": 1.0,
      "warmup": 0.99,
      "inverse_gamma": 1e6,
      "cooldown": 0.3,
    }
  )
  if arg == "yard":
    config.steps = 3_000
    config.batch_size = 32
    config.evaluate_every = config.save_every = 500
    config.ema_maximum = 0.99
    config.data.train = ("data/yard/seen",)
    config.data.validation = ("data/yard/seen-validation",)
    config.frames_from = "runs/predictor/release"
    config.clip.labels = 3
    # MiniLM knows nothing of our pictures: cosines begin at zero.
    config.predictor.update(
      {"frame_width": 256, "label_width": 384, "scale": 10.0, "bias": -1.0}
    )
    config.optimizer.learning_rate = 2e-3
  return config.lock()
