"""LanguageBind's towers against the transformers classes that they extend.

Its own code needs a transformers of 2023 and is no package; by hand, the towers
were compared with it too (differences of 5e-6 and less). Here, what it adds to
CLIP is written down again in torch.
"""

import json
import math
from unittest import mock

import jax
import numpy as np
import pytest
import tokenizers
import torch
import transformers
from transformers import audio_utils

from vta import errors
from vta.encoders import (
  clip,
  clip_tokens,
  languagebind,
  languagebind_audio,
  languagebind_video,
)
from vta.inference import tri_ergon
from vta.interop import release
from vta.media import write
from vta.training import system

# Largest difference over largest value, float32.
TOLERANCE = 1e-5
FRAMES, WIDTH, HEADS, LAYERS, PATCH = 4, 32, 4, 3, 7
SCALE = 1.7
VISION = {
  "hidden_size": WIDTH,
  "intermediate_size": 48,
  "num_hidden_layers": LAYERS,
  "num_attention_heads": HEADS,
  "hidden_act": "gelu",
  "image_size": 28,
  "patch_size": PATCH,
  "layer_norm_eps": 0.01,
}
TEXT = {
  "hidden_size": 24,
  "intermediate_size": 40,
  "num_hidden_layers": 2,
  "num_attention_heads": 3,
  "hidden_act": "gelu",
  "vocab_size": 520,
  "layer_norm_eps": 0.02,
}
VIDEO = {
  "add_time_attn": True,
  "num_frames": FRAMES,
  "force_patch_dropout": 0.5,
}
MARKS = {"bos_token_id": 518, "eos_token_id": 519}
# 3 x 5 patches, and settings that have a sign and a fraction.
AUDIO = {
  "add_time_attn": False,
  "num_mel_bins": 3 * PATCH,
  "target_length": 5 * PATCH,
  "audio_mean": -4.3,
  "audio_std": 4.6,
}
TEXTS = ["Rain on a TIN  roof", "it's 3 dogs; a café, 雨!", "", "rain, " * 90]
LORA = {"": 0, "temporal_attn": 3, "self_attn": 2}
CLIPS = np.random.default_rng(0).integers(0, 256, (2, 9, 40, 53, 3), np.uint8)
WAVES = np.random.default_rng(1).normal(size=(2, 8000, 2)).astype(np.float32)


def make(folder, *, vision, new=False, lora="", deeper=False):
  """A random model with LanguageBind's names in a folder, and the model.

  `new` as in V1.5; `lora` is where it is, `deeper` as peft since 0.6 names it.
  """
  torch.manual_seed(0)
  model = transformers.CLIPModel(
    transformers.CLIPConfig(
      vision_config=VISION, text_config=TEXT | MARKS, projection_dim=20
    )
  ).eval()
  embeddings = model.vision_model.embeddings
  if "num_mel_bins" in vision:
    count = vision["num_mel_bins"] * vision["target_length"] // PATCH**2
    embeddings.position_embedding = torch.nn.Embedding(1 + count, WIDTH)
  else:
    for layer in model.vision_model.encoder.layers:
      layer.temporal_embedding = torch.nn.Parameter(
        torch.zeros(1, FRAMES, WIDTH)
      )
      layer.temporal_layer_norm1 = torch.nn.LayerNorm(WIDTH, eps=0.01)
      attention = {
        name: torch.nn.Linear(WIDTH, WIDTH)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj")
      }
      layer.temporal_attn = torch.nn.ModuleDict(attention)
      layer.register_forward_pre_hook(between_frames, with_kwargs=True)
  if new:
    embeddings.class_embedding = torch.nn.Parameter(torch.zeros(FRAMES, WIDTH))
  with torch.no_grad():
    for value in model.parameters():
      # Far from the identity, norms and biases too.
      value += torch.randn_like(value) * (0.3 if value.ndim == 1 else 0.2)
    model.logit_scale.fill_(math.log(SCALE))
  tensors = dict(model.state_dict())
  patches = "vision_model.embeddings.patch_embedding.weight"
  if new:
    tensors[patches] = tensors[patches].unsqueeze(2)
  if lora:
    tensors = with_lora(model, lora, deeper)
  torch.save(tensors, folder / "pytorch_model.bin")
  config = {
    "model_type": "LanguageBindVideo",
    "projection_dim": 20,
    "text_config": TEXT | MARKS,
    "vision_config": VISION
    | vision
    | {"lora_r": LORA[lora], "lora_alpha": 5, "lora_dropout": 0.1}
    | ({"clip_type": "vl_new"} if new else {}),
  }
  (folder / "config.json").write_text(json.dumps(config))
  words(folder)
  return folder, model


