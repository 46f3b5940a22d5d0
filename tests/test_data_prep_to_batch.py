"""Every data set from its published layout to a batch that trains."""

import json
import pathlib
import zlib

import catalogue_samples
import numpy as np
import pytest
import set_samples
import soundfile
import tiny_release

from data_prep import index, prepare
from data_prep.sets import disk
from vta.conditioning import inputs
from vta.training import configs
from vta.training.tasks import codec, denoiser

pytestmark = pytest.mark.filterwarnings(
  # Beam's and TFDS's own.
  "ignore::DeprecationWarning",
  "ignore::FutureWarning",
)
ROOT = pathlib.Path(__file__).parents[1]
# Samples that are sounds alone: what a codec hears.
SOUND_ONLY = {
  "audiocaps",
  "bbc",
  "cond_prompt_bank",
  "common_voice",
  "fsd50k",
  "mtg_jamendo",
  "urbansound8k",
}


def media(path, seconds):
  """A film or a sound of its own, of the kind that its name says."""
  seed = zlib.crc32(path.name.encode())
  if path.suffix in disk.VIDEOS:
    catalogue_samples.film(path, seed=seed, seconds=seconds, audio_codec="aac")
    return
  wave = catalogue_samples.tones(seconds, seed=seed)
  soundfile.write(path, wave, catalogue_samples.RATE)


def task(name, folder):
  """What trains on the records; its networks are never made."""
  data = [
    f"data.{side}=('{folder / side}',)" for side in ("train", "validation")
  ]
  if name in SOUND_ONLY:
    config = configs.load(
      f"{ROOT}/configs/codec.py:starter", [*data, "batch_size=2", "crop=8192"]
    )
    return codec.CodecTask(config)
  config = configs.load(
    f"{ROOT}/configs/foley.py:starter",
    [
      *data,
      *("batch_size=2", "clip.window=32", "clip.frame_size=16"),
      f"codec={tiny_release.folder()}",
      *("frames_from=", "frozen=()", "denoiser.latents=8"),
    ],
  )
  return denoiser.DenoiserTask(config)


@pytest.mark.parametrize("name", set_samples.SAMPLES)
def test_a_set_goes_from_its_layout_to_a_batch(name, tmp_path, capsys):
  source, catalogue, out = (tmp_path / part for part in ("raw", "index", "out"))
  source.mkdir()
  set_samples.SAMPLES[name](source, media)
  asked = ["--source", str(source), "--out"]
  assert index.main([name, *asked, str(catalogue)]) == 0
  command = ["--index", str(catalogue), *asked, str(out), "--workers", "1"]
  command += ["--checkpoint", str(tiny_release.folder())]
  if name in SOUND_ONLY:
    command.append("--sound-only")
  else:
    command += ["--codec", str(tiny_release.folder())]
  code = prepare.main(command)
  said = capsys.readouterr().out
  left_out = json.loads((out / "quarantine.json").read_text())
  assert code == (prepare.LEFT_OUT if left_out else 0), said
  # A folder of one's own may hold sounds beside its films.
  assert all(row["reason"] == "no_video" for row in left_out), left_out

  made = task(name, out)
  batch = next(made.batches(0))
  for array in batch.values():
    assert len(array) == 2
    assert np.isfinite(array).all()
  if name in SOUND_ONLY:
    assert np.abs(batch["wave"]).max() > 0.05
    return
  assert batch["latent_mean"].std() > 0.1
  # What is seen moves, and events and loudness are asked for.
  assert np.ptp(batch["frames"].astype(float), axis=1).max() > 50
  asked = dict(zip(inputs.NAMES, batch["asked"][0], strict=True))
  assert asked["frames"]
  assert asked["loudness"]
  manifest = json.loads((out / "manifest.json").read_text())
  captions = manifest["splits"]["train"]["captions"]
  assert asked["text"] == bool(captions or manifest["statistics"]["labels"])
