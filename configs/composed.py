"""The papers' presets on one denoiser: the table of what enters where.

  python -m vta train --config configs/composed.py:text-yard --workdir runs/text
  python -m vta train --config configs/composed.py:sonicvision-yard \\
      --workdir runs/sonicvision --set base_from=runs/text/release

A row trains beside what came before it, which is frozen: `base_from` names
that release.

  text             text to audio, the base of all but VTA-SAM's; at full size
                   `text-clip` is Smooth-Foley's
  draw_an_audio    the base, then frames whole and masked in a layer of their
                   own; `draw_an_audio-loudness`, beside that, the curve
  sonicvision      the base, then events by a control branch
  smooth_foley     the base, then frames decoupled; `smooth_foley-clip` has one
                   token for all of them, and `smooth_foley-events` is the other
                   adapter, trained beside the base alone
  vta_sam          frames and objects, whole: Z@V + O; `vta_sam-v`, `-v_and_o`
                   (both as tokens) and `-o_plus_v` are its other fusions, and
                   `vta_sam-text` has text too, each dropped on its own

Alone they are of Tri-Ergon-S's size (881M and what is added), not yet run. The
papers' own towers read and see for them: FLAN-T5-large (Tango's; VTA-SAM and
Smooth-Foley read by CLIP) and CLIP ViT-L/14. Public folders of both are put
or linked into one folder, as t5 and clip; a release has what it needs of them:

  python -m data_prep.encode --records data/waves --codec runs/codec/release \
      --t5 towers/t5 --clip towers/clip --out data/train
  python -m vta train --config configs/composed.py:draw_an_audio \
      --workdir runs/draw_an_audio --set base_from=runs/text/release

Records for `text-clip` and `smooth_foley` are encoded without --t5.
`-yard` is 6M parameters on the yard's scenes for two CPU cores, on the
starter's codec and frame encoder.
"""

import ml_collections

_TEXT = (("text", "concat"), ("text", "vector"))
_MASKED = (*_TEXT, ("frames", "layer"))
_PLACES = {
  "text": _TEXT,
  "text-clip": _TEXT,
  "draw_an_audio": _MASKED,
  "draw_an_audio-loudness": (*_MASKED, ("loudness", "input")),
  "sonicvision": (*_TEXT, ("events", "control")),
  "smooth_foley": (*_TEXT, ("frames", "decoupled")),
  "smooth_foley-clip": (*_TEXT, ("frames", "decoupled")),
  "smooth_foley-events": (*_TEXT, ("events", "control")),
  "vta_sam": (("frames", "concat"), ("objects", "block")),
  "vta_sam-text": (*_TEXT, ("frames", "concat"), ("objects", "block")),
  "vta_sam-v": (("frames", "concat"),),
  "vta_sam-v_and_o": (("frames", "concat"), ("objects", "concat")),
  "vta_sam-o_plus_v": (("objects", "concat"), ("frames", "block")),
}
# Groups and scales of guidance, and the weight of an adapter when sampling:
# papers.md 0.2, 1.3, 2.1, 4.1 and 5.2. Loudness and events are in no group.
_GUIDANCE = {
  "text": ((("text",),), (3.0,), {}),
  "draw_an_audio": ((("frames",), ("text",)), (4.5, 3.5), {}),
  "sonicvision": ((("text",),), (3.0,), {"events": 2.0}),
  "smooth_foley": ((("text", "frames"),), (7.5,), {"events": 0.2}),
  "vta_sam": ((("frames", "objects", "text"),), (3.0,), {}),
}
# InstructPix2Pix's: text alone, frames alone, both (papers.md 1.3); and what
# lets one model stand for all rows of VTA-SAM's table of modalities (ours).
_DROPS = {
  "draw_an_audio": {"text": 0.05, "frames": 0.05},
  "vta_sam-text": {"text": 0.4, "frames": 0.4, "objects": 0.4},
}
# What reads text: width and number of its tokens (papers.md 2.1, 5.2).
_TEXT_BY = {"t5": (1024, 128), "clip": (768, 77)}
# What makes tokens of CLIP's embeddings: papers.md 1.3, 4.1 and 5.3.
_PROJECTORS = {"vta_sam": "linear", "smooth_foley": "norm"}


