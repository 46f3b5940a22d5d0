"""Folders of recorded effects, small ones, for tests."""

import json

import numpy as np
import soundfile

from vta.data.yard import recordings
from vta.signals import timing

RATE = timing.SAMPLE_RATE
SPLITS = ("train", "validation", "test")


def noise(seed, *, samples=4000, peak=0.5):
  """A burst that is loud at once and decays, in stereo."""
  rng = np.random.default_rng(seed)
  decay = np.exp(-np.arange(samples) / (samples / 8))[:, None]
  wave = rng.uniform(-1.0, 1.0, (samples, 2)) * decay
  wave[0] = 1.0
  return (wave * peak).astype(np.float32)


def name_in(split, *, stem="effect"):
  """A file name whose recordings that split hears."""
  names = (f"{stem}{n}.wav" for n in range(1000))
  return next(n for n in names if recordings.split_of(n) == split)


def entry(file="a.wav", **changes):
  fields = {
    "file": file,
    "thing": "stick",
    "licence": "CC0-1.0",
    "source": "https://example.org/a",
    **changes,
  }
  return {key: value for key, value in fields.items() if value is not ...}


def save(folder, *entries, waves=None, **changes):
  """Writes a folder; each file is a noise of its own unless given."""
  folder.mkdir(exist_ok=True)
  for seed, fields in enumerate(entries):
    wave = (waves or {}).get(fields["file"])
    wave = noise(seed) if wave is None else wave
    soundfile.write(folder / fields["file"], wave, RATE, subtype="FLOAT")
  value = {"version": 1, "recordings": list(entries), **changes}
  (folder / recordings.MANIFEST).write_text(json.dumps(value))
  return folder
