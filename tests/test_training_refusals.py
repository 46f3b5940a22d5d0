"""What `train` refuses: in one line, with code 2, naming what is wrong."""

import functools
import pathlib

import jax
import numpy as np
import pytest
import test_training_adapters as adapters_lib
import tiny_release

from vta import cli, errors
from vta.data import records
from vta.interop import release
from vta.training import configs
from vta.training.tasks import denoiser, examples, predictor

ROOT = pathlib.Path(__file__).parents[1]


@functools.cache
def digest():
  return examples.codec_digest(release.load(tiny_release.folder()))


def shard(folder, *, without=(), meta=None, **arrays):
  """Two latent records, changed."""
  made = []
  for i in range(2):
    plain = adapters_lib.sounding(i, captions=[])
    kept = {k: v for k, v in plain.arrays.items() if k not in without}
    kept |= arrays
    made.append(
      records.Record(arrays=kept, meta={**plain.meta, **(meta or {})})
    )
  records.write_shards(folder, made, shard_size=2)
  return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  return shard(tmp_path_factory.mktemp("latents"))


def train(shards, tmp_path, capsys, *more):
  """The line that `train` ends with."""
  overrides = [
    f"data.train=('{shards}',)",
    f"data.validation=('{shards}',)",
    "batch_size=2",
    "steps=2",
    "evaluate_every=1",
    "lora.rank=0",
    *more,
  ]
  command = [
    *("train", "--config"),
    f"{ROOT}/configs/finetune.py:{tiny_release.folder()}",
    *("--workdir", str(tmp_path / "run")),
    *(word for override in overrides for word in ("--set", override)),
  ]
  assert cli.main(command) == 2
  line = capsys.readouterr().err.splitlines()[-1]
  assert line.startswith("error: ")
  return line


@pytest.mark.parametrize(
  ("override", "message"),
  [
    ("weighting=foo", "no weighting 'foo'"),
    ("frozen=('conditoner',)", "config: frozen: nothing to freeze is called"),
    ("data.validation_batch=0", "config: data.validation_batch: is 0"),
    ("log_every=0", "config: log_every: is 0"),
  ],
)
def test_values_that_cannot_be(shards, tmp_path, capsys, override, message):
  assert message in train(shards, tmp_path, capsys, override)


def test_a_loss_that_is_not_finite(tmp_path, capsys):
  latents = np.full((44, 8), 6e4, np.float16)
  shards = shard(tmp_path / "loud", latent_mean=latents)
  line = train(shards, tmp_path, capsys, "optimizer.learning_rate=1e30")
  assert "not finite at step" in line
  assert line.endswith("lower optimizer.learning_rate")


def test_a_codec_that_is_none(shards, tmp_path, capsys):
  one = {"layer": {"kernel": np.ones((2, 3), np.float32)}}
  release.save(
    tmp_path / "predictor",
    config={"preset": "predictor"},
    parts={"heads": one},
    card="",
  )
  line = train(shards, tmp_path, capsys, f"codec={tmp_path}/predictor")
  assert "predictor: holds no codec (it has heads)" in line
  config = predictor_config(shards)
  with config.unlocked():
    config.codec = str(tmp_path / "predictor")
  with pytest.raises(errors.InputError, match="holds no codec"):
    predictor.PredictorTask(config)


def predictor_config(shards):
  return configs.load(
    f"{ROOT}/configs/predictor.py",
    [
      f"codec={tiny_release.folder()}",
      f"data.train=('{shards}',)",
      f"data.validation=('{shards}',)",
      "clip.frame_size=16",
    ],
  )


def foley_config(shards):
  return configs.load(
    f"{ROOT}/configs/finetune.py:{tiny_release.folder()}",
    [f"data.train=('{shards}',)", f"data.validation=('{shards}',)"],
  )


@pytest.mark.parametrize(
  ("task", "config"),
  [
    (denoiser.DenoiserTask, foley_config),
    (predictor.PredictorTask, predictor_config),
  ],
)
@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"meta": {"latents_by": "abc"}}, "latents are by another codec than"),
    (
      {"without": ("latent_mean", "latent_std")},
      "holds no latents: run `python -m data_prep.encode`",
    ),
    (
      {
        "latent_mean": np.zeros((44, 6), np.float16),
        "latent_std": np.ones((44, 6), np.float16),
      },
      "its latents have 6 channels, .*'s 8",
    ),
    (
      {"frames": np.zeros((30, 16, 24, 3), np.uint8)},
      "frames are 24 x 16, clip.frame_size is 16",
    ),
  ],
)
def test_records_that_do_not_belong(tmp_path, task, config, change, message):
  folder = shard(tmp_path / "other", **change)
  with pytest.raises(errors.InputError, match=f"{folder}: .*{message}"):
    task(config(folder))


def test_records_of_the_codec_and_older_ones_belong(shards, tmp_path):
  denoiser.DenoiserTask(foley_config(shards))
  marked = shard(tmp_path / "marked", meta={"latents_by": digest()})
  denoiser.DenoiserTask(foley_config(marked))
  # What is tuned holds its base's codec as `release.save` rounds it.
  whole = release.load(tiny_release.folder())
  fine = jax.tree.map(lambda x: x * (1.0 + 1e-6), whole.parts["codec"])
  fine = {"codec": jax.tree.map(np.asarray, fine)}
  release.save(
    tmp_path / "fine",
    config={},
    parts=fine,
    card="",
    dtype=np.dtype(np.float32),
  )
  release.save(tmp_path / "rounded", config={}, parts=fine, card="")
  one, two = (
    examples.codec_digest(release.load(tmp_path / name))
    for name in ("fine", "rounded")
  )
  assert one == two
