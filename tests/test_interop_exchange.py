"""Public folders to releases and back, and the pipeline that loads them."""

import hashlib
import json
import shutil
import sys
import types

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import tiny_stable_audio
import torch
import transformers
from diffusers.pipelines.stable_audio import StableAudioProjectionModel

from vta import cli
from vta.conditioning import stable_audio as conditioning
from vta.diffusion import guidance, sampler
from vta.interop import exchange, release
from vta.models import autoencoder, dit

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
WIDTH, LATENTS, WINDOW = 64, 8, 12


def _randomise(model):
  generator = torch.Generator().manual_seed(3)
  with torch.no_grad():
    for name, parameter in model.named_parameters():
      noise = torch.randn(parameter.shape, generator=generator)
      # A gain that crosses zero would turn its kernel around.
      if name.endswith("weight_g"):
        parameter.mul_(1.0 + 0.1 * noise)
      else:
        parameter.copy_(0.2 * noise)
  return model


@pytest.fixture(scope="module")
def public(tmp_path_factory):
  """A small StableAudioPipeline folder, as diffusers writes its parts."""
  folder = tmp_path_factory.mktemp("public")
  torch.manual_seed(0)
  parts = {
    "transformer": diffusers.StableAudioDiTModel(
      sample_size=WINDOW,
      in_channels=LATENTS,
      out_channels=LATENTS,
      num_layers=2,
      attention_head_dim=64,
      num_attention_heads=2,
      num_key_value_attention_heads=1,
      cross_attention_dim=WIDTH,
      cross_attention_input_dim=WIDTH,
      global_states_input_dim=2 * WIDTH,
    ),
    "vae": diffusers.AutoencoderOobleck(
      encoder_hidden_size=2 * LATENTS,
      downsampling_ratios=[2, 4],
      channel_multiples=[1, 2],
      decoder_channels=2 * LATENTS,
      decoder_input_channels=LATENTS,
    ),
    "projection_model": StableAudioProjectionModel(WIDTH, WIDTH, 0, 512),
  }
  for name, model in parts.items():
    _randomise(model).save_pretrained(folder / name)
  texts = transformers.T5Config(
    vocab_size=20, d_model=WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2
  )
  transformers.T5EncoderModel(texts).save_pretrained(folder / "text_encoder")
  (folder / "tokenizer").mkdir()
  (folder / "tokenizer/tokenizer.json").write_text("{}")
  (folder / "model_index.json").write_text("{}")
  return folder


def _digests(folder):
  return {
    str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).digest()
    for file in sorted(folder.rglob("*"))
    if file.is_file()
  }


def _run(*arguments):
  return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def imported(public, tmp_path_factory):
  out = tmp_path_factory.mktemp("imported") / "release"
  assert _run("import", public, "--out", out) == 0
  return out


@pytest.fixture(scope="module")
def exported(imported, tmp_path_factory):
  out = tmp_path_factory.mktemp("exported") / "folder"
  assert _run("export", imported, "--out", out) == 0
  return out


def test_diffusers_there_and_back_is_bit_identical(
  public, imported, exported, tmp_path
):
  for folder in ("transformer", "vae", "projection_model"):
    name = f"{folder}/diffusion_pytorch_model.safetensors"
    theirs = safetensors.numpy.load_file(public / name)
    ours = safetensors.numpy.load_file(exported / name)
    assert theirs.keys() == ours.keys()
    for key, tensor in theirs.items():
      assert tensor.dtype == ours[key].dtype
      np.testing.assert_array_equal(tensor, ours[key])
  for name in ("text_encoder/model.safetensors", "tokenizer/tokenizer.json"):
    assert (public / name).read_bytes() == (exported / name).read_bytes()
  again = tmp_path / "again"
  assert _run("import", exported, "--out", again) == 0
  first, second = _digests(imported), _digests(again)
  # The card names the folder that it came from.
  assert first.pop("README.md") != second.pop("README.md")
  assert first == second


