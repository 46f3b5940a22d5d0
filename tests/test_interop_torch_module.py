"""Exports of every preset for torch, run by torch alone."""

import ast
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import tiny_release
import torch

from vta import cli
from vta.interop import exchange, release, torch_names, trees
from vta.training import system

ROOT = pathlib.Path(__file__).parents[1]
COMPONENTS = ["conditioner", "denoiser", "codec.encode", "codec.decode"]
LIMIT = 1e-4

OOBLECK = {
  "latents": 4,
  "width": 4,
  "multiples": (1, 2),
  "strides": (2, 3),
  "dilations": (3,),
}
DENOISER = {
  "latents": 4,
  "width": 32,
  "depth": 2,
  "heads": 4,
  "cross_heads": 2,
  "condition_width": 6,
  "time_features": 8,
}
USE = {
  "codec": OOBLECK,
  "window": 16,
  "latent_mean": (0.0,) * 4,
  "latent_std": (1.0,) * 4,
  "guidance": {},
}
FRAMES = {**tiny_release.CONFIG["conditioner"]["frames"], "tower": 6}
CONFIGS = {
  # Its objects are the one entry that the prepended token has to be spared.
  "foley": {
    **tiny_release.CONFIG,
    "codec": {**tiny_release.CONFIG["codec"], "dilations": (3,)},
    "conditioner": {"vector_width": 8, "frames": FRAMES},
    "denoiser": {**DENOISER, "latents": 8, "condition_width": 8},
  },
  "tri_ergon": {
    **USE,
    "preset": "tri_ergon",
    "codec": {**OOBLECK, "dilations": (1, 3)},
    "conditioner": {"width": 10, "blocks": 12},
    "denoiser": DENOISER,
  },
  "aligned": {
    **USE,
    "preset": "tri_ergon",
    # What it trained in is not what it is compared in.
    "codec": {**OOBLECK, "dtype": "bfloat16"},
    "conditioner": {"width": 10, "blocks": 12, "aligned": True},
    "denoiser": {
      **DENOISER,
      "conditioning": "adaln",
      "qk_norm": True,
      "remat": "full",
      "dtype": "bfloat16",
    },
  },
  "stable_audio": {
    **USE,
    "preset": "stable_audio",
    "conditioner": {"width": 10, "text_width": 8},
    "denoiser": DENOISER,
  },
}


def _random(path, shape, rng):
  """No parameter is at the zero or the one that it starts at."""
  noise = rng.normal(size=shape).astype(np.float32)
  if path.endswith(("/g", "/scale")):
    return 1.0 + 0.2 * noise
  return noise / np.sqrt(shape[-2]) if len(shape) > 1 else 0.3 * noise


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
  made, rng = {}, np.random.default_rng(0)
  for name, config in CONFIGS.items():
    made[name] = tmp_path_factory.mktemp("release") / name
    parts = {
      part: trees.unflatten(
        {path: _random(path, shape, rng) for path, shape in shapes.items()}
      )
      for part, shapes in exchange.shapes(config, where=made[name]).items()
    }
    release.save(made[name], config=config, parts=parts, card="# Random\n")
  return made


def _run(*arguments):
  return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def exports(releases, tmp_path_factory):
  made = {}
  for name, source in releases.items():
    made[name] = tmp_path_factory.mktemp("export") / name
    code = _run("export", source, "--format", "torch", "--out", made[name])
    assert code == 0
  return made


def _python(*arguments, cwd):
  """A process of its own, in which nothing of ours can be found."""
  kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
  return subprocess.run(
    [sys.executable, *map(str, arguments)],
    cwd=cwd,
    env=kept,
    capture_output=True,
    text=True,
    check=False,
  )


def _errors(stdout):
  lines = [line.split() for line in stdout.splitlines()]
  return {name: float(error) for name, error in lines}


# Runs check.py as `python check.py` would, without what it must not need.
_ALONE = """
import runpy, sys
for name in ("vta", "jax", "flax", "diffusers", "transformers", "scipy"):
  sys.modules[name] = None  # importing it raises
sys.path[0] = sys.argv[1]
runpy.run_path(sys.argv[1] + "/check.py", run_name="__main__")
"""


