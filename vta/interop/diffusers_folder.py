"""A folder of diffusers' StableAudioPipeline, to a release and back."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from vta import errors, files
from vta.interop import exchange, release, settings, tables, tensors

INDEX = "model_index.json"
_WEIGHTS = "diffusion_pytorch_model.safetensors"
# Our part -> their folder.
_FOLDERS = {
  "codec": "vae",
  "conditioner": "projection_model",
  "denoiser": "transformer",
}
_CLASSES = {
  "projection_model": ("stable_audio", "StableAudioProjectionModel"),
  "scheduler": ("diffusers", "CosineDPMSolverMultistepScheduler"),
  "text_encoder": ("transformers", "T5EncoderModel"),
  "tokenizer": ("transformers", "T5TokenizerFast"),
  "transformer": ("diffusers", "StableAudioDiTModel"),
  "vae": ("diffusers", "AutoencoderOobleck"),
}
# papers.md 3.7: the sampling that the public card asks for.
_SCHEDULER = {
  "sigma_min": 0.3,
  "sigma_max": 500,
  "sigma_data": 1.0,
  "sigma_schedule": "exponential",
  "num_train_timesteps": 1000,
  "solver_order": 2,
  "prediction_type": "v_prediction",
  "rho": 7.0,
  "solver_type": "midpoint",
  "lower_order_final": True,
  "euler_at_final": False,
  "final_sigmas_type": "zero",
}
# Of the text encoder's folder; the rest is the tokenizer's.
_ENCODER_FILES = ("config.json", "generation_config.json")


def import_folder(source: pathlib.Path, out: pathlib.Path) -> None:
  """Writes a release of what StableAudioPipeline would load from `source`.

  Raises:
    InputError: naming the file and every name, shape or setting that does not
      fit; nothing is written then.
  """
  config = _read_config(source)
  wanted = exchange.shapes(config, where=source)
  readers = {
    part: tensors.Reader(source / folder / _WEIGHTS)
    for part, folder in _FOLDERS.items()
  }
  table = exchange.rows(config, "diffusers")
  for part in _FOLDERS:
    exchange.check(table[part], readers[part], ours=wanted[part])
  parts = {
    part: tables.to_ours(table[part], readers[part].read) for part in _FOLDERS
  }
  out.mkdir(parents=True, exist_ok=True)
  # A pipeline may have neither: its prompts come encoded.
  for folder in ("text_encoder", "tokenizer"):
    if (source / folder).is_dir():
      exchange.copy_files(source / folder, out / exchange.TEXT_ENCODER)
  release.write(out, config=config, parts=parts, card=exchange.card(source))


def export_folder(source: pathlib.Path, out: pathlib.Path) -> None:
  """Writes the folder that StableAudioPipeline loads of a release.

  Raises:
    InputError: the release is not of this preset, or damaged.
  """
  config, readers = exchange.opened(source)
  codec = config["codec"]
  if codec["width"] != 2 * codec["latents"]:
    raise errors.InputError(
      source / "config.json",
      f"codec.width: diffusers has twice the latents, {2 * codec['latents']}, "
      f"this is {codec['width']}",
    )
  table = exchange.rows(config, "diffusers")
  documents = _their_configs(config)
  for part, folder in _FOLDERS.items():
    (out / folder).mkdir(parents=True, exist_ok=True)
    tensors.write(
      out / folder / _WEIGHTS,
      tables.to_theirs(table[part], readers[part].read),
    )
  (out / "scheduler").mkdir(exist_ok=True)
  texts = source / exchange.TEXT_ENCODER

  def of_encoder(name):
    return name.startswith("model") or name in _ENCODER_FILES

  if texts.is_dir():
    exchange.copy_files(texts, out / "text_encoder", wanted=of_encoder)
    exchange.copy_files(
      texts, out / "tokenizer", wanted=lambda name: not of_encoder(name)
    )
  index = {"_class_name": "StableAudioPipeline"}
  for folder, names in _CLASSES.items():
    index[folder] = list(names) if (out / folder).is_dir() else [None, None]
  for path, document in {**documents, INDEX: index}.items():
    with files.atomic_path(out / path) as temporary:
      temporary.write_text(json.dumps(document, indent=2) + "\n")


def _read_config(source: pathlib.Path) -> dict[str, Any]:
  """Our config of their folders' config.json."""
  vae, projection, transformer = (
    settings.Settings.read(source / _FOLDERS[part] / "config.json")
    for part in ("codec", "conditioner", "denoiser")
  )
  width = vae.whole("encoder_hidden_size")
  vae.must_be("decoder_channels", width)
  vae.must_be("sampling_rate", exchange.RATE)
  projection.must_be("min_value", 0)
  projection.must_be("max_value", 512)
  heads = transformer.whole("num_attention_heads")
  latents = vae.whole("decoder_input_channels")
  # Their encoder ends in as many channels as it begins with: mean and scale.
  vae.must_be("encoder_hidden_size", 2 * latents)
  tokens = projection.whole("conditioning_dim")
  for name, value in (
    ("in_channels", latents),
    ("out_channels", latents),
    ("cross_attention_input_dim", tokens),
    ("global_states_input_dim", 2 * tokens),
  ):
    transformer.must_be(name, value)
  return exchange.defaults(
    {
      "codec": {
        "channels": vae.whole("audio_channels"),
        "latents": latents,
        "width": width,
        "multiples": vae.wholes("channel_multiples"),
        "strides": vae.wholes("downsampling_ratios"),
      },
      "denoiser": {
        "latents": latents,
        "width": heads * transformer.whole("attention_head_dim"),
        "depth": transformer.whole("num_layers"),
        "heads": heads,
        "cross_heads": transformer.whole("num_key_value_attention_heads"),
        "condition_width": transformer.whole("cross_attention_dim"),
        "time_features": transformer.whole("time_proj_dim"),
      },
      "conditioner": {
        "width": tokens,
        "text_width": projection.whole("text_encoder_dim"),
      },
      "window": transformer.whole("sample_size"),
    }
  )


def _their_configs(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  codec, denoiser = config["codec"], config["denoiser"]
  width = config["conditioner"]["width"]
  return {
    "vae/config.json": {
      "_class_name": "AutoencoderOobleck",
      "encoder_hidden_size": codec["width"],
      "downsampling_ratios": codec["strides"],
      "channel_multiples": codec["multiples"],
      "decoder_channels": codec["width"],
      "decoder_input_channels": codec["latents"],
      "audio_channels": codec["channels"],
      "sampling_rate": exchange.RATE,
    },
    "projection_model/config.json": {
      "_class_name": "StableAudioProjectionModel",
      "text_encoder_dim": config["conditioner"]["text_width"],
      "conditioning_dim": width,
      "min_value": 0,
      "max_value": 512,
    },
    "transformer/config.json": {
      "_class_name": "StableAudioDiTModel",
      "sample_size": config["window"],
      "in_channels": denoiser["latents"],
      "out_channels": denoiser["latents"],
      "num_layers": denoiser["depth"],
      "attention_head_dim": denoiser["width"] // denoiser["heads"],
      "num_attention_heads": denoiser["heads"],
      "num_key_value_attention_heads": denoiser["cross_heads"],
      "cross_attention_dim": denoiser["condition_width"],
      "cross_attention_input_dim": width,
      "global_states_input_dim": 2 * width,
      "time_proj_dim": denoiser["time_features"],
    },
    "scheduler/scheduler_config.json": {
      "_class_name": "CosineDPMSolverMultistepScheduler",
      **_SCHEDULER,
    },
  }