def test_tools_there_and_back_is_bit_identical(imported, tmp_path):
  out, again = tmp_path / "tools", tmp_path / "again"
  assert (
    _run("export", imported, "--format", "stable-audio-tools", "--out", out)
    == 0
  )
  assert sorted(p.name for p in out.iterdir()) == [
    "model.safetensors",
    "model_config.json",
  ]
  # What their files hold besides.
  table = safetensors.numpy.load_file(out / "model.safetensors")
  np.testing.assert_allclose(
    table["model.model.transformer.rotary_pos_emb.inv_freq"],
    [10_000 ** (-i / 16) for i in range(16)],
    rtol=1e-6,
  )
  texts = imported / exchange.TEXT_ENCODER
  assert _run("import", out, "--text-encoder", texts, "--out", again) == 0
  first, second = _digests(imported), _digests(again)
  # The card names the folder that it came from.
  assert first.pop("README.md") != second.pop("README.md")
  assert first == second


def test_the_exported_pipeline_generates_what_we_do(
  imported, exported, monkeypatch
):
  """diffusers from the folder alone, with our noise in its scheduler."""
  monkeypatch.setitem(sys.modules, "torchsde", types.ModuleType("torchsde"))
  from diffusers.schedulers import scheduling_cosine_dpmsolver_multistep as m

  steps, scale, seconds = 4, 3.0, 2e-3
  rng = np.random.default_rng(5)
  prompt = rng.normal(size=(1, 6, WIDTH)).astype(np.float32)
  noise = rng.normal(size=(1, WINDOW, LATENTS)).astype(np.float32)
  keys = jax.random.split(jax.random.key(1), 1)
  schedule = sampler.dpm_solver(steps=steps)

  loaded = release.load(imported)
  denoiser = dit.DiT(dit.DiTConfig(**loaded.config["denoiser"]))
  conditioner = conditioning.StableAudio(
    conditioning.StableAudioConfig(**loaded.config["conditioner"])
  )

  def conditions(keep):
    inputs = {
      "text_tokens": jnp.asarray(prompt),
      "text_mask": jnp.ones(prompt.shape[:2], bool),
      "timing": jnp.array([[0.0, seconds]]),
    }
    params = {"params": loaded.parts["conditioner"]}
    return conditioner.apply(params, inputs, jnp.full((1, 1), keep))

  @jax.jit
  def ours(noise):
    branches = [conditions(keep) for keep in (False, True)]

    def denoise(z, times):
      params = {"params": loaded.parts["denoiser"]}
      both = [denoiser.apply(params, z, times, branch) for branch in branches]
      return guidance.guide(jnp.stack(both), jnp.full((1, 1), scale))

    return sampler.sample(denoise, noise, schedule, keys=keys)

  latents = np.asarray(ours(jnp.asarray(noise)))

  pipeline = diffusers.StableAudioPipeline.from_pretrained(
    exported, text_encoder=None, tokenizer=None, scheduler=None
  )
  with open(exported / "scheduler/scheduler_config.json") as stream:
    settings = json.load(stream)
  pipeline.scheduler = m.CosineDPMSolverMultistepScheduler.from_config(settings)
  fresh = iter(
    torch.tensor(
      np.asarray(sampler._normal(keys, i, noise.shape[1:]))
    ).transpose(1, 2)
    for i in range(steps)
  )
  monkeypatch.setattr(
    m, "BrownianTreeNoiseSampler", lambda *_, **__: lambda *_: next(fresh)
  )
  pipeline.set_progress_bar_config(disable=True)
  theirs = pipeline(
    prompt_embeds=torch.tensor(prompt),
    attention_mask=torch.ones(prompt.shape[:2], dtype=torch.long),
    latents=torch.tensor(noise).transpose(1, 2),
    audio_end_in_s=seconds,
    num_inference_steps=steps,
    guidance_scale=scale,
    output_type="latent",
  ).audios
  theirs = theirs.transpose(1, 2).numpy()
  assert np.abs(latents - theirs).max() < 1e-4 * np.abs(theirs).max()
  assert np.abs(latents - noise).max() > 0.1

  codec = autoencoder.Autoencoder(
    autoencoder.AutoencoderConfig(**{
      k: tuple(v) if isinstance(v, list) else v
      for k, v in loaded.config["codec"].items()
    })
  )  # fmt: skip
  decode = jax.jit(lambda z: codec.apply(
    {"params": loaded.parts["codec"]}, z, method="decode"
  ))  # fmt: skip
  wave = np.asarray(decode(jnp.asarray(latents)))
  with torch.no_grad():
    want = pipeline.vae.decode(torch.tensor(latents).transpose(1, 2)).sample
  want = want.transpose(1, 2).numpy()
  assert np.abs(wave - want).max() < 1e-4 * np.abs(want).max()