def between_frames(layer, inputs, keywords):
  """What LanguageBind puts before a layer."""
  x = inputs[0].reshape(-1, FRAMES, *inputs[0].shape[1:])
  x = x + layer.temporal_embedding[:, :, None]
  y = layer.temporal_layer_norm1(x).transpose(1, 2)
  project = layer.temporal_attn
  q, k, v = (
    project[f"{name}_proj"](y).unflatten(-1, (HEADS, -1)).transpose(2, 3)
    for name in "qkv"
  )
  y = torch.nn.functional.scaled_dot_product_attention(q, k, v)
  y = project["out_proj"](y.transpose(2, 3).flatten(-2))
  x = x + y.transpose(1, 2)
  return (x.reshape(inputs[0].shape), *inputs[1:]), keywords


def with_lora(model, place, deeper):
  """Gives the model random LoRA; the state dict has it apart, as peft's."""
  tensors, root = {}, "vision_model.encoder."
  for name, value in model.state_dict().items():
    old = name
    name = name.replace(root, f"{root}base_model.model.")
    head, _, end = name.rpartition(".")
    if f"{place}." in name and name.startswith(root):
      tensors[f"{head}.base_layer.{end}" if deeper else name] = value.clone()
      if end == "weight":
        a, b = torch.randn(LORA[place], WIDTH), torch.randn(WIDTH, LORA[place])
        tensors[f"{head}.lora_A.default.weight"] = a
        tensors[f"{head}.lora_B.default.weight"] = b / 9
        model.get_parameter(old).data += 5 / LORA[place] * (b / 9 @ a)
    else:
      tensors[name] = value
  return tensors


def words(folder):
  """vocab.json and merges.txt of all bytes and a few merges."""
  letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
  merges = [("i", "n</w>"), ("r", "a"), ("ra", "in</w>"), ("t", "rain</w>")]
  names = letters + [f"{letter}</w>" for letter in letters]
  names += ["".join(pair) for pair in merges]
  names += ["<|pad|>", "<|other|>"]
  names += ["<|startoftext|>", "<|endoftext|>"]
  numbers = {name: i for i, name in enumerate(names)}
  (folder / "vocab.json").write_text(json.dumps(numbers))
  lines = ["#version: 0.2", *(" ".join(pair) for pair in merges), ""]
  (folder / "merges.txt").write_text("\n".join(lines))
  return transformers.CLIPTokenizer(vocab=numbers, merges=merges)


