"""Generation from a release that reads a picture tower."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tiny_release

from vta import errors
from vta.encoders import picture
from vta.inference import generator as generator_lib
from vta.inference import job as job_lib
from vta.media import read
from vta.signals import cues, masks


@pytest.fixture(scope="module")
def generator():
  return generator_lib.Generator(tiny_release.folder(tower=picture.WIDTH))


def generate(generator, images, settings=None, **track):
  """One wave of 2 s, longer than a window, under the left half's mask."""
  times = generator.reader.frame_times(2.0)
  report = read.FrameReport(
    duration=2.0, fps=15.0, decoded=30, duplicated=0, missing=0
  )
  box = masks.Box(times=np.zeros(1), corners=np.array([[0.0, 0.0, 0.5, 1.0]]))
  job = job_lib.Job(
    duration=2.0,
    frames=read.Frames(times=times, images=images, report=report),
    track=cues.Track(masks=masks.Masks(regions=(box,)), **track),
    seed=0,
  )
  (wave,) = generator.generate([job], settings or generator.settings)
  return wave


def test_the_tower_is_heard_and_sees_no_more_than_the_mask(
  generator, monkeypatch
):
  # Alone: where there is guidance, the null sees what the mask hides.
  alone = dataclasses.replace(generator.settings, guidance=(1.0,))
  images = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
  hidden = images.copy()
  hidden[:, :, 8:] = 255 - hidden[:, :, 8:]
  wave = generate(generator, images, settings=alone)
  peak = np.abs(wave).max()
  assert peak > 0
  np.testing.assert_allclose(
    generate(generator, hidden, settings=alone), wave, atol=1e-5 * peak
  )
  led_away = generate(generator, images) - generate(generator, hidden)
  assert np.abs(led_away).max() > 1e-3 * peak

  # The same picture, of which the tower says something else.
  honest = generator.reader._picture_encoder.encode
  seen = []

  class Other:
    def encode(self, frames, mask):
      seen.append(mask)
      return honest(frames, mask)[:, ::-1]

  monkeypatch.setitem(vars(generator.reader), "_picture_encoder", Other())
  other = generate(generator, images, settings=alone)
  assert np.abs(other - wave).max() > 1e-3 * peak
  assert seen[0][:, :, :8].all()
  assert not seen[0][:, :, 8:].any()
  np.testing.assert_array_equal(seen[1], 255 - seen[0])
  # What is off screen does not ask the tower.
  generate(generator, images, on_screen=False)
  assert len(seen) == 2


def test_an_unknown_tower_is_refused(tmp_path):
  shutil.copytree(tiny_release.folder(), tmp_path, dirs_exist_ok=True)
  path = tmp_path / "config.json"
  config = json.loads(path.read_text())
  config["conditioner"]["frames"]["tower"] = 7
  path.write_text(json.dumps(config))
  with pytest.raises(errors.InputError, match=r"tower is 7.*has 1280"):
    generator_lib.Generator(tmp_path)


def test_without_the_package_it_says_what_to_install(generator, monkeypatch):
  gone = dataclasses.replace(picture.LITE0, name="no-such-package")
  monkeypatch.setattr(picture, "LITE0", gone)
  vars(generator.reader).pop("_picture_encoder", None)
  with pytest.raises(errors.InputError, match="pip install no-such-package"):
    generate(generator, np.zeros((30, 16, 16, 3), np.uint8))
