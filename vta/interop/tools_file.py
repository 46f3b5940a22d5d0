"""A checkpoint of stable-audio-tools, to a release and back.

One model.safetensors with every part, beside a model_config.json. Its T5 is not
in it: the text encoder comes from a folder of its own.
"""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vta import errors, files
from vta.interop import (
  exchange,
  release,
  settings,
  stable_audio,
  tables,
  tensors,
)

CONFIG = "model_config.json"
WEIGHTS = "model.safetensors"
_TIME_FEATURES = 256  # a constant of their model, in no config
_PROMPT = "prompt"
_NUMBERS = ("seconds_start", "seconds_total")


def import_file(
  source: pathlib.Path,
  out: pathlib.Path,
  *,
  text_encoder: pathlib.Path | None = None,
) -> None:
  """Writes a release of a folder with model.safetensors and its config.

  Args:
    source: the folder.
    out: of the release.
    text_encoder: a folder of the T5 that the config names, to go with it.

  Raises:
    InputError: naming the file and every name, shape or setting that does not
      fit; nothing is written then.
  """
  config = _read_config(source / CONFIG)
  reader = tensors.Reader(source / WEIGHTS)
  wanted = exchange.shapes(config, where=source / CONFIG)
  table = exchange.rows(config, "stable-audio-tools")
  # All in one file: checked as one table, so that no name falls between two.
  every = [row for part in table.values() for row in part]
  everything = {
    path: shape for part in wanted.values() for path, shape in part.items()
  }
  exchange.check(
    every, reader, ours=everything, ignored=stable_audio.TOOLS_DERIVED
  )
  parts = {
    name: tables.to_ours(part, reader.read) for name, part in table.items()
  }
  out.mkdir(parents=True, exist_ok=True)
  if text_encoder is not None:
    exchange.copy_files(text_encoder, out / exchange.TEXT_ENCODER)
  release.write(out, config=config, parts=parts, card=exchange.card(source))


def export_file(source: pathlib.Path, out: pathlib.Path) -> None:
  """Writes model.safetensors and model_config.json of a release.

  Raises:
    InputError: the release is not of this preset, or damaged.
  """
  config, readers = exchange.opened(source)
  tokens, denoiser = config["conditioner"]["width"], config["denoiser"]
  _check_heads(
    denoiser["width"], denoiser["heads"], where=source / "config.json"
  )
  for where, found, public in (
    # The prompt is not projected, the rest follows from its width.
    ("conditioner.text_width", config["conditioner"]["text_width"], tokens),
    ("denoiser.condition_width", denoiser["condition_width"], tokens),
    (
      "denoiser.cross_heads",
      denoiser["cross_heads"],
      tokens * denoiser["heads"] // denoiser["width"],
    ),
    ("denoiser.time_features", denoiser["time_features"], _TIME_FEATURES),
  ):
    if found != public:
      raise errors.InputError(
        source / "config.json",
        f"{where}: stable-audio-tools has {public}, this is {found}",
      )
  table = exchange.rows(config, "stable-audio-tools")

  def every():
    for name, part in table.items():
      yield from tables.to_theirs(part, readers[name].read)
    # Recomputed by their model, but missed by a strict load.
    turned = denoiser["width"] // denoiser["heads"] // 2
    frequencies = 10_000.0 ** (-np.arange(0, turned, 2) / turned)
    for name in stable_audio.TOOLS_DERIVED:
      yield name, frequencies.astype(np.float32)

  out.mkdir(parents=True, exist_ok=True)
  tensors.write(out / WEIGHTS, every())
  with files.atomic_path(out / CONFIG) as temporary:
    temporary.write_text(json.dumps(_their_config(config), indent=2) + "\n")


