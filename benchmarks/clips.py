"""Made-up latent records as large as real ones, and what presets make of them.

Numbers are random, sizes are not: a case has the fields that its preset's
config reads, and what `data_prep.encode` writes besides.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import types
from collections.abc import Callable

import numpy as np

from vta.data import records
from vta.interop import release
from vta.signals import loudness as loudness_lib
from vta.signals import timing
from vta.training import configs, system
from vta.training.tasks import foley, tri_ergon

ROOT = pathlib.Path(__file__).parents[1]
RATE = timing.SAMPLE_RATE / 2048  # latents a second
_CAPTIONS, _TEXT, _WORDS = 5, 384, 12  # MiniLM's width; tokens of a caption


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
  """A kind of record and who trains on it.

  Attributes:
    config: of the preset.
    seconds: a clip lasts.
    window: latents of a crop.
    batch: clips.
  """

  config: str
  seconds: float
  window: int
  batch: int

  @property
  def latents(self) -> int:
    return math.ceil(self.seconds * RATE)


CASES = {
  "tri_ergon:l, 10 s": Case(
    config="tri_ergon.py:l", seconds=10.0, window=216, batch=48
  ),
  "tri_ergon:l, 60 s": Case(
    config="tri_ergon.py:l", seconds=60.0, window=1292, batch=8
  ),
  "foley:starter, 8 s": Case(
    config="foley.py:starter", seconds=8.0, window=112, batch=48
  ),
}


def record(case: Case, number: int) -> records.Record:
  """One clip; every number is another one."""
  rng = np.random.default_rng(number)
  config = configs.load(f"{ROOT}/configs/{case.config}")

  def normal(*shape):
    return rng.standard_normal(shape, np.float32).astype(np.float16)

  count, channels = case.latents, config.denoiser.latents
  blocks = math.ceil(case.seconds / loudness_lib.BLOCK)
  mask = np.zeros((_CAPTIONS, _WORDS), bool)
  mask[:, :8] = True
  arrays = {
    "latent_mean": normal(count, channels),
    "latent_std": np.abs(normal(count, channels)),
    "loudness": rng.uniform(-60.0, -10.0, (blocks, 2)).astype(np.float32),
    "loudness_times": timing.centres(blocks, 1.0 / loudness_lib.BLOCK).astype(
      np.float32
    ),
    "events": np.array([[0.5, 1.0], [2.0, 4.0]], np.float32),
    "text_tokens": normal(_CAPTIONS, _WORDS, _TEXT),
    "text_mask": mask,
    "object_vectors": normal(2, _TEXT),
  }
  if config.preset == "tri_ergon":
    width = config.conditioner.width
    arrays |= {
      "text_vectors": normal(_CAPTIONS, width),
      "audio_vector": normal(width),
      "video_vector": normal(width),
    }
  else:
    frames = math.ceil(case.seconds * config.clip.frame_rate)
    arrays |= {
      "pictures": normal(frames, config.conditioner.frames.features),
      "frame_times": (np.arange(frames) / config.clip.frame_rate).astype(
        np.float32
      ),
      "object_probability": rng.uniform(size=(frames, 2)).astype(np.float16),
    }
  meta = {
    "id": f"{number:08d}",
    "duration": case.seconds,
    "captions": ["The sound of a door that falls shut"] * _CAPTIONS,
    "objects": ["door", "floor"],
    "source": "benchmark",
  }
  return records.Record(arrays=arrays, meta=meta)


def example(case: Case) -> Callable:
  """(record, generator) -> example: what the preset's task makes of a clip."""
  config = configs.load(f"{ROOT}/configs/{case.config}")
  channels = config.denoiser.latents
  codec = release.Release(
    folder=pathlib.Path(),
    config={"latent_mean": [0.1] * channels, "latent_std": [2.0] * channels},
    parts={},
  )
  kinds = {"tri_ergon": tri_ergon.TriErgon, "foley": foley.Foley}
  with config.unlocked():
    config.frames_from = ""
  sections = {
    name: config[name].to_dict() for name in ("conditioner", "denoiser")
  }
  if config.preset == "tri_ergon":
    sections["window"] = config.window
  else:
    sections["clip"] = {**config.clip.to_dict(), "window": case.window}
  made = system.build(
    {
      **sections,
      "preset": config.preset,
      "codec": {"latents": channels},
    }
  )
  # Of a task nothing is wanted but its examples: it asks no folder.
  task = types.SimpleNamespace(
    _config=config, _system=made, _codec=codec, _eyes=None
  )
  make = functools.partial(kinds[config.preset].example, task)
  if config.preset == "tri_ergon":
    return functools.partial(make, window=case.window)
  return make