def expected(model, pictures):
  """By transformers' layers, of `pictures` [n, f, h, w, 3] or [n, h, w, 3]."""
  frames = 1 if pictures.ndim == 4 else pictures.shape[1]
  pixels = torch.tensor(pictures).reshape(-1, *pictures.shape[-3:])
  vision = model.vision_model
  parts = vision.embeddings
  with torch.no_grad():
    x = parts.patch_embedding(pixels.permute(0, 3, 1, 2)).flatten(2).mT
    first = parts.class_embedding.reshape(-1, 1, WIDTH)
    first = first.repeat(len(x) // len(first), 1, 1)
    x = torch.cat([first, x], 1) + parts.position_embedding.weight
    x = vision.encoder(inputs_embeds=vision.pre_layrnorm(x)).last_hidden_state
    pooled = vision.post_layernorm(x[:, 0]).unflatten(0, (-1, frames)).mean(1)
    projected = model.visual_projection(pooled)
  tokens = x.unflatten(0, (-1, frames)) if pictures.ndim == 5 else x
  return tokens, pooled, projected


def relative(ours, theirs):
  theirs = np.asarray(theirs)
  assert ours.shape == theirs.shape
  assert (theirs.std(axis=-1) > 0).all()
  return np.abs(ours - theirs).max() / np.abs(theirs).max()


def assert_equal(features, theirs, scale=SCALE):
  tokens, pooled, projected = theirs
  assert relative(features.tokens, tokens) < TOLERANCE
  assert relative(features.pooled, pooled) < TOLERANCE
  assert relative(features.projected, projected) < TOLERANCE
  unit = torch.nn.functional.normalize(projected, dim=-1)
  assert relative(features.embedding, unit * scale) < TOLERANCE


@pytest.fixture(scope="module")
def video(tmp_path_factory):
  return make(tmp_path_factory.mktemp("video"), vision=VIDEO)


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
  return make(tmp_path_factory.mktemp("audio"), vision=AUDIO)


@pytest.mark.parametrize(
  "kind",
  [
    {},
    {"new": True},
    {"lora": "temporal_attn"},
    {"lora": "temporal_attn", "deeper": True},
  ],
  ids=["tuned", "v1.5", "lora", "lora of peft 0.6"],
)
def test_video_equals_clip_with_attention_in_time(tmp_path, kind):
  folder, model = make(tmp_path, vision=VIDEO, **kind)
  encoder = languagebind.VideoEncoder.load(folder)
  seen = CLIPS[:, [0, 2, 5, 8]]
  pictures = [languagebind_video.pictures(clip, 28) for clip in seen]
  assert_equal(encoder.encode(CLIPS), expected(model, np.stack(pictures)))


def test_only_the_chosen_frames_of_a_clip_count(video):
  encoder = languagebind.VideoEncoder.load(video[0])
  other = CLIPS[::-1].copy()
  other[:, [0, 2, 5, 8]] = CLIPS[:, [0, 2, 5, 8]]
  ours, theirs = (encoder.encode(x).embedding for x in (other, CLIPS))
  np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("lora", ["", "self_attn"])
def test_audio_equals_clip_on_a_picture_of_sound(tmp_path, lora):
  folder, model = make(tmp_path, vision=AUDIO, lora=lora)
  encoder = languagebind.AudioEncoder.load(folder)
  pictures = np.stack([encoder.processor(wave, 16_000) for wave in WAVES])
  assert pictures.shape == (2, 21, 35, 3)
  assert_equal(encoder.encode(WAVES, rate=16_000), expected(model, pictures))
  assert encoder.encode(WAVES[:0], rate=16_000).embedding.shape == (0, 20)


def test_text_of_either_folder_equals_clip(video, audio, tmp_path):
  for folder, model in (video, audio):
    encoder = languagebind.TextEncoder.load(folder)
    theirs = words(tmp_path)(
      TEXTS, max_length=77, truncation=True, padding="max_length"
    )
    codes = encoder.inner.tokenizer.encode_batch(TEXTS)
    assert [code.ids for code in codes] == theirs["input_ids"]
    assert codes[0].tokens[:2] == ["<|startoftext|>", "rain</w>"]
    features = encoder.encode(TEXTS)
    np.testing.assert_array_equal(features.mask, theirs["attention_mask"])
    assert [bool(cut) for cut in features.cut] == [False] * 3 + [True]
    # They are told about the padding, we need not be.
    inputs = {name: torch.tensor(theirs[name]) for name in theirs}
    with torch.no_grad():
      made = model.text_model(**inputs)
      projected = model.text_projection(made.pooler_output)
    seen = features.mask
    ours, hidden = features.tokens[seen], made.last_hidden_state.numpy()[seen]
    assert relative(ours, hidden) < TOLERANCE
    unit = torch.nn.functional.normalize(projected, dim=-1)
    assert relative(features.embedding, unit) < TOLERANCE


def test_bfloat16_is_close(video, audio):
  for kind, folder, inputs in (
    (languagebind.VideoEncoder, video[0], {"clips": CLIPS}),
    (languagebind.AudioEncoder, audio[0], {"waves": WAVES, "rate": 16_000}),
  ):
    rough = kind.load(folder, dtype="bfloat16")
    assert {x.dtype.name for x in jax.tree.leaves(rough.params)} == {"float32"}
    ours, exact = (x.encode(**inputs) for x in (rough, kind.load(folder)))
    assert ours.embedding.dtype == np.float32
    assert 1e-3 < relative(ours.embedding, exact.embedding) < 5e-2


def test_log_mels_are_kaldi_s():
  """As transformers' Kaldi filters, whose fbank needs no torchaudio."""
  wave = WAVES[0] * np.linspace(0, 1, 8000, dtype=np.float32)[:, None] + 0.2
  filters = audio_utils.mel_filter_bank(
    num_frequency_bins=257,
    num_mel_filters=112,
    min_frequency=20,
    max_frequency=8000,
    sampling_rate=16_000,
    norm=None,
    mel_scale="kaldi",
    triangularize_in_mel_space=True,
  )
  theirs = audio_utils.spectrogram(
    wave[:, 0] - wave.mean(),
    audio_utils.window_function(400, "hann", periodic=False),
    frame_length=400,
    hop_length=160,
    fft_length=512,
    power=2.0,
    center=False,
    preemphasis=0.97,
    mel_filters=filters,
    log_mel="log",
    mel_floor=1.192092955078125e-07,
    remove_dc_offset=True,
  ).T
  ours = languagebind_audio.log_mel(wave, 16_000, 112)
  assert ours.shape == (48, 112)
  assert relative(ours, theirs) < 1e-5
  silence = languagebind_audio.log_mel(np.zeros_like(wave), 16_000, 112)
  np.testing.assert_allclose(silence, math.log(2**-23))


@pytest.mark.parametrize("rate", [44_100, 48_000, 22_050, 8_000])
def test_resampling_is_a_sum_of_windowed_sincs(rate):
  count = rate // 4
  wave = np.random.default_rng(3).normal(size=(count, 2)).astype(np.float32)
  made = languagebind_audio.resample(wave, rate, 16_000)
  assert made.dtype == np.float32
  assert made.shape == (math.ceil(count * 16_000 / rate), 2)
  cut = 0.99 * min(rate, 16_000)
  for i in (0, 1, 1234, len(made) - 1):
    far = np.clip(cut * (np.arange(count) / rate - i / 16_000), -6, 6)
    weights = np.sinc(far) * np.cos(np.pi * far / 12) ** 2 * cut / rate
    np.testing.assert_allclose(made[i], weights @ wave, atol=2e-5)
  # A slow sine is the same sine.
  wave = np.sin(2 * np.pi * 440 * np.arange(count) / rate)[:, None]
  made = languagebind_audio.resample(wave, rate, 16_000)[:, 0]
  theirs = np.sin(2 * np.pi * 440 * np.arange(len(made)) / 16_000)
  assert np.abs(made - theirs)[100:-100].max() < 0.02


def test_what_the_three_colours_show():
  processor = languagebind_audio.Processor(
    bins=21, frames=35, rate=16_000, mean=-4.3, std=4.6
  )
  wave = WAVES[0]
  normal = (languagebind_audio.log_mel(wave, 16_000, 21) + 4.3) / 9.2
  assert normal.shape == (48, 21)
  picture = processor(wave, 16_000)
  # Of 14 places the thirds begin at 0, 5 and 10.
  for colour, start in enumerate((0, 5, 10)):
    theirs = normal[start : start + 35].T
    np.testing.assert_allclose(picture[..., colour], theirs, atol=1e-5)
  # 36 frames: two places, and the last third is empty.
  theirs = languagebind_audio.log_mel(wave[:6000], 16_000, 21)
  theirs = (theirs + 4.3) / 9.2
  picture = processor(wave[:6000], 16_000)
  for colour, start in enumerate((0, 1, 0)):
    shown = theirs[start : start + 35].T
    np.testing.assert_allclose(picture[..., colour], shown, atol=1e-5)
  short = processor(wave[:2000], 16_000)
  count = 1 + (2000 - 400) // 160
  np.testing.assert_array_equal(short[:, :count], short[:, count : 2 * count])
  np.testing.assert_array_equal(short[..., 0], short[..., 2])
  with pytest.raises(ValueError, match=r"lasts 0\.0249 s; at least 0\.025"):
    processor(wave[:399], 16_000)


def test_a_reference_that_is_too_short_is_named(audio, tmp_path):
  towers = tmp_path / tri_ergon.FOLDER
  towers.mkdir()
  (towers / "audio").symlink_to(audio[0])
  path = tmp_path / "click.wav"
  write.write_wave(path, np.zeros((441, 2), np.float32))
  reader = tri_ergon.Reader(
    mock.Mock(spec=system.TriErgon),
    release.Release(folder=tmp_path, config={}, parts={}),
    encode_wave=len,
  )
  with pytest.raises(errors.InputError, match=r"lasts 0\.0100 s") as caught:
    reader._reference(path)
  assert caught.value.where == str(path)


@pytest.mark.parametrize("size", [(40, 53), (61, 33), (29, 28), (28, 28)])
def test_frames_are_resized_as_by_torch(size):
  height, width = size
  frames = np.random.default_rng(2).integers(0, 256, (3, *size, 3), np.uint8)
  short = min(size)
  edges = (int(height * 28 / short), int(width * 28 / short))
  x = torch.tensor(frames).permute(0, 3, 1, 2) / 255
  x = torch.nn.functional.interpolate(
    x, edges, mode="bilinear", align_corners=False, antialias=False
  )
  top, left = (round((edge - 28) / 2) for edge in edges)
  x = x[:, :, top : top + 28, left : left + 28].permute(0, 2, 3, 1)
  mean, std = (
    torch.tensor(getattr(transformers.image_utils, f"OPENAI_CLIP_{name}"))
    for name in ("MEAN", "STD")
  )
  theirs = (x - mean) / std
  ours = languagebind_video.pictures(frames, 28)
  assert ours.dtype == np.float32
  assert relative(ours, theirs) < 1e-4


def test_the_released_video_tower_has_as_many_parameters():
  geometry = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 768,
  }
  with torch.device("meta"):
    model = transformers.CLIPVisionModelWithProjection(
      transformers.CLIPVisionConfig(**geometry)
    )
  config = languagebind.VideoConfig(**geometry, num_frames=8)
  made = jax.eval_shape(
    languagebind.VideoTower(config).init,
    jax.random.key(0),
    np.zeros((1, 8, 224, 224, 3), np.float32),
  )
  time = 4 * (1024**2 + 1024) + 2 * 1024 + 8 * 1024
  plain = sum(p.numel() for p in model.parameters())
  assert sum(x.size for x in jax.tree.leaves(made)) == plain + 24 * time
  sound = languagebind.AudioConfig(
    num_mel_bins=112, target_length=1036, patch_size=14
  )
  assert sound.grid == (8, 74)