def _read_config(path: pathlib.Path) -> dict[str, Any]:
  """Our config of their model_config.json."""
  document = settings.Settings.read(path)
  document.must_be("model_type", "diffusion_cond")
  document.must_be("sample_rate", exchange.RATE)
  model = document.within("model")
  pretransform = model.within("pretransform")
  pretransform.must_be("scale", 1.0, default=1.0)
  coder = pretransform.within("config")
  coder.within("bottleneck").must_be("type", "vae")
  encoder, decoder = (
    coder.within(side).within("config") for side in ("encoder", "decoder")
  )
  latents = decoder.whole("latent_dim")
  encoder.must_be("latent_dim", 2 * latents)
  decoder.must_be("channels", encoder.whole("channels"))
  decoder.must_be("c_mults", encoder.wholes("c_mults"))
  decoder.must_be("strides", encoder.wholes("strides"))
  decoder.must_be("final_tanh", False, default=True)
  for side in (encoder, decoder):
    side.must_be("use_snake", True, default=False)
  tokens = _read_conditioning(model.within("conditioning"))

  diffusion = model.within("diffusion")
  diffusion.must_be("type", "dit")
  diffusion.must_be("diffusion_objective", "v", default="v")
  diffusion.must_be("cross_attention_cond_ids", [_PROMPT, *_NUMBERS])
  diffusion.must_be("global_cond_ids", [*_NUMBERS])
  dit = diffusion.within("config")
  dit.must_be("io_channels", latents)
  dit.must_be("cond_token_dim", tokens)
  dit.must_be("global_cond_dim", 2 * tokens)
  dit.must_be("project_cond_tokens", False, default=True)
  dit.must_be("global_cond_type", "prepend", default="prepend")
  width, heads = dit.whole("embed_dim"), dit.whole("num_heads")
  _check_heads(width, heads, where=path)
  config = {
    "codec": {
      "channels": encoder.whole("in_channels"),
      "latents": latents,
      "width": encoder.whole("channels"),
      "multiples": encoder.wholes("c_mults"),
      "strides": encoder.wholes("strides"),
    },
    "denoiser": {
      "latents": latents,
      "width": width,
      "depth": dit.whole("depth"),
      "heads": heads,
      "cross_heads": tokens // (width // heads),
      "condition_width": tokens,
      "time_features": _TIME_FEATURES,
    },
    "conditioner": {"width": tokens, "text_width": tokens},
  }
  hop = math.prod(config["codec"]["strides"])
  window = document.whole("sample_size") // hop
  return exchange.defaults({**config, "window": window})


def _check_heads(width: int, heads: int, *, where: pathlib.Path) -> None:
  """Their model turns half of a head's channels by position, 32 at least."""
  if width // heads < 64:
    raise errors.InputError(
      where,
      f"{heads} heads in {width} channels: below 64 channels a head, "
      "stable-audio-tools' rotary positions are others than ours",
    )


def _read_conditioning(section: settings.Settings) -> int:
  """The width of the conditioning's tokens."""
  prompt, *numbers = section.each("configs", count=1 + len(_NUMBERS))
  prompt.must_be("id", _PROMPT)
  prompt.must_be("type", "t5")
  for number, name in zip(numbers, _NUMBERS, strict=True):
    number.must_be("id", name)
    number.must_be("type", "number")
    bounds = number.within("config")
    bounds.must_be("min_val", 0)
    bounds.must_be("max_val", 512)
  return section.whole("cond_dim")


def _their_config(config: Mapping[str, Any]) -> dict[str, Any]:
  codec, denoiser = config["codec"], config["denoiser"]
  hop = math.prod(codec["strides"])
  tokens = config["conditioner"]["width"]
  sizes = {
    "channels": codec["width"],
    "c_mults": codec["multiples"],
    "strides": codec["strides"],
    "use_snake": True,
  }
  coder = {
    "encoder": {
      "type": "oobleck",
      "config": {
        "in_channels": codec["channels"],
        **sizes,
        "latent_dim": 2 * codec["latents"],
      },
    },
    "decoder": {
      "type": "oobleck",
      "config": {
        "out_channels": codec["channels"],
        **sizes,
        "latent_dim": codec["latents"],
        "final_tanh": False,
      },
    },
    "bottleneck": {"type": "vae"},
    "latent_dim": codec["latents"],
    "downsampling_ratio": hop,
    "io_channels": codec["channels"],
  }
  bounds = {"min_val": 0, "max_val": 512}
  prompt = {"t5_model_name": "t5-base", "max_length": 128}
  return {
    "model_type": "diffusion_cond",
    "sample_size": config["window"] * hop,
    "sample_rate": exchange.RATE,
    "audio_channels": codec["channels"],
    "model": {
      "pretransform": {
        "type": "autoencoder",
        "iterate_batch": True,
        "config": coder,
      },
      "conditioning": {
        "configs": [
          {"id": _PROMPT, "type": "t5", "config": prompt},
          *({"id": n, "type": "number", "config": bounds} for n in _NUMBERS),
        ],
        "cond_dim": tokens,
      },
      "diffusion": {
        "type": "dit",
        "cross_attention_cond_ids": [_PROMPT, *_NUMBERS],
        "global_cond_ids": [*_NUMBERS],
        "config": {
          "io_channels": denoiser["latents"],
          "embed_dim": denoiser["width"],
          "depth": denoiser["depth"],
          "num_heads": denoiser["heads"],
          "cond_token_dim": tokens,
          "global_cond_dim": 2 * tokens,
          "project_cond_tokens": False,
          "transformer_type": "continuous_transformer",
        },
      },
      "io_channels": denoiser["latents"],
    },
  }
