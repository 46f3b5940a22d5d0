"""DINOv2's tower against transformers, at random weights."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import safetensors.numpy
import torch
import transformers

from vta import errors
from vta.encoders import dinov2, images, vit, weights

# Largest difference over largest value, float32.
TOLERANCE = 1e-5
PROCESSOR = transformers.BitImageProcessorPil(
  size={"shortest_edge": 48}, crop_size={"height": 42, "width": 42}
)
FRAMES = np.random.default_rng(0).integers(0, 256, (3, 50, 70, 3), np.uint8)


def make(folder, *, swiglu=False, headed=False, **saving):
  """A random model in a folder, and the model."""
  config = transformers.Dinov2Config(
    # SwiGLU's inner width, 53 and a third, is then rounded up to 56.
    hidden_size=20,
    num_hidden_layers=3,
    num_attention_heads=4,
    # Four by four patches; the processor's pictures have three by three.
    image_size=56,
    layer_norm_eps=0.01,
    use_swiglu_ffn=swiglu,
  )
  torch.manual_seed(0)
  kind = transformers.Dinov2ForImageClassification if headed else None
  model = (kind or transformers.Dinov2Model)(config).eval()
  with torch.no_grad():
    for name, value in model.named_parameters():
      # Far from the identity, norms, gains and biases too.
      value += torch.randn_like(value) * (0.3 if value.ndim == 1 else 0.2)
      assert value.std() > 0, name
  model.save_pretrained(folder, **saving)
  PROCESSOR.save_pretrained(folder)
  return folder, model


@pytest.fixture(scope="module", params=["mlp", "swiglu"])
def tiny(request, tmp_path_factory):
  folder = tmp_path_factory.mktemp("dinov2")
  return make(folder, swiglu=request.param == "swiglu")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
  return make(tmp_path_factory.mktemp("dinov2"))


def reference(model, pictures):
  """Last hidden states, of pictures with channels last."""
  pictures = torch.tensor(pictures).permute(0, 3, 1, 2)
  with torch.no_grad():
    return model(pictures).last_hidden_state.numpy()


def relative(ours, theirs):
  assert (theirs.std(axis=0) > 0).all()
  return np.abs(ours - theirs).max() / np.abs(theirs).max()


def test_frames_equal_transformers(tiny):
  folder, model = tiny
  encoder = dinov2.Encoder.load(folder)
  features = encoder.encode(FRAMES)
  pixels = PROCESSOR(list(FRAMES), return_tensors="np")["pixel_values"]
  theirs = reference(model, pixels.transpose(0, 2, 3, 1))
  assert relative(features.pooled, theirs[:, 0]) < TOLERANCE
  assert relative(features.patches, theirs[:, 1:]) < TOLERANCE


@pytest.mark.parametrize(
  "size",
  # That of training, larger, not square, not of whole patches.
  [(56, 56), (98, 112), (28, 75)],
)
def test_positions_of_other_sizes_equal_transformers(plain, size):
  folder, model = plain
  encoder = dinov2.Encoder.load(folder)
  rng = np.random.default_rng(1)
  pictures = rng.normal(size=(1, *size, 3)).astype(np.float32)
  ours = vit.encode(encoder.tower, encoder.params, pictures)
  theirs = reference(model, pictures)
  patches = (size[0] // 14) * (size[1] // 14)
  assert ours.shape == theirs.shape == (1, 1 + patches, 20)
  assert np.abs(ours - theirs).max() < TOLERANCE * np.abs(theirs).max()


@pytest.mark.parametrize("sizes", [(37, 16), (16, 37), (5, 5), (3, 8)])
def test_interpolation_equals_torch(sizes):
  inputs, outputs = sizes
  signal = torch.randn(1, 1, inputs, inputs, generator=torch.manual_seed(0))
  theirs = torch.nn.functional.interpolate(
    signal, size=(outputs, outputs), mode="bicubic", align_corners=False
  )
  matrix = vit.cubic(inputs, outputs)
  ours = matrix @ signal[0, 0].numpy() @ matrix.T
  np.testing.assert_allclose(ours, theirs[0, 0].numpy(), atol=1e-5)


def test_shards_and_the_prefix_of_a_classifier(plain, tmp_path):
  folder, _ = make(tmp_path, headed=True, max_shard_size="20KB")
  assert not (folder / "model.safetensors").exists()
  assert len(list(folder.glob("model-*.safetensors"))) > 2
  _, model = make(tmp_path / "whole", headed=True)
  ours = dinov2.Encoder.load(folder).encode(FRAMES)
  pixels = PROCESSOR(list(FRAMES), return_tensors="np")["pixel_values"]
  theirs = reference(model.dinov2, pixels.transpose(0, 2, 3, 1))
  assert relative(ours.patches, theirs[:, 1:]) < TOLERANCE


def test_bfloat16_is_close(tiny):
  exact = dinov2.Encoder.load(tiny[0]).encode(FRAMES)
  rough = dinov2.Encoder.load(tiny[0], dtype="bfloat16")
  assert {x.dtype.name for x in jax.tree.leaves(rough.params)} == {"float32"}
  features = rough.encode(FRAMES)
  assert features.patches.dtype == np.float32
  for name in ("pooled", "patches"):
    error = relative(getattr(features, name), getattr(exact, name))
    assert 1e-3 < error < 3e-2, name


def test_defaults_are_those_of_transformers():
  theirs = transformers.Dinov2Config()
  for name, value in dataclasses.asdict(dinov2.Dinov2Config()).items():
    assert getattr(theirs, name) == value, name


def test_the_giant_has_as_many_parameters():
  config = transformers.Dinov2Config(
    hidden_size=1536,
    num_hidden_layers=40,
    num_attention_heads=24,
    image_size=518,
    use_swiglu_ffn=True,
  )
  with torch.device("meta"):
    model = transformers.Dinov2Model(config)
  expected = sum(
    p.numel() for n, p in model.named_parameters() if "mask_token" not in n
  )
  tower = dinov2.Dinov2(
    vit.parse(dinov2.Dinov2Config, config.to_dict(), where="config.json")
  )
  pictures = np.zeros((1, 28, 28, 3), np.float32)
  made = jax.eval_shape(tower.init, jax.random.key(0), pictures)
  assert sum(x.size for x in jax.tree.leaves(made)) == expected > 1.13e9


def change(folder, path, **document):
  """A copy of a folder with fields of config.json changed."""
  for file in folder.iterdir():
    (path / file.name).write_bytes(file.read_bytes())
  config = json.loads((path / "config.json").read_text())
  (path / "config.json").write_text(json.dumps(config | document))
  return path


def test_every_tensor_that_does_not_fit_is_listed(plain, tmp_path):
  folder = change(plain[0], tmp_path)
  tensors = weights.read_folder_tensors(folder)
  root = "encoder.layer.2"
  tensors[f"{root}.mlp.oops"] = tensors.pop(f"{root}.mlp.fc1.bias")
  tensors["layernorm.weight"] = tensors["layernorm.weight"][:-1]
  safetensors.numpy.save_file(tensors, folder / "model.safetensors")
  with pytest.raises(errors.InputError) as caught:
    dinov2.Encoder.load(folder)
  assert caught.value.where == str(folder)
  for message in (
    "3 tensors do not fit",
    f"{root}.mlp.fc1.bias is missing",
    f"{root}.mlp.oops is not in the model",
    "layernorm.weight has shape (19,), expected (20,)",
  ):
    assert message in caught.value.message


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("model_type", "dinov2_with_registers", "only 'dinov2'"),
    ("qkv_bias", False, "only True"),
    ("hidden_act", "relu", "only 'gelu'"),
    ("hidden_size", "20", "hidden_size must be a positive"),
    ("num_attention_heads", 7, "multiple of num_attention_heads"),
    ("use_swiglu_ffn", 1, "use_swiglu_ffn must not be 1"),
    ("num_hidden_layers", 2, r"layer\.2\.norm1\.bias is not in the model"),
    ("num_hidden_layers", 4, r"layer\.3\.norm1\.bias is missing"),
    (
      "use_swiglu_ffn",
      True,
      r"weights_in\.weight is missing.*fc1\.bias is not",
    ),
    ("image_size", 42, r"has shape \(1, 17, 20\), expected \(1, 10, 20\)"),
    ("patch_size", 48, "crop_size 42 is less than a patch"),
  ],
)
def test_a_config_that_does_not_fit(plain, tmp_path, field, value, message):
  with pytest.raises(errors.InputError, match=message):
    dinov2.Encoder.load(change(plain[0], tmp_path, **{field: value}))


def test_missing_files_are_named(plain, tmp_path):
  folder = change(plain[0], tmp_path)
  (folder / "model.safetensors").unlink()
  with pytest.raises(errors.InputError, match=r"; model\.safetensors missing"):
    dinov2.Encoder.load(folder)
  (folder / images.FILE).unlink()
  with pytest.raises(errors.InputError, match=rf"{images.FILE} missing"):
    dinov2.Encoder.load(folder)
