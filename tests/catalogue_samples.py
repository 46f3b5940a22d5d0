"""A data set of made-up films, and its catalogue as the index writes one."""

import pathlib

import media_samples
import numpy as np

from data_prep.sets import catalogue, listing

RATE = 44_100


class Films(catalogue.Derived):
  """Greys and tones, in a folder."""

  name = "films"
  description = "Films that a test made."
  citation = "@misc{films}"
  homepage = "https://films.example"
  licence = "free for tests"


def index(folder: pathlib.Path, splits) -> pathlib.Path:
  """Writes the catalogue of entries by split; returns its folder."""
  found = listing.Listing(splits=splits)
  catalogue.publish(lambda out: Films(found, out=out), folder / "index")
  return folder / "index"


def tones(seconds, *, seed, level=0.2, rate=RATE, channels=2):
  """Sound with a melody of its own, as no two recordings are alike."""
  rng = np.random.default_rng(seed)
  times = np.arange(round(seconds * rate)) / rate
  pitch = np.repeat(rng.uniform(100, 4000, 40), rate // 8)[: len(times)]
  wave = level * np.sin(2 * np.pi * np.cumsum(pitch) / rate)
  wave *= np.repeat(rng.uniform(0.2, 1.0, 40), rate // 8)[: len(times)]
  return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def pictures(seconds, *, seed, still=False, fps=25):
  """A square that moves about, on a ground of its own."""
  rng = np.random.default_rng(seed)
  ground = rng.integers(0, 160, (6, 8, 3)).repeat(8, 0).repeat(8, 1)
  x, y = rng.integers(0, 40, 2)
  images = []
  for i in range(round(seconds * fps)):
    image = ground.astype(np.uint8)
    at = 0 if still else (3 * i) % 40
    image[y // 2 : y // 2 + 16, (x + at) % 48 : (x + at) % 48 + 16] = 250
    images.append(image)
  return images


def film(path, *, seed, seconds=1.6, wave=None, still=False, fps=25, **more):
  """A video with its own picture and sound; `wave` and `more` replace them."""
  path.parent.mkdir(parents=True, exist_ok=True)
  images = pictures(seconds, seed=seed, still=still, fps=fps)
  if wave is None:
    wave = tones(seconds, seed=seed)
  given = {
    "stamps": tuple(round(1000 * i / fps) for i in range(len(images))),
    "images": images,
    "audio": wave,
    "audio_rate": RATE,
  }
  return media_samples.video(path, **{**given, **more})
