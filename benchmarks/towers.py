"""Frozen towers against transformers' classes, at released geometries.

Weights are transformers' initial values, and every vector (norms, biases,
gains), which starts at 0 or 1, is moved. Tokenizers and the processing of
pictures are compared by the tests, text by text and pixel by pixel.
"""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator

import jax
import numpy as np
import torch
import transformers

from benchmarks import comparison
from vta.encoders import (
  clap,
  clip,
  dinov2,
  htsat,
  languagebind,
  t5,
  vit,
  weights,
)

_WHERE = "transformers"


def _random(kind, config) -> tuple[torch.nn.Module, dict[str, np.ndarray]]:
  """A model, and its tensors as its files have them."""
  torch.manual_seed(0)
  model = kind(config).eval()
  with torch.no_grad():
    for value in model.parameters():
      if value.ndim == 1:
        value += 0.3 * torch.randn_like(value)
  with tempfile.TemporaryDirectory(prefix="vta-parity-") as folder:
    model.save_pretrained(folder)
    return model, weights.read_folder_tensors(pathlib.Path(folder))


def _row(name, model, inputs, ours, theirs) -> comparison.Row:
  return comparison.Row(
    name=name,
    against=type(model).__name__,
    package="transformers",
    inputs=comparison.shape(inputs),
    parameters=sum(p.numel() for p in model.parameters()),
    error=comparison.relative(
      {str(i): np.asarray(x) for i, x in enumerate(ours)},
      {str(i): x.numpy() for i, x in enumerate(theirs)},
    ),
  )


def _pictures(count: int, size: int) -> np.ndarray:
  rng = np.random.default_rng(0)
  return rng.standard_normal((count, size, size, 3), np.float32)


def clip_image() -> comparison.Row:
  """ViT-B/32: all hidden states of the last layer, pooled, projected."""
  config = transformers.CLIPVisionConfig()
  model, state = _random(transformers.CLIPVisionModelWithProjection, config)
  pictures = _pictures(2, 224)
  with torch.no_grad():
    made = model(torch.tensor(pictures).permute(0, 3, 1, 2))
    pooled = model.vision_model.post_layernorm(made.last_hidden_state[:, 0])
  own = clip.ImageConfig()
  params = clip.convert_image(state, own, where=_WHERE)
  ours = vit.encode(clip.ImageTower(own), params, pictures)
  theirs = (made.last_hidden_state, pooled, made.image_embeds)
  return _row("CLIP image, B/32", model, pictures, ours, theirs)


def clip_text() -> comparison.Row:
  """B/32's: all hidden states of the last layer, pooled, projected."""
  config = transformers.CLIPTextConfig(eos_token_id=49407)
  model, state = _random(transformers.CLIPTextModelWithProjection, config)
  ids = np.random.default_rng(0).integers(0, 49406, (2, 77)).astype(np.int32)
  ids[0, 9:], ids[1, 76] = 49407, 49407
  with torch.no_grad():
    made = model(torch.tensor(ids, dtype=torch.int64))
  own = clip.TextConfig()
  params = clip.convert_text(state, own, where=_WHERE)
  hidden, _, projected = vit.encode(clip.TextTower(own), params, ids)
  theirs = (made.last_hidden_state, made.text_embeds)
  return _row("CLIP text, B/32", model, ids, (hidden, projected), theirs)


def dinov2_base() -> comparison.Row:
  """B/14 at 224 pixels, its positions interpolated from 518."""
  config = transformers.Dinov2Config(image_size=518)
  model, state = _random(transformers.Dinov2Model, config)
  pictures = _pictures(2, 224)
  with torch.no_grad():
    made = model(torch.tensor(pictures).permute(0, 3, 1, 2))
  own = dinov2.Dinov2Config(image_size=518)
  params = dinov2.convert(state, own, where=_WHERE)
  ours = vit.encode(dinov2.Dinov2(own), params, pictures)
  theirs = (made.last_hidden_state,)
  return _row("DINOv2, B/14", model, pictures, (ours,), theirs)


def t5_base() -> comparison.Row:
  """T5-base's encoder on two prompts, one of them padded."""
  config = transformers.T5Config(
    d_model=768, d_ff=3072, num_layers=12, num_heads=12
  )
  model, state = _random(transformers.T5EncoderModel, config)
  ids = np.random.default_rng(0).integers(0, 32_000, (2, 128)).astype(np.int32)
  mask = np.arange(128)[None] < np.array([[128], [20]])
  with torch.no_grad():
    made = model(
      torch.tensor(ids, dtype=torch.int64), torch.tensor(mask).long()
    )
  own = t5.T5Config.parse(config.to_dict(), where=_WHERE)
  params = t5.convert(state, own, where=_WHERE)
  ours = jax.jit(t5.T5Encoder(own).apply)({"params": params}, ids, mask)
  theirs = (made.last_hidden_state,)
  return _row("T5 encoder, base", model, ids, (ours,), theirs)


def clap_audio() -> comparison.Row:
  """HTSAT unfused, on decibels of 10 s: hidden states and projection."""
  config = transformers.ClapAudioConfig()
  model, state = _random(transformers.ClapAudioModelWithProjection, config)
  rng = np.random.default_rng(0)
  decibels = rng.standard_normal((1, 1001, 64), np.float32)
  with torch.no_grad():
    made = model(torch.tensor(decibels)[:, None])
  own = htsat.Config()
  params = clap.convert(state, own, where=_WHERE)
  hidden, _, projected = vit.encode(htsat.Tower(own), params, decibels)
  theirs = (made.last_hidden_state.permute(0, 3, 2, 1), made.audio_embeds)
  return _row("CLAP audio", model, decibels, (hidden, projected), theirs)


def languagebind_video() -> comparison.Row:
  """The tests' small tower: its own class needs a transformers of 2023.

  What it adds to transformers' CLIP, attention between frames, is written down
  there in torch.
  """
  from tests import test_encoders_languagebind as written

  with tempfile.TemporaryDirectory(prefix="vta-parity-") as folder:
    path, model = written.make(
      pathlib.Path(folder), vision=written.VIDEO, new=True
    )
    encoder = languagebind.VideoEncoder.load(path)
  rng = np.random.default_rng(0)
  clips = rng.standard_normal((2, written.FRAMES, 28, 28, 3), np.float32)
  ours = vit.encode(encoder.tower, encoder.params, clips)
  theirs = written.expected(model, clips)
  row = _row("LanguageBind video, small", model, clips, ours, theirs)
  return dataclasses.replace(row, against="CLIPModel and attention in time")


def rows() -> Iterator[comparison.Row]:
  """Every tower, one after the other."""
  transformers.utils.logging.disable_progress_bar()
  towers = (clip_image, clip_text, dinov2_base, t5_base, clap_audio)
  for compare in (*towers, languagebind_video):
    yield compare()