def get_config(arg: str) -> ml_collections.ConfigDict:
  """A row of the table, at full size or with "-yard"."""
  row, yard = arg.removesuffix("-yard"), arg.endswith("-yard")
  if row not in _PLACES or arg == "text-clip-yard":
    raise ValueError(
      f"composed.py knows {', '.join(map(repr, _PLACES))}, with or without "
      f"'-yard', not {arg!r}"
    )
  paper = row.partition("-")[0]
  seen = any(feature == "frames" for feature, _ in _PLACES[row])
  config = ml_collections.ConfigDict()
  config.task = "denoiser"
  config.preset = "composed"
  config.seed = 0
  config.steps = 100_000
  config.batch_size = 32
  config.init_from = ""
  # A release of the same preset with fewer entries: it is given and frozen.
  config.base_from = ""
  config.codec = "runs/codec/release"
  config.frames_from = ""
  config.frozen = ()
  config.evaluate_every = 5_000
  config.save_every = 5_000
  config.log_every = 100
  config.keep = 3
  config.ema_maximum = 0.9999
  config.ema_power = 0.75
  # Min-SNR of Tango's own training (papers.md 0.2).
  config.weighting = "min_snr"
  config.snr_gamma = 5.0
  config.posterior = 1.0
  config.data = ml_collections.ConfigDict(
    {
      "train": ("data/train",),
      "validation": ("data/validation",),
      "validation_batch": 16,
      "validation_batches": 4,
    }
  )
  config.clip = ml_collections.ConfigDict(
    {
      "frame_rate": 15.0,
      "frame_size": 64,
      "text_width": 384,
      "text_tokens": 32,
      "window": 216,
    }
  )
  config.conditioner = ml_collections.ConfigDict(
    {
      "vector_width": 768,
      "frames": {"widths": (64, 128, 256, 512), "features": 768, "taps": 5},
      "places": _PLACES[row],
      "masked": paper == "draw_an_audio",
      "positions": True,
      "clip_wise": row == "smooth_foley-clip",
    }
  )
  if config.conditioner.masked:
    # papers.md 1.3: boxes, one box for the whole clip, in the rest everything.
    config.masks = ml_collections.ConfigDict(
      {"boxes": 0.5, "union": 0.1, "jitter": 0.1}
    )
  config.denoiser = ml_collections.ConfigDict(
    {
      "latents": 64,
      "width": 1536,
      "depth": 20,
      "heads": 24,
      "cross_heads": 12,
      "condition_width": 768,
      "ff_multiple": 4,
      # Half of the blocks (EzAudio).
      "control_depth": 10 if ("events", "control") in _PLACES[row] else 0,
      "conditioning": "prepend",
      "remat": "dots",
      "unroll": 1,
      "dtype": "bfloat16",
    }
  )
  config.drop = ml_collections.ConfigDict(
    {
      "all": 0.1 if paper != "draw_an_audio" else 0.05,
      "all_but_frames": 0.0,
      "entries": {
        "frames": 0.0,
        "text": 0.0,
        "reference": 1.0,
        "loudness": 0.1,
        "events": 0.0,
        "objects": 0.0,
        **_DROPS.get(row, _DROPS.get(paper, {})),
      },
    }
  )
  groups, scales, strengths = _GUIDANCE[paper]
  present = {feature for feature, _ in _PLACES[row]}
  config.guidance = ml_collections.ConfigDict(
    {
      "groups": tuple(tuple(f for f in g if f in present) for g in groups),
      "scales": scales,
      "strengths": {f: s for f, s in strengths.items() if f in present},
      # Each group on top of those before it, or on its own (papers.md 1.3).
      "independent": False,
      "steps": 100,
      "solver": "dpm",
    }
  )
  config.optimizer = ml_collections.ConfigDict(
    {
      "learning_rate": 3e-5,
      "b1": 0.9,
      "b2": 0.999,
      "weight_decay": 1e-2,
      "clip_norm": 1.0,
      "warmup": 0.99,
      "inverse_gamma": 1e6,
      "cooldown": 0.0,
    }
  )

  if not yard:
    _use_towers(config, row)
  if yard:
    config.steps = 1_000
    if row == "text":
      config.steps = 4_000
    elif row == "vta_sam-text":
      config.steps = 1_500
    config.batch_size = 8
    config.codec = "vta/starter"
    config.posterior = 0.0
    # Min-SNR starves the noisy end, where a small model decides most.
    config.weighting = "clamped"
    config.evaluate_every = 500
    config.save_every = 500
    config.log_every = 20
    config.ema_maximum = 0.998
    # Records that were seen under their masks are of no use to what sees twice.
    name = "latents" if config.conditioner.masked else "seen"
    config.data.train = (f"data/yard/{name}",)
    config.data.validation = (f"data/yard/{name}-validation",)
    if config.conditioner.masked:
      # A masked clip of the yard sounds of nothing else: all is no mask for it.
      config.masks.update({"boxes": 0.8, "union": 0.2})
    config.clip.window = 112  # 5.2 s
    config.conditioner.vector_width = 128
    config.conditioner.frames.update(
      {"widths": (64, 64, 128, 256), "features": 256}
    )
    if seen:
      config.frames_from = "runs/predictor/release"
      config.frozen = ("conditioner/frame_encoder",)
    config.denoiser.update(
      {
        "latents": 32,
        "width": 256,
        "depth": 4,
        "heads": 4,
        "cross_heads": 2,
        "condition_width": 256,
        "control_depth": min(config.denoiser.control_depth, 2),
        "conditioning": "adaln",
        "remat": "none",
        "unroll": 4,
        "dtype": "float32",
      }
    )
    config.guidance.steps = 25
    config.optimizer.update(
      {"learning_rate": 1e-3, "warmup": 0.99, "cooldown": 0.3}
    )
  return config.lock()


def _use_towers(config: ml_collections.ConfigDict, row: str) -> None:
  """What the papers read text by and see frames by."""
  paper = row.partition("-")[0]
  clip = paper in ("smooth_foley", "vta_sam") or row == "text-clip"
  text_by = "clip" if clip else "t5"
  width, tokens = _TEXT_BY[text_by]
  # The towers' folders, by name, for releases; "" where they are to do without.
  config.towers = "towers"
  config.clip.update(
    {
      "frame_size": 224,
      "text_by": text_by,
      "text_width": width,
      "text_tokens": tokens,
    }
  )
  config.conditioner.frames = {"by": "clip", "tower": 768}
  config.conditioner.projector = _PROJECTORS.get(paper, "mlp")