def change(folder, path, **vision):
  """A copy of a folder with fields of vision_config changed."""
  path.mkdir(exist_ok=True)
  for file in folder.iterdir():
    (path / file.name).write_bytes(file.read_bytes())
  config = json.loads((path / "config.json").read_text())
  config["vision_config"] |= vision
  (path / "config.json").write_text(json.dumps(config))
  return path


@pytest.mark.parametrize(
  ("kind", "fields", "message"),
  [
    ("Video", {"add_time_attn": False}, "are not a video tower's"),
    ("Video", {"num_frames": 1}, "are not a video tower's"),
    ("Video", {"clip_type": "vl3"}, "only 'vl' or 'vl_new'"),
    ("Video", {"clip_type": "vl_new"}, r"class_embedding has shape \(32,\)"),
    ("Video", {"num_frames": 5}, r"temporal_embedding has shape \(1, 4, 32\)"),
    ("Video", {"lora_r": 2}, "lora_r is 2 in config.json, but.* rank 0"),
    ("Video", {"lora_r": "2"}, "lora_r must be a number"),
    (
      "Video",
      {"num_hidden_layers": 2},
      r"layers\.2\.temp.* is not in the model",
    ),
    ("Audio", {"add_time_attn": True}, "only false is supported"),
    ("Audio", {"num_mel_bins": 0}, "num_mel_bins must be a positive"),
    ("Audio", {"target_length": 42}, r"has shape \(16, 32\), expected \(19"),
  ],
)
def test_a_config_that_does_not_fit(
  video, audio, tmp_path, kind, fields, message
):
  folder = change((video if kind == "Video" else audio)[0], tmp_path, **fields)
  with pytest.raises(errors.InputError, match=message):
    getattr(languagebind, f"{kind}Encoder").load(folder)