def _edit(folder, name, **changes):
  file = folder / name
  document = json.loads(file.read_text())
  document.update(changes)
  file.write_text(json.dumps(document))


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (
      lambda f: _edit(f, "transformer/config.json", num_layers=3),
      "transformer_blocks.2.attn1.to_k.weight is missing",
    ),
    (
      lambda f: _edit(f, "transformer/config.json", num_layers="2"),
      "num_layers: must be a positive whole number, not '2'",
    ),
    (
      lambda f: _edit(f, "vae/config.json", sampling_rate=48_000),
      "sampling_rate: only 44100 is known here, not 48000",
    ),
    (
      lambda f: _edit(f, "vae/config.json", downsampling_ratios=[2, 3]),
      "has shape",
    ),
    (
      lambda f: _edit(f, "vae/config.json", decoder_input_channels=4),
      "encoder_hidden_size: only 8 is known here, not 16",
    ),
    (lambda f: (f / "vae/config.json").unlink(), "vae/config.json: is missing"),
    (
      lambda f: (f / "vae/config.json").write_text("[]"),
      "must hold an object",
    ),
    (
      lambda f: (f / "vae/diffusion_pytorch_model.safetensors").write_bytes(
        b"\x80\x04 a pickle"
      ),
      "cannot be read as safetensors",
    ),
    (
      lambda f: (f / "model_index.json").unlink(),
      "holds neither model_index.json",
    ),
  ],
)
def test_a_folder_that_does_not_fit(public, tmp_path, capsys, damage, message):
  folder, out = tmp_path / "folder", tmp_path / "out"
  shutil.copytree(public, folder)
  damage(folder)
  assert _run("import", folder, "--out", out) == 2
  line = capsys.readouterr().err
  assert message in line
  assert line.count("\n") == 1
  assert sorted(p.name for p in tmp_path.iterdir()) == ["folder"]


def test_sizes_that_make_no_model(public, imported, tmp_path, capsys):
  folder, copy, out = (tmp_path / name for name in ("folder", "copy", "out"))
  shutil.copytree(public, folder)
  _edit(folder, "vae/config.json", downsampling_ratios=[2, 4, 8])
  assert _run("import", folder, "--out", out) == 2
  assert "describes no model: ValueError: one mult" in capsys.readouterr().err
  shutil.copytree(imported, copy)
  _edit(copy, "config.json", denoiser={"depht": 2})
  assert _run("export", copy, "--out", out) == 2
  assert "describes no model: TypeError" in capsys.readouterr().err
  assert not out.exists()


def test_the_text_encoder_that_is_named_is_there(imported, tmp_path, capsys):
  tools, out = tmp_path / "tools", tmp_path / "out"
  shape = ("--format", "stable-audio-tools")
  assert _run("export", imported, *shape, "--out", tools) == 0
  nowhere = tmp_path / "nowhere"
  assert _run("import", tools, "--text-encoder", nowhere, "--out", out) == 2
  assert "nowhere: is missing" in capsys.readouterr().err
  assert _run("import", tools, "--out", out) == 0
  assert _run("export", out, "--out", tmp_path / "folder") == 0
  assert "prompts have to come encoded" in capsys.readouterr().out


