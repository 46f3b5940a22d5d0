"""CLIP's towers and tokenizer against transformers, at random weights."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import tokenizers
import torch
import transformers

from vta import errors
from vta.encoders import clip, images, vit, weights

# Largest difference over largest value, float32.
TOLERANCE = 1e-5
VISION = {
  "hidden_size": 32,
  "intermediate_size": 48,
  "num_hidden_layers": 3,
  "num_attention_heads": 4,
  "image_size": 28,
  "patch_size": 7,
  "projection_dim": 20,
  "layer_norm_eps": 0.01,
}
TEXT = {
  "hidden_size": 24,
  "intermediate_size": 40,
  "num_hidden_layers": 2,
  "num_attention_heads": 3,
  "projection_dim": 20,
  "layer_norm_eps": 0.02,
}
TEXTS = [
  "Rain  on a\ttin roof",
  "it's 3 dogs; a café, 雨!",
  "",
  "rain <|endoftext|> rain",
  "a train in the rain, " * 20,
]
FRAMES = np.random.default_rng(0).integers(0, 256, (3, 40, 53, 3), np.uint8)
PROCESSOR = transformers.CLIPImageProcessorPil(
  size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
)


def tokenizer(pad):
  """All bytes, a few merges, and the two marks last, as CLIP has them."""
  letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
  merges = [("i", "n</w>"), ("r", "a"), ("ra", "in</w>"), ("t", "rain</w>")]
  words = letters + [f"{letter}</w>" for letter in letters]
  words += ["".join(pair) for pair in merges]
  words += ["<|startoftext|>", "<|endoftext|>"]
  return transformers.CLIPTokenizerFast(
    vocab={word: i for i, word in enumerate(words)},
    merges=merges,
    pad_token=pad,
  )


def make(folder, *, act="quick_gelu", pad="<|endoftext|>", **saving):
  """A random CLIPModel in a folder, the model and its tokenizer."""
  words = tokenizer(pad)
  end = words.eos_token_id
  marks = {"bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": 1}
  config = transformers.CLIPConfig(
    vision_config={**VISION, "hidden_act": act},
    text_config={**TEXT, **marks, "hidden_act": act, "vocab_size": end + 3},
    projection_dim=20,
  )
  torch.manual_seed(0)
  model = transformers.CLIPModel(config).eval()
  with torch.no_grad():
    for name, value in model.named_parameters():
      # Far from the identity, norms and biases too.
      value += torch.randn_like(value) * (0.3 if value.ndim == 1 else 0.2)
      assert value.ndim == 0 or value.std() > 0, name
  model.save_pretrained(folder, **saving)
  words.save_pretrained(folder)
  PROCESSOR.save_pretrained(folder)
  return folder, model, words


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
  return make(tmp_path_factory.mktemp("clip"))


def relative(ours, theirs):
  theirs = theirs.numpy()
  assert ours.shape == theirs.shape
  assert (theirs.std(axis=-1) > 0).all()
  return np.abs(ours - theirs).max() / np.abs(theirs).max()


def assert_equal(features, theirs, projected):
  assert relative(features.tokens, theirs.last_hidden_state) < TOLERANCE
  assert relative(features.pooled, theirs.pooler_output) < TOLERANCE
  assert relative(features.projected, projected) < TOLERANCE


def assert_images_equal(encoder, model):
  """`model` has a vision_model and a visual_projection."""
  pixels = PROCESSOR(list(FRAMES), return_tensors="pt")["pixel_values"]
  with torch.no_grad():
    theirs = model.vision_model(pixels)
    projected = model.visual_projection(theirs.pooler_output)
  assert_equal(encoder.encode(FRAMES), theirs, projected)


def assert_texts_equal(encoder, model, words):
  """`model` has a text_model and a text_projection."""
  codes = words(TEXTS, max_length=77, truncation=True, padding="max_length")
  features = encoder.encode(TEXTS)
  np.testing.assert_array_equal(features.mask, codes["attention_mask"])
  with torch.no_grad():
    theirs = model.text_model(torch.tensor(codes["input_ids"]))
    projected = model.text_projection(theirs.pooler_output)
  assert_equal(features, theirs, projected)


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
def test_towers_of_one_folder_equal_transformers(act, tmp_path):
  folder, model, words = make(tmp_path, act=act)
  assert_images_equal(clip.ImageEncoder.load(folder), model)
  assert_texts_equal(clip.TextEncoder.load(folder), model, words)


@pytest.mark.parametrize("prefixed", [True, False])
def test_a_tower_with_its_projection_alone(tiny, tmp_path, prefixed):
  folder, model, words = tiny
  towers = {
    "vision": transformers.CLIPVisionModelWithProjection,
    "text": transformers.CLIPTextModelWithProjection,
  }
  for part, kind in towers.items():
    alone = kind.from_pretrained(folder).eval()
    path = tmp_path / part
    alone.save_pretrained(path)
    if not prefixed:
      tensors = {
        name.removeprefix(f"{part}_model."): value
        for name, value in weights.read_folder_tensors(path).items()
      }
      safetensors.numpy.save_file(tensors, path / "model.safetensors")
  PROCESSOR.save_pretrained(tmp_path / "vision")
  words.save_pretrained(tmp_path / "text")
  assert_images_equal(clip.ImageEncoder.load(tmp_path / "vision"), model)
  assert_texts_equal(clip.TextEncoder.load(tmp_path / "text"), model, words)
  with pytest.raises(errors.InputError, match="only 'clip' or 'clip_text"):
    clip.TextEncoder.load(change(tmp_path / "vision", tmp_path / "text"))


def test_shards_are_read(tiny, tmp_path):
  folder, _, _ = make(tmp_path, max_shard_size="20KB")
  assert not (folder / "model.safetensors").exists()
  assert len(list(folder.glob("model-*.safetensors"))) > 2
  for kind, inputs in ((clip.ImageEncoder, FRAMES), (clip.TextEncoder, TEXTS)):
    ours, expected = (kind.load(f).encode(inputs) for f in (folder, tiny[0]))
    np.testing.assert_array_equal(ours.tokens, expected.tokens)
    np.testing.assert_array_equal(ours.projected, expected.projected)


@pytest.mark.parametrize("pad", ["<|endoftext|>", "!"])
def test_tokens_equal_transformers(pad, tmp_path):
  folder, _, words = make(tmp_path, pad=pad)
  encoder = clip.TextEncoder.load(folder)
  theirs = words(TEXTS, max_length=77, truncation=True, padding="max_length")
  ours = encoder.tokenizer.encode_batch(TEXTS)
  assert [c.ids for c in ours] == theirs["input_ids"]
  assert {len(c.ids) for c in ours} == {77}
  # The merges were used, and the padding is what was asked for.
  assert ours[0].tokens[:2] == ["<|startoftext|>", "rain</w>"]
  assert ours[0].tokens[-1] == pad


def test_the_other_tower_is_not_read(tiny, tmp_path):
  folder = change(tiny[0], tmp_path)
  path = folder / "model.safetensors"
  tensors = safetensors.torch.load_file(path)
  for kind, others in (
    (clip.ImageEncoder, ("text_",)),
    (clip.TextEncoder, ("vision_", "visual_")),
  ):
    # Numbers that would be refused.
    changed = {
      name: value.to(torch.float8_e4m3fn) if name.startswith(others) else value
      for name, value in tensors.items()
    }
    safetensors.torch.save_file(changed, path)
    ours, expected = (kind.load(f).params for f in (folder, tiny[0]))
    jax.tree.map(np.testing.assert_array_equal, ours, expected)


def test_the_pooled_token_of_old_and_new_configs(tiny):
  folder = tiny[0]
  encoder = clip.TextEncoder.load(folder)
  ids = np.random.default_rng(0).integers(0, 500, (2, 9)).astype(np.int32)
  # The first 300 and the highest id are in different places.
  ids[:, [3, 6]], ids[:, 4] = 300, 510
  for end in (300, 2):
    config = dataclasses.replace(encoder.tower.config, eos_token_id=end)
    _, ours, _ = vit.encode(clip.TextTower(config), encoder.params, ids)
    text_model = transformers.CLIPTextModel.from_pretrained(
      folder, eos_token_id=end
    )
    with torch.no_grad():
      theirs = text_model(torch.tensor(ids))
    place = 3 if end == 300 else 4
    hidden = theirs.last_hidden_state
    torch.testing.assert_close(theirs.pooler_output, hidden[:, place])
    assert relative(ours, theirs.pooler_output) < TOLERANCE


def test_bfloat16_is_close(tiny):
  for kind, inputs in ((clip.ImageEncoder, FRAMES), (clip.TextEncoder, TEXTS)):
    rough = kind.load(tiny[0], dtype="bfloat16")
    assert {x.dtype.name for x in jax.tree.leaves(rough.params)} == {"float32"}
    exact, made = (x.encode(inputs) for x in (kind.load(tiny[0]), rough))
    for name in ("tokens", "pooled", "projected"):
      ours, theirs = getattr(made, name), getattr(exact, name)
      assert ours.dtype == np.float32
      assert 1e-3 < relative(ours, torch.tensor(theirs)) < 3e-2, name


def test_features_do_not_depend_on_the_batch(tiny, monkeypatch):
  encoder = clip.ImageEncoder.load(tiny[0])
  frames = np.concatenate([FRAMES, FRAMES[:, ::-1]])
  whole = encoder.encode(frames)
  monkeypatch.setattr(vit, "_BATCH", 4)
  parts = encoder.encode(frames)
  np.testing.assert_allclose(parts.tokens, whole.tokens, atol=1e-5)
  assert len(parts.pooled) == len(frames)
  assert encoder.encode(frames[:0]).tokens.shape == (0, 17, 32)


def test_texts_that_do_not_fit_are_reported(tiny):
  encoder = clip.TextEncoder.load(tiny[0])
  head = " ".join(["rain"] * 75)
  features = encoder.encode([head, head + " and a Siren"])
  assert features.cut == ("", "and a Siren")
  np.testing.assert_allclose(features.pooled[0], features.pooled[1], atol=1e-5)
  assert encoder.encode([]).tokens.shape == (0, 77, 24)


def test_defaults_are_those_of_transformers():
  pairs = (
    (clip.ImageConfig(), transformers.CLIPVisionConfig()),
    (clip.TextConfig(), transformers.CLIPTextConfig()),
  )
  for ours, theirs in pairs:
    for name, value in dataclasses.asdict(ours).items():
      assert getattr(theirs, name) == value, name


# Width, MLP, layers, heads, patch of the image tower; of the text tower.
GEOMETRIES = {
  "B/32": ((768, 3072, 12, 12, 32), (512, 2048, 12, 8), 512),
  "B/16": ((768, 3072, 12, 12, 16), (512, 2048, 12, 8), 512),
  "L/14": ((1024, 4096, 24, 16, 14), (768, 3072, 12, 12), 768),
  "H/14": ((1280, 5120, 32, 16, 14), (1024, 4096, 24, 16), 1024),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_released_geometries_have_as_many_parameters(name, tmp_path):
  image, text, projection = GEOMETRIES[name]
  names = ("hidden_size", "intermediate_size", "num_hidden_layers")
  names += ("num_attention_heads", "patch_size")
  theirs = transformers.CLIPConfig(
    vision_config=dict(zip(names, image, strict=True)),
    text_config=dict(zip(names[:4], text, strict=True)),
    projection_dim=projection,
  )
  with torch.device("meta"):
    model = transformers.CLIPModel(theirs)
  theirs.save_pretrained(tmp_path)
  path = tmp_path / "config.json"
  config = clip.parse(clip.ImageConfig, "vision", path)
  pictures = np.zeros((1, 224, 224, 3), np.float32)
  ids = np.zeros((1, 77), np.int32)
  towers = (
    (clip.ImageTower(config), pictures),
    (clip.TextTower(clip.parse(clip.TextConfig, "text", path)), ids),
  )
  made = [
    jax.eval_shape(tower.init, jax.random.key(0), inputs)
    for tower, inputs in towers
  ]
  # The logit scale is not ours.
  expected = sum(p.numel() for p in model.parameters()) - 1
  assert sum(x.size for x in jax.tree.leaves(made)) == expected


def change(folder, path, **document):
  """A copy of a folder with fields of config.json changed."""
  path.mkdir(exist_ok=True)
  for file in folder.iterdir():
    (path / file.name).write_bytes(file.read_bytes())
  config = json.loads((path / "config.json").read_text())
  (path / "config.json").write_text(json.dumps(config | document))
  return path


def test_what_old_configs_say_twice(tiny, tmp_path):
  # Of both, transformers takes the one in "_dict".
  folder, model, words = tiny
  config = json.loads((folder / "config.json").read_text())
  folder = change(
    folder,
    tmp_path,
    vision_config={},
    vision_config_dict=config["vision_config"],
    text_config_dict=None,
  )
  assert_images_equal(clip.ImageEncoder.load(folder), model)
  assert_texts_equal(clip.TextEncoder.load(folder), model, words)


@pytest.mark.parametrize(
  ("kind", "part", "renamed", "cut"),
  [
    (clip.ImageEncoder, "vision", "mlp.fc1.bias", "pre_layrnorm.weight"),
    (clip.TextEncoder, "text", "layer_norm2.weight", "final_layer_norm.bias"),
  ],
)
def test_every_tensor_that_does_not_fit_is_listed(
  tiny, tmp_path, kind, part, renamed, cut
):
  folder = change(tiny[0], tmp_path)
  tensors = weights.read_folder_tensors(folder)
  root, layer = f"{part}_model.", "encoder.layers.1"
  moved = tensors.pop(f"{root}{layer}.{renamed}")
  tensors[f"{root}{layer}.oops"] = moved
  tensors[f"{root}{cut}"] = tensors[f"{root}{cut}"][:-1]
  safetensors.numpy.save_file(tensors, folder / "model.safetensors")
  with pytest.raises(errors.InputError) as caught:
    kind.load(folder)
  assert caught.value.where == str(folder)
  width = {"vision": 32, "text": 24}[part]
  for message in (
    "3 tensors do not fit",
    f"{layer}.{renamed} is missing",
    f"{layer}.oops is not in the model",
    f"{cut} has shape ({width - 1},), expected ({width},)",
  ):
    assert message in caught.value.message


@pytest.mark.parametrize(
  ("kind", "fields", "message"),
  [
    (clip.ImageEncoder, {"hidden_act": "relu"}, "only 'quick_gelu' or 'gelu'"),
    (clip.ImageEncoder, {"num_channels": 4}, "only 3"),
    (clip.ImageEncoder, {"hidden_size": 30}, "multiple of num_attention"),
    (
      clip.ImageEncoder,
      {"hidden_size": "x", "patch_size": True},
      "hidden_size must be.*; patch_size must be",
    ),
    (clip.ImageEncoder, {"image_size": 35}, "crop_size is 28"),
    (clip.ImageEncoder, {"num_hidden_layers": 4}, r"layers\.3.* is missing"),
    (clip.ImageEncoder, {"num_hidden_layers": 2}, r"layers\.2.* is not in"),
    (clip.TextEncoder, {"vocab_size": 400}, "has shape|know only 400"),
    (clip.TextEncoder, {"eos_token_id": 7}, "but eos_token_id is 7"),
    (clip.TextEncoder, {"max_position_embeddings": 76}, "expected \\(76, 24"),
  ],
)
def test_a_config_that_does_not_fit(tiny, tmp_path, kind, fields, message):
  name = "text_config" if kind is clip.TextEncoder else "vision_config"
  config = json.loads((tiny[0] / "config.json").read_text())
  changed = {name: config[name] | fields}
  with pytest.raises(errors.InputError, match=message):
    kind.load(change(tiny[0], tmp_path, **changed))


def test_another_model_or_tokenizer_is_refused(tiny, tmp_path):
  folder = change(tiny[0], tmp_path, model_type="siglip")
  with pytest.raises(errors.InputError, match="only 'clip' or 'clip_vision"):
    clip.ImageEncoder.load(folder)
  change(tiny[0], tmp_path, text_config=None)
  with pytest.raises(errors.InputError, match="text_config must be an object"):
    clip.TextEncoder.load(folder)
  change(tiny[0], tmp_path)
  settings = folder / "tokenizer_config.json"
  settings.write_text(json.dumps({"pad_token": {"content": "[PAD]"}}))
  with pytest.raises(errors.InputError, match=r"pad_token '\[PAD\]' is not"):
    clip.TextEncoder.load(folder)
  (folder / "tokenizer.json").write_text("{}")
  with pytest.raises(errors.InputError, match="not a tokenizer"):
    clip.TextEncoder.load(folder)


def test_missing_files_are_named(tiny, tmp_path):
  folder = change(tiny[0], tmp_path)
  (folder / "model.safetensors").unlink()
  for kind in (clip.ImageEncoder, clip.TextEncoder):
    with pytest.raises(
      errors.InputError, match=r"; model\.safetensors missing"
    ):
      kind.load(folder)
  (folder / images.FILE).unlink()
  (folder / "tokenizer.json").unlink()
  with pytest.raises(errors.InputError, match=rf"{images.FILE} missing"):
    clip.ImageEncoder.load(folder)
  with pytest.raises(errors.InputError, match=r"tokenizer\.json missing"):
    clip.TextEncoder.load(folder)