@pytest.mark.parametrize("name", CONFIGS)
def test_torch_alone_computes_what_we_do(exports, name, tmp_path):
  done = _python("-c", _ALONE, exports[name], cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  errors = _errors(done.stdout)
  assert list(errors) == COMPONENTS
  assert max(errors.values()) <= LIMIT


def test_a_weight_that_is_off_is_noticed(exports, tmp_path):
  broken = tmp_path / "broken"
  shutil.copytree(exports["tri_ergon"], broken)
  file = broken / "denoiser.safetensors"
  table = safetensors.numpy.load_file(file)
  name = "transformer_blocks.1.attn2.to_k.weight"
  table[name] = (1.05 * table[name]).astype(table[name].dtype)
  safetensors.numpy.save_file(table, file)
  done = _python(broken / "check.py", cwd=tmp_path)
  assert done.returncode == 1, done.stderr
  errors = _errors(done.stdout)
  assert [name for name in errors if errors[name] > LIMIT] == ["denoiser"]


@pytest.fixture(scope="module")
def vta_torch(exports):
  """An export's module, in this process."""
  sys.path.insert(0, str(exports["tri_ergon"]))
  try:
    yield importlib.import_module("vta_torch")
  finally:
    sys.path.remove(str(exports["tri_ergon"]))
    for name in [n for n in sys.modules if n.startswith("vta_torch")]:
      del sys.modules[name]


def test_names_that_do_not_fit_are_listed(vta_torch, exports, tmp_path):
  broken = tmp_path / "broken"
  shutil.copytree(exports["tri_ergon"], broken)
  file = broken / "conditioner.safetensors"
  table = safetensors.numpy.load_file(file)
  table["tusk"] = table.pop("task")
  safetensors.numpy.save_file(table, file)
  with pytest.raises(RuntimeError, match=r'(?s)"task".*"tusk"'):
    vta_torch.load(broken)


def test_the_noise_is_jax_s_at_any_length(vta_torch):
  filler = importlib.import_module("vta_torch.filler")
  made = filler.normal(300, 512)
  want = jax.random.normal(jax.random.key(0), (300, 512), jnp.float32)
  # Two polynomials for one function, which part in its tails.
  np.testing.assert_allclose(made, want, rtol=2e-5, atol=2e-6)
  torch.testing.assert_close(made[:7], filler.normal(7, 512))


def test_inputs_of_another_size_are_refused(vta_torch, exports):
  model = vta_torch.load(exports["tri_ergon"])
  curve = {"loudness": torch.zeros(1, 13, 2)}
  with pytest.raises(ValueError, match="a curve of 13 blocks, not 12"):
    model.conditioner.encode(curve)
  with pytest.raises(ValueError, match="7 samples are no multiple of the hop"):
    model.codec.encode(torch.zeros(1, 7, 2))
  assert model.codec.hop == 6


def test_without_a_mask_all_latents_are_of_the_clip(vta_torch, exports):
  model = vta_torch.load(exports["tri_ergon"])
  made = system.build(CONFIGS["tri_ergon"])
  blank = made.blank(5)
  inputs = {k: torch.tensor(np.asarray(v)) for k, v in blank.items()}
  given = (torch.ones(1, 5, 4), torch.ones(1))
  with torch.inference_mode():
    conditions = model.conditioner(inputs, inputs["asked"])
    some = model.denoiser(*given, conditions)
    all_ = model.denoiser(*given, conditions, torch.ones(1, 5, dtype=bool))
  torch.testing.assert_close(some, all_)


def test_the_source_needs_torch_numpy_and_safetensors_alone(exports):
  allowed = {"torch", "numpy", "safetensors", "vta_torch"}
  source = ROOT / "vta/interop/torch_module"
  files = sorted(source.rglob("*.py"))
  assert len(files) > 5
  for file in files:
    copied = exports["foley"] / file.relative_to(source)
    assert copied.read_bytes() == file.read_bytes()
    for node in ast.walk(ast.parse(file.read_text())):
      names = []
      if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
      elif isinstance(node, ast.ImportFrom):
        names = [node.module]
      roots = {name.split(".")[0] for name in names}
      assert roots <= allowed | sys.stdlib_module_names, file


def test_what_is_in_the_folder(exports):
  names = {path.name for path in exports["aligned"].iterdir()}
  assert names == {
    *(f"{part}.safetensors" for part in ("codec", "conditioner", "denoiser")),
    *("parity.safetensors", "config.json", "README.md", "check.py"),
    "vta_torch",
  }
  document = json.loads((exports["aligned"] / "config.json").read_text())
  assert document["preset"] == "tri_ergon"
  assert document["denoiser"]["input"] == {"loudness": 10}
  assert "dtype" not in document["denoiser"]
  parity = safetensors.numpy.load_file(
    exports["aligned"] / "parity.safetensors"
  )
  keep = parity["conditioner/keep"]
  assert not keep.all(axis=0).any()
  assert len(np.unique(keep.T, axis=0)) == keep.shape[1]


def test_a_parameter_without_a_rule_is_a_bug():
  with pytest.raises(ValueError, match="no torch name for some/thing of 1"):
    list(torch_names.rows({"some/thing": (3,)}))
  with pytest.raises(ValueError, match=r"two parameters are a\.0\.weight"):
    list(torch_names.rows({"a_0/kernel": (2, 3), "a/0/kernel": (2, 3)}))


def _edit(folder, **changes):
  file = folder / "config.json"
  document = json.loads(file.read_text())
  document.update(changes)
  file.write_text(json.dumps(document))


def _cut(folder):
  file = folder / "codec.safetensors"
  table = safetensors.numpy.load_file(file)
  table.pop("encoder/conv1/g")
  safetensors.numpy.save_file(table, file)


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (lambda f: _edit(f, preset=None), "preset: None is none of ours"),
    (lambda f: _edit(f, window=None, denoiser={}), "describes no model"),
    (_cut, "codec.safetensors: 1 arrays do not fit"),
    (lambda f: (f / "config.json").unlink(), "is not a vta release"),
  ],
)
def test_a_release_that_is_none(releases, tmp_path, capsys, damage, message):
  source, out = tmp_path / "source", tmp_path / "out"
  shutil.copytree(releases["tri_ergon"], source)
  damage(source)
  assert _run("export", source, "--format", "torch", "--out", out) == 2
  line = capsys.readouterr().err
  assert message in line
  assert line.count("\n") == 1
  assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("name", ["foley", "tri_ergon"])
def test_the_public_formats_point_to_torch(releases, tmp_path, capsys, name):
  for form in ("diffusers", "stable-audio-tools"):
    source, out = releases[name], tmp_path / "out"
    assert _run("export", source, "--format", form, "--out", out) == 2
    assert "--format torch writes every preset" in capsys.readouterr().err
    assert not out.exists()
