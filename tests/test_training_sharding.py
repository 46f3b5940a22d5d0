"""Where parameters lie: rules, goldens of the flagships, and equal results."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from vta import errors
from vta.interop import trees
from vta.training import configs, mesh, sharding, system

ROOT = pathlib.Path(__file__).parents[1]
GOLDENS = pathlib.Path(__file__).parent / "goldens"
FLAGSHIPS = {
  "tri_ergon_l": "tri_ergon.py:l",
  "tri_ergon_s": "tri_ergon.py:s",
  "foley": "foley.py",
  "draw_an_audio": "composed.py:draw_an_audio-loudness",
  "sonicvision": "composed.py:sonicvision",
  "vta_sam": "composed.py:vta_sam",
}


def axes(**sizes):
  """Of a mesh of devices that are not here."""
  return {axis: sizes.get(axis, 1) for axis in mesh.AXES}


def shapes(config):
  """Of all parameters that a config trains and decodes by."""
  plain = configs.load(f"{ROOT}/configs/{config}", []).to_dict()
  codec = configs.load(f"{ROOT}/configs/codec.py", []).codec.to_dict()
  of = {"codec": codec, "latent_mean": [0.0] * 64, "latent_std": [1.0] * 64}
  made = system.build({**plain, **of})
  key = jax.random.key(0)
  both = {
    "model": jax.eval_shape(made.init, key),
    "codec": jax.eval_shape(made.init_codec, key),
  }
  return {name: leaf.shape for name, leaf in trees.flatten(both).items()}


def cuts(shapes, where):
  """What is cut, by name; the rest lies whole on every device."""
  specs = {n: sharding.spec(n, shape, where) for n, shape in shapes.items()}
  return {n: list(spec) for n, spec in specs.items() if any(spec)}


@pytest.mark.parametrize("name", FLAGSHIPS)
def test_flagships_lie_as_they_did(name):
  found = shapes(FLAGSHIPS[name])
  cut = cuts(found, axes(fsdp=8, tensor=2))
  golden = GOLDENS / f"sharding_{name}.txt"
  lines = (f"{path}: {' '.join(a or '-' for a in cut[path])}" for path in cut)
  text = "\n".join(sorted(lines)) + "\n"
  if not golden.exists():  # deleted on purpose, to be written anew
    golden.write_text(text)
  assert text == golden.read_text(), f"if this is meant, delete {golden}"
  # Nothing large is on every device.
  largest = max(np.prod(s) for n, s in found.items() if n not in cut)
  assert largest <= 2**17


@pytest.mark.parametrize(
  ("path", "shape", "sizes", "expected"),
  [
    ("a/attn1/to_q/kernel", (4, 96, 96), {"fsdp": 8}, (None, "fsdp", "tensor")),
    ("a/to_k_frames/kernel", (192, 96), {"fsdp": 8}, ("fsdp", "tensor")),
    ("a/attn1/to_out_0/kernel", (256, 96), {"fsdp": 8}, ("tensor", "fsdp")),
    # Seven divides neither; then nothing is cut.
    ("a/attn1/to_q/kernel", (2, 128, 128), {"fsdp": 7}, ()),
    ("a/attn1/to_q/kernel", (7, 128, 128), {"fsdp": 7}, ("fsdp",)),
    ("a/other/kernel", (128, 384), {"fsdp": 8}, (None, "fsdp")),
    ("a/other/kernel", (16, 1024, 512), {"fsdp": 8}, (None, "fsdp")),
    ("a/other/kernel", (4, 4), {"fsdp": 4}, ()),
    ("a/norm/scale", (24, 1536), {"fsdp": 8}, ()),
    ("step", (), {"fsdp": 8}, ()),
  ],
)
def test_rules(path, shape, sizes, expected):
  assert sharding.spec(path, shape, axes(**sizes)) == PartitionSpec(*expected)


def test_a_name_without_a_rule_is_an_error():
  with pytest.raises(ValueError, match=r"no rule .* a/secret \(3, 4\)"):
    sharding.spec("a/secret", (3, 4), axes())


@pytest.mark.parametrize(
  ("layout", "devices", "expected"),
  [
    ({}, 8, (8, 1, 1)),
    ({"data": 1, "fsdp": -1}, 8, (1, 8, 1)),
    ({"fsdp": 2, "tensor": 2}, 8, (2, 2, 2)),
    ({"data": 2, "fsdp": 3}, 8, "does not fit 8 devices"),
    ({"data": 2}, 8, "does not fit 8 devices"),
    ({"fsdp": -1}, 8, "one may be -1"),
    ({"fsdp": 0}, 8, "sizes are 1 or more"),
  ],
)
def test_axes_share_the_devices(layout, devices, expected):
  if isinstance(expected, tuple):
    assert mesh.Layout(**layout).shape(devices) == expected
    return
  with pytest.raises(errors.InputError, match=expected):
    mesh.Layout(**layout).shape(devices)


def test_an_axis_of_another_name_is_refused():
  with pytest.raises(errors.InputError, match="no axis is called pipeline"):
    mesh.make({"pipeline": 2})


@pytest.fixture(scope="module")
def runs():
  """What several_devices.py found on eight devices, by layout."""
  script = pathlib.Path(__file__).parent / "several_devices.py"
  made = subprocess.run(
    [sys.executable, script],
    capture_output=True,
    text=True,
    check=False,
    env={**os.environ, "PYTHONPATH": str(script.parents[1])},
  )
  assert made.returncode == 0, made.stderr[-2000:]
  return json.loads(made.stdout.splitlines()[-1])


def test_any_mesh_trains_the_same(runs):
  """Sums in another order: losses to 1e-5, parameters to 5e-4 of the top."""
  alone = runs["one"]
  for name, run in runs.items():
    np.testing.assert_allclose(run["losses"], alone["losses"], rtol=1e-5)
    assert run["apart"] < 5e-4, name


def test_nothing_is_copied_that_should_be_cut(runs):
  # Bytes of the state that one device of eight holds, of all there are.
  assert runs["one"]["share"] == 1.0
  assert runs["fsdp"]["share"] < 0.2
  assert runs["all three"]["share"] < 0.35
  # A gather of parameters before each product, a reduction after.
  assert runs["one"]["gathers"] == runs["one"]["reductions"] == 0
  assert runs["fsdp"]["gathers"] > 5
  assert runs["all three"]["reductions"] > runs["fsdp"]["reductions"] > 0
  # The models' constraints are in the program: a mesh that flax does not see
  # would drop them without a word.
  assert all(run["constraints"] > 3 for run in runs.values())
