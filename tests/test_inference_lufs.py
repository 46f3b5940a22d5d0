"""The LUFS predictor on a video: its tower's looks, its curve in LUFS."""

import jax
import jax.numpy as jnp
import media_samples as samples
import numpy as np
import pytest
import test_encoders_dinov2 as tower_lib

from vta import errors
from vta.encoders import dinov2
from vta.inference import lufs
from vta.interop import release
from vta.media import read
from vta.models import lufs_predictor

SIZES = {"depth": 1, "heads": 2, "width": 20}


def make(folder, *, preset="lufs_predictor", **sizes):
  config = lufs_predictor.LufsPredictorConfig(**{**SIZES, **sizes})
  predictor = lufs_predictor.LufsPredictor(config)
  params = jax.jit(predictor.init)(
    jax.random.key(0),
    jnp.zeros((1, 1, config.width)),
    jnp.ones((1, 1), bool),
  )["params"]

  def noisy(x):
    return x + 0.3 * jax.random.normal(jax.random.key(x.size), x.shape)

  release.save(
    folder,
    config={"preset": preset, "predictor": {**SIZES, **sizes}},
    parts={"predictor": jax.tree.map(noisy, params)},
    card="# Random weights, for tests\n",
  )
  return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = make(tmp_path_factory.mktemp("lufs") / "release")
  tower_lib.make(path / "dinov2")
  return path


def test_the_curve_is_the_network_s_at_six_frames_a_second(folder, tmp_path):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (40, 12, 16, 3), np.uint8).repeat(8, 1)
  clip = samples.video(
    tmp_path / "a.mp4", images=images.repeat(8, 2), stamps=range(0, 1600, 40)
  )
  got = lufs.LufsReader(folder).predict(clip, 1.6)
  np.testing.assert_allclose(got.times, (np.arange(9) + 0.5) / 6)
  # The processor of the tower makes 48 pixels of the shorter side: 96 x 128.
  frames = read.read_frames(clip, times=got.times, height=48, width=64)
  looks = dinov2.Encoder.load(folder / "dinov2").encode(frames.images).pooled
  predictor = lufs_predictor.LufsPredictor(
    lufs_predictor.LufsPredictorConfig(**SIZES)
  )
  params = release.load(folder).parts["predictor"]
  made = jax.jit(predictor.apply)(
    {"params": params}, jnp.asarray(looks)[None], jnp.ones((1, 9), bool)
  )
  np.testing.assert_allclose(
    got.lufs, -70 + 70 * np.asarray(made[0]), atol=1e-3
  )
  assert got.lufs.std(axis=0).min() > 0.1


def test_a_minute_is_as_long_as_it_gets(folder, tmp_path):
  clip = samples.video(tmp_path / "a.mp4", stamps=range(0, 1000, 40))
  assert len(lufs.LufsReader(folder).predict(clip, 60.04).times) == 360


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"preset": "predictor"}, "preset: expected 'lufs_predictor', found 'pre"),
    ({"depths": 1}, "describes no LUFS predictor: TypeError"),
    ({"width": 24}, "dinov2: is 20 wide, the predictor wants 24"),
    ({"no": "tower"}, "dinov2: expected config.json"),
  ],
)
def test_releases_that_do_not_fit(tmp_path, change, said):
  path = tmp_path / "release"
  if "depths" in change:
    make(path)
    text = (path / "config.json").read_text()
    (path / "config.json").write_text(text.replace('"depth"', '"depths"'))
  else:
    make(path, **{k: v for k, v in change.items() if k != "no"})
  if "no" not in change:
    tower_lib.make(path / "dinov2")
  with pytest.raises(errors.InputError) as caught:
    lufs.LufsReader(path)
  assert str(caught.value).startswith(str(path))
  assert said in str(caught.value)