@pytest.mark.parametrize(
  ("renamed", "message"),
  [
    ("lora_A.default.weight", "lora_B.* is not in the model"),
    ("lora_B.default.weight", "has no lora_B"),
    ("weight", "has no lora_B or no .*q_proj.weight"),
  ],
)
def test_lora_that_does_not_fit(tmp_path, renamed, message):
  folder, _ = make(tmp_path, vision=VIDEO, lora="temporal_attn")
  path = folder / "pytorch_model.bin"
  tensors = torch.load(path)
  root = "vision_model.encoder.base_model.model.layers.1.temporal_attn.q_proj"
  del tensors[f"{root}.{renamed}"]
  torch.save(tensors, path)
  with pytest.raises(errors.InputError, match=message):
    languagebind.VideoEncoder.load(folder)
  with pytest.raises(errors.InputError, match=r"lora_r is 0.* has rank 3"):
    languagebind.VideoEncoder.load(change(folder, tmp_path, lora_r=0))


def test_missing_files_are_named(video, audio, tmp_path):
  folder = change(video[0], tmp_path)
  with pytest.raises(errors.InputError, match=r"num_mel_bins must be"):
    languagebind.AudioEncoder.load(folder)
  (folder / "merges.txt").unlink()
  with pytest.raises(
    errors.InputError, match=r"tokenizer\.json.*or vocab\.json and merges\.txt"
  ):
    languagebind.TextEncoder.load(folder)
  (folder / "pytorch_model.bin").unlink()
  with pytest.raises(
    errors.InputError, match=r"model\.safetensors.*_model\.bin"
  ):
    languagebind.VideoEncoder.load(folder)
  (folder / "config.json").unlink()
  with pytest.raises(
    errors.InputError, match=r"; config\.json, model\.safetensors missing"
  ):
    languagebind.VideoEncoder.load(folder)


def test_words_that_do_not_fit(tmp_path):
  words(tmp_path)
  settings = {"limit": 519, "end": 519, "length": 7}
  with pytest.raises(errors.InputError, match=r"520 tokens, but .* only 519"):
    clip_tokens.load(tmp_path, **settings)
  with pytest.raises(errors.InputError, match="but eos_token_id is 9"):
    clip_tokens.load(tmp_path, **settings | {"limit": 520, "end": 9})
  (tmp_path / "vocab.json").write_text("{}")
  with pytest.raises(errors.InputError, match=r"not a tokenizer|has no <"):
    clip_tokens.load(tmp_path, **settings)


def test_clip_s_towers_do_not_take_these_folders(video):
  with pytest.raises(errors.InputError, match="model_type is 'LanguageBind"):
    clip.TextEncoder.load(video[0])
