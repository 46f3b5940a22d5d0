"""`stable_audio` from records: how public weights are tuned.

As Stable Audio Open was trained (papers.md 3.6): a clip that is shorter than
the window is followed by silence, which is denoised and attended to like the
rest; start and total tell where it begins. The prompt is dropped whole.
"""

from __future__ import annotations

import pathlib
import shutil

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from vta import errors
from vta.conditioning import stable_audio
from vta.data import records
from vta.interop import exchange, release
from vta.training import state, system
from vta.training.tasks import examples

_SILENCE = 32  # latents; the one in the middle sees nothing else


class StableAudio:
  """How the denoiser's task trains the preset."""

  # Of the config, what a release repeats besides what all presets have.
  sections = ("window",)

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    made: system.StableAudio,
    codec: release.Release,
  ):
    """`codec` is what the records' latents are of."""
    self._config = config
    self._system = made
    self._codec = codec
    self._silence = _silence(made, codec)

  def start(self, params: state.Params) -> state.Params:
    """Fresh parameters as they are."""
    return params

  @staticmethod
  def draw_keep(
    drop: ml_collections.ConfigDict, key: Key[Array, ""], count: int
  ) -> Bool[Array, "b 1"]:
    """The prompt, dropped with probability drop.all."""
    return jax.random.uniform(key, (count, 1)) >= drop.all

  def example(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """A random crop of a latent record: inputs and target."""
    arrays = record.arrays
    if "t5_tokens" not in arrays:
      raise errors.InputError(
        str(record.meta["id"]),
        "the record has no t5_tokens: encode the waves into another folder by "
        "`python -m data_prep.encode` with a --codec that has a text_encoder",
      )
    cut = examples.crop(record, rng, self._system, self._codec.config)
    prompt = {}
    if len(arrays["t5_tokens"]):
      caption = int(rng.integers(len(arrays["t5_tokens"])))
      prompt = _prompt(arrays["t5_tokens"][caption], arrays["t5_mask"][caption])
    example = stable_audio.assemble(
      self._system.conditioner.config,
      latents=self._system.window,
      start=cut.start,
      total=float(record.meta["duration"]),
      **prompt,
    )
    mean, std = self._silence
    silent = ~cut.sounding[:, None]
    return {
      **example,
      "latent_mean": np.where(silent, mean, cut.mean),
      "latent_std": np.where(silent, std, cut.std),
    }

  def finish(self, folder: pathlib.Path) -> None:
    """The text encoder comes along, as the release it started from has it."""
    start = pathlib.Path(self._config.init_from or self._config.codec)
    if (start / exchange.TEXT_ENCODER).is_dir():
      shutil.copytree(
        start / exchange.TEXT_ENCODER,
        folder / exchange.TEXT_ENCODER,
        dirs_exist_ok=True,
      )


def _prompt(
  tokens: Float[np.ndarray, "s d"], mask: Bool[np.ndarray, "s"]
) -> dict[str, np.ndarray]:
  """As long as every prompt is for the model."""
  missing = stable_audio.TOKENS - len(tokens)
  return {
    "tokens": np.pad(tokens.astype(np.float32), ((0, missing), (0, 0))),
    "mask": np.pad(mask, (0, missing)),
  }


def _silence(
  made: system.StableAudio, codec: release.Release
) -> tuple[Float[np.ndarray, "c"], Float[np.ndarray, "c"]]:
  """Mean and deviation of a latent of silence, normalised."""
  config = made.codec.config
  wave = jnp.zeros((1, _SILENCE * config.hop, config.channels))

  @jax.jit
  def encode(params):
    posterior = made.codec.apply({"params": params}, wave, method="encode")
    return posterior.mean[0, _SILENCE // 2], posterior.std[0, _SILENCE // 2]

  mean, std = map(np.asarray, encode(codec.parts["codec"]))
  scale = np.asarray(codec.config["latent_std"], np.float32)
  offset = np.asarray(codec.config["latent_mean"], np.float32)
  return (mean - offset) / scale, std / scale