def test_a_text_encoder_is_added_to_a_folder_without(public, tmp_path, capsys):
  folder, texts = tmp_path / "folder", tmp_path / "t5"
  shutil.copytree(public, folder)
  add = ("--text-encoder", texts, "--out")
  (folder / "text_encoder").rename(texts)
  assert _run("import", folder, "--out", tmp_path / "bare") == 0
  assert "prompts have to come encoded" in capsys.readouterr().out
  assert _run("import", folder, *add, tmp_path / "whole") == 0
  assert "prompts" not in capsys.readouterr().out
  assert (tmp_path / "whole" / exchange.TEXT_ENCODER / "config.json").is_file()
  assert _run("import", public, *add, tmp_path / "two") == 2
  assert "has a text encoder of its own" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    (
      "model.diffusion.diffusion_objective",
      "rectified_flow",
      "model.diffusion.diffusion_objective: only 'v' is known here",
    ),
    ("model.pretransform.scale", 0.5, "model.pretransform.scale: only 1.0"),
    (
      "model.pretransform.config.bottleneck.type",
      "rvq",
      "bottleneck.type: only 'vae' is known here",
    ),
    ("model.conditioning.configs", [], "configs: must be a list of 3, not []"),
    ("model.diffusion.config.num_heads", 4, "4 heads in 128 channels: below"),
  ],
)
def test_tools_settings_that_change_the_result(
  imported, tmp_path, capsys, field, value, message
):
  tools, out = tmp_path / "tools", tmp_path / "out"
  shape = ("--format", "stable-audio-tools")
  assert _run("export", imported, *shape, "--out", tools) == 0
  document = json.loads((tools / "model_config.json").read_text())
  *path, name = field.split(".")
  section = document
  for part in path:
    section = section[part]
  section[name] = value
  (tools / "model_config.json").write_text(json.dumps(document))
  assert _run("import", tools, "--out", out) == 2
  line = capsys.readouterr().err
  assert message in line
  assert line.count("\n") == 1
  assert not out.exists()


def test_small_heads_are_not_exported_to_tools(tmp_path, capsys):
  source, out = tiny_stable_audio.folder(), tmp_path / "out"
  shape = ("--format", "stable-audio-tools")
  assert _run("export", source, *shape, "--out", out) == 2
  assert "1 heads in 16 channels: below 64" in capsys.readouterr().err
  assert not out.exists()


def test_pickles_beside_the_weights_are_not_passed_on(public, tmp_path):
  folder, out = tmp_path / "folder", tmp_path / "out"
  shutil.copytree(public, folder)
  # What public t5-base holds besides: the same weights, for other libraries.
  for name in ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"):
    (folder / "text_encoder" / name).write_bytes(b"\x80\x04")
  (folder / "text_encoder/spiece.model").write_bytes(b"words")
  assert _run("import", folder, "--out", out) == 0
  names = {path.name for path in (out / exchange.TEXT_ENCODER).iterdir()}
  assert names == {
    "config.json",
    "model.safetensors",
    "spiece.model",
    "tokenizer.json",
  }


def test_pickles_are_refused(tmp_path, capsys):
  (tmp_path / "model.ckpt").write_bytes(b"\x80\x04")
  assert _run("import", tmp_path, "--out", tmp_path / "out") == 2
  assert "model.ckpt is a pickle" in capsys.readouterr().err


def test_other_presets_and_places_are_refused(imported, tmp_path, capsys):
  out = tmp_path / "out"
  copy = tmp_path / "copy"
  shutil.copytree(imported, copy)
  _edit(copy, "config.json", preset="foley")
  assert _run("export", copy, "--out", out) == 2
  assert "preset: only 'stable_audio' has" in capsys.readouterr().err
  config = json.loads((imported / "config.json").read_text())
  for section, name, value in (
    ("denoiser", "qk_norm", True),
    ("codec", "edge", 3),
  ):
    changed = {**config[section], name: value}
    _edit(copy, "config.json", **{**config, section: changed})
    assert _run("export", copy, "--out", out) == 2
    assert f"{section}.{name}: the public layout" in capsys.readouterr().err
  out.mkdir()
  assert _run("export", imported, "--out", out) == 2
  assert "is there already" in capsys.readouterr().err
