"""CLAP's audio tower and what it hears against transformers."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import soxr
import torch
import transformers

from vta import errors
from vta.encoders import clap, clap_audio, htsat, vit, weights

# Largest difference over largest value, float32.
TOLERANCE = 1e-5
# Stages of 8x8 and 4x4 tokens in windows of 4: of the second layers only the
# first stage's moves its windows.
AUDIO = {
  "window_size": 4,
  "num_mel_bins": 16,
  "spec_size": 32,
  "depths": [2, 2],
  "num_attention_heads": [2, 4],
  "patch_embeds_hidden_size": 16,
  "hidden_size": 32,
  "layer_norm_eps": 0.01,
  "mlp_ratio": 3.0,
}
TEXT = {
  "hidden_size": 8,
  "intermediate_size": 8,
  "num_hidden_layers": 1,
  "num_attention_heads": 1,
  "vocab_size": 9,
}
# 51 frames of a second, in a picture of 64: two parts of 32.
HEARING = {
  "feature_size": 16,
  "sampling_rate": 8000,
  "hop_length": 160,
  "max_length_s": 1,
  "fft_window_size": 256,
  "frequency_min": 50,
  "frequency_max": 3900,
  "truncation": "rand_trunc",
  "padding": "repeatpad",
}
EXTRACTOR = transformers.ClapFeatureExtractor(**HEARING)
WAVES = np.random.default_rng(0).normal(size=(3, 8000, 1)).astype(np.float32)


def make(folder, **saving):
  torch.manual_seed(0)
  model = transformers.ClapModel(
    transformers.ClapConfig(
      audio_config=AUDIO, text_config=TEXT, projection_dim=20
    )
  ).eval()
  with torch.no_grad():
    for name, value in model.state_dict().items():
      # Far from the identity; running statistics too, and variances positive.
      if value.is_floating_point():
        value += torch.randn_like(value) * (0.3 if value.ndim == 1 else 0.2)
      if name.endswith("running_var"):
        value.copy_(value.abs() * 900)
      if name.endswith("running_mean"):
        value.copy_(value * 9 - 20)
  model.save_pretrained(folder, **saving)
  EXTRACTOR.save_pretrained(folder)
  return folder, model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
  return make(tmp_path_factory.mktemp("clap"))


def relative(ours, theirs):
  theirs = np.asarray(theirs)
  assert ours.shape == theirs.shape
  assert (theirs.std(axis=-1) > 0).all()
  return np.abs(ours - theirs).max() / np.abs(theirs).max()


def features_of(waves):
  made = EXTRACTOR(list(waves[..., 0]), sampling_rate=8000, return_tensors="pt")
  return made["input_features"].float()


def assert_equal(features, model, inputs):
  with torch.no_grad():
    theirs = model.audio_model(inputs)
    projected = model.audio_projection(theirs.pooler_output)
    embedding = model.get_audio_features(inputs).pooler_output
  # Channels, bands, time.
  hidden = theirs.last_hidden_state.permute(0, 3, 2, 1)
  assert relative(features.tokens, hidden) < TOLERANCE
  assert relative(features.pooled, theirs.pooler_output) < TOLERANCE
  assert relative(features.projected, projected) < TOLERANCE
  assert relative(features.embedding, embedding) < TOLERANCE


def test_sound_to_features_equals_transformers(tiny):
  folder, model = tiny
  encoder = clap.AudioEncoder.load(folder)
  ours = encoder.encode(WAVES, rate=8000)
  assert ours.tokens.shape == (3, 8, 2, 32)
  assert_equal(ours, model, features_of(WAVES))
  assert encoder.encode(WAVES[:0], rate=8000).embedding.shape == (0, 20)
  np.testing.assert_allclose(
    encoder.encode(WAVES[1:2], rate=8000).embedding,
    ours.embedding[1:2],
    atol=1e-5,
  )


def test_the_tower_alone_or_pickled(tiny, tmp_path):
  folder, model = tiny
  alone = transformers.ClapAudioModelWithProjection.from_pretrained(folder)
  alone.save_pretrained(tmp_path)
  EXTRACTOR.save_pretrained(tmp_path)
  encoder = clap.AudioEncoder.load(tmp_path)
  assert_equal(encoder.encode(WAVES, rate=8000), model, features_of(WAVES))
  pickled = change(folder, tmp_path / "pickled")
  (pickled / "model.safetensors").unlink()
  torch.save(model.state_dict(), pickled / "pytorch_model.bin")
  expected = jax.tree.leaves(encoder.params)
  read = jax.tree.leaves(clap.AudioEncoder.load(pickled).params)
  for ours, theirs in zip(read, expected, strict=True):
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("length", [8000, 7999, 3000, 900, 300])
@pytest.mark.parametrize("setting", [HEARING, {"truncation": "rand_trunc"}])
def test_decibels_equal_transformers(tmp_path, length, setting):
  extractor = transformers.ClapFeatureExtractor(**setting)
  extractor.save_pretrained(tmp_path)
  processor = clap_audio.Processor.load(tmp_path / clap_audio.FILE)
  rate = extractor.sampling_rate
  wave = (
    WAVES[0, :length] * np.linspace(0, 1, length, dtype=np.float32)[:, None]
  )
  theirs = extractor(wave[:, 0], sampling_rate=rate)["input_features"][0][0]
  ours = processor(wave, rate)
  assert ours.shape == (processor.frames, processor.feature_size)
  np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_of_a_long_sound_the_start_of_the_channels_mean_is_heard(tiny):
  processor = clap.AudioEncoder.load(tiny[0]).processor
  stereo = np.concatenate([WAVES[0], WAVES[1]])
  stereo = np.concatenate([stereo, stereo[::-1]], axis=1)
  mono = stereo.mean(axis=1, keepdims=True)
  heard = processor(stereo, 8000)
  np.testing.assert_array_equal(heard, processor(mono[:8000], 8000))
  fast = soxr.resample(mono, 8000, 11_025)
  back = soxr.resample(fast, 11_025, 8000)
  theirs = features_of(back[None, :8000])[0, 0]
  assert relative(processor(fast, 11_025), theirs) < 1e-4
  with pytest.raises(ValueError, match="the sound is empty"):
    processor(stereo[:0], 8000)


def test_bfloat16_is_close(tiny):
  rough = clap.AudioEncoder.load(tiny[0], dtype="bfloat16")
  assert {x.dtype.name for x in jax.tree.leaves(rough.params)} == {"float32"}
  exact = clap.AudioEncoder.load(tiny[0])
  ours, theirs = (x.encode(WAVES, rate=8000) for x in (rough, exact))
  assert ours.embedding.dtype == np.float32
  assert 1e-4 < relative(ours.embedding, theirs.embedding) < 5e-2


def test_in_bfloat16_branches_are_added_in_float32(tiny):
  rough = clap.AudioEncoder.load(tiny[0], dtype="bfloat16")
  decibels = jnp.stack([rough.processor(wave, 8000) for wave in WAVES])
  _, seen = rough.tower.apply(
    {"params": rough.params},
    decibels,
    capture_intermediates=lambda module, _: isinstance(module, htsat._Layer),
  )
  layers = {
    name: made["__call__"][0].dtype.name
    for name, made in seen["intermediates"].items()
  }
  stages = [(0, 0), (0, 1), (1, 0), (1, 1)]
  assert layers == {f"stage_{s}_layer_{i}": "float32" for s, i in stages}


@pytest.mark.parametrize("outputs", [128, 101, 300])
def test_stretching_from_corner_to_corner_is_torch_s(outputs):
  x = np.random.default_rng(0).normal(size=(1, 1, 101, 2)).astype(np.float32)
  theirs = torch.nn.functional.interpolate(
    torch.tensor(x), (outputs, 2), mode="bicubic", align_corners=True
  )
  ours = vit.cubic(101, outputs, corners=True) @ x[0, 0]
  assert relative(ours, theirs[0, 0]) < TOLERANCE


# laion/clap-htsat-unfused, and laion/larger_clap_general.
GEOMETRIES = [
  {},
  {
    "depths": [2, 2, 12, 2],
    "patch_embeds_hidden_size": 128,
    "hidden_size": 1024,
  },
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_released_geometries_have_as_many_parameters(geometry, tmp_path):
  theirs = transformers.ClapConfig(audio_config=geometry)
  with torch.device("meta"):
    model = transformers.ClapAudioModelWithProjection(theirs.audio_config)
  theirs.save_pretrained(tmp_path)
  config = clap._parse(tmp_path / "config.json")
  made = jax.eval_shape(
    htsat.Tower(config).init,
    jax.random.key(0),
    np.zeros((1, 1001, 64), np.float32),
  )
  expected = sum(p.numel() for p in model.parameters())
  assert sum(x.size for x in jax.tree.leaves(made)) == expected


def test_defaults_are_those_of_transformers():
  theirs = transformers.ClapAudioConfig()
  for name, value in dataclasses.asdict(htsat.Config()).items():
    assert getattr(theirs, name) == value, name
  theirs = transformers.ClapFeatureExtractor()
  for name, value in dataclasses.asdict(clap_audio.Processor()).items():
    assert getattr(theirs, name) == value, name


def change(folder, path, *, hearing=None, **audio):
  """A copy of a folder with fields of its two JSON files changed."""
  path.mkdir(exist_ok=True)
  for file in folder.iterdir():
    (path / file.name).write_bytes(file.read_bytes())
  config = json.loads((path / "config.json").read_text())
  config["audio_config"] |= audio
  (path / "config.json").write_text(json.dumps(config))
  settings = json.loads((path / clap_audio.FILE).read_text())
  (path / clap_audio.FILE).write_text(json.dumps(settings | (hearing or {})))
  return path


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"enable_fusion": True}, "enable_fusion is true; only"),
    ({"hidden_act": "relu"}, "hidden_act is 'relu'; only 'gelu'"),
    ({"patch_stride": [2, 2]}, "patch_stride must be patch_size, not 2"),
    ({"num_mel_bins": 12}, "spec_size must be a multiple of num_mel_bins"),
    ({"num_attention_heads": [2]}, "must be as many as depths"),
    ({"num_attention_heads": [3, 4]}, "must divide the stages' widths"),
    ({"hidden_size": 64}, "hidden_size must be the last stage's, 32"),
    ({"window_size": 8}, "every stage must consist of whole windows"),
    ({"depths": "2"}, "depths must list whole numbers, not '2'"),
    ({"depths": [2, True]}, "depths must list whole numbers"),
    ({"depths": [2, 1]}, r"layers\.1\.blocks\.1\..* is not in the model"),
    ({"depths": [3, 2]}, r"layers\.0\.blocks\.2\..* is missing"),
    ({"mlp_ratio": 2.0}, r"intermediate\.dense\.weight has shape"),
    ({"hearing": {"truncation": "fusion"}}, "truncation is 'fusion'; only"),
    ({"hearing": {"padding": "pad"}}, "padding is 'pad'; only 'repeatpad'"),
    ({"hearing": {"feature_size": 8}}, "51 frames of 8 bands, but"),
    (
      {"hearing": {"max_length_s": 2}},
      r"101 frames of 16 bands, but .* 64 of 16",
    ),
    ({"hearing": {"hop_length": 0}}, "hop_length must be a positive number"),
  ],
)
def test_a_folder_that_does_not_fit(tiny, tmp_path, fields, message):
  with pytest.raises(errors.InputError, match=message):
    clap.AudioEncoder.load(change(tiny[0], tmp_path, **fields))


def test_every_tensor_that_does_not_fit_is_listed(tiny, tmp_path):
  folder = change(tiny[0], tmp_path)
  tensors = weights.read_folder_tensors(folder)
  root = "audio_model.audio_encoder"
  moved = tensors.pop(f"{root}.layers.0.downsample.norm.bias")
  tensors[f"{root}.layers.0.oops"] = moved
  tensors["audio_projection.linear2.bias"] = moved
  safetensors.numpy.save_file(tensors, folder / "model.safetensors")
  with pytest.raises(errors.InputError) as caught:
    clap.AudioEncoder.load(folder)
  for message in (
    "3 tensors do not fit",
    "downsample.norm.bias is missing",
    "layers.0.oops is not in the model",
    "linear2.bias has shape (64,), expected (20,)",
  ):
    assert message in caught.value.message


def test_missing_files_are_named(tiny, tmp_path):
  folder = change(tiny[0], tmp_path)
  (folder / "model.safetensors").unlink()
  with pytest.raises(errors.InputError, match=r"; model\.safetensors missing"):
    clap.AudioEncoder.load(folder)
  (folder / clap_audio.FILE).unlink()
  with pytest.raises(errors.InputError, match=rf"{clap_audio.FILE} missing"):
    clap.AudioEncoder.load(folder)
