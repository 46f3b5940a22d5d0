"""LanguageBind's towers in linen, inference only, reading Hugging Face folders.

Zhu et al. 2023 (arXiv 2310.01852): video and sound in the space of one frozen
CLIP text tower. Tri-Ergon is conditioned on these three vectors. Video is 8
frames whose layers attend between frames first; sound is a picture of its
log-mels. Each public folder holds the text tower and one other. Beside the
fully tuned ones there are some with LoRA, which are merged when they are read.
"""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

from vta import errors
from vta.encoders import (
  clip,
  languagebind_audio,
  languagebind_video,
  vit,
  weights,
)

_CONFIG = "config.json"
_PUBLIC_VIDEO = "LanguageBind/LanguageBind_Video_V1.5_FT"
_PUBLIC_AUDIO = "LanguageBind/LanguageBind_Audio_FT"
_KINDS = ("Video", "Audio", "Image", "Depth", "Thermal")
# What the folders' config.json call a model of two towers.
_MODELS = (*(f"LanguageBind{kind}" for kind in _KINDS), "clip")
_TIME_PARTS = {
  "time_positions": "temporal_embedding",
  "time_attention_norm": "temporal_layer_norm1",
  "time_query": "temporal_attn.q_proj",
  "time_key": "temporal_attn.k_proj",
  "time_value": "temporal_attn.v_proj",
  "time_attention_out": "temporal_attn.out_proj",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config(clip.ImageConfig):
  """What both towers have beside CLIP's."""

  add_time_attn: bool = False
  lora_r: int = dataclasses.field(default=2, metadata=vit.SIGNED)
  lora_alpha: float = 16.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoConfig(_Config):
  """Geometry of the video tower, under the names of its config.json."""

  parts: ClassVar[Mapping[str, str]] = _TIME_PARTS | clip.PARTS
  num_frames: int = 1
  clip_type: str = "vl"

  @property
  def stack(self) -> vit.Stack:
    return dataclasses.replace(super().stack, frames=self.num_frames)

  @property
  def classes(self) -> int:
    # The newer releases (V1.5) have a class token for each frame.
    return self.num_frames if self.clip_type == "vl_new" else 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioConfig(_Config):
  """Geometry of the audio tower, under the names of its config.json."""

  num_mel_bins: int = 0
  target_length: int = 0
  audio_sample_rate: int = 16_000
  audio_mean: float = dataclasses.field(default=0.5, metadata=vit.SIGNED)
  audio_std: float = 0.5

  @property
  def grid(self) -> tuple[int, int]:
    return (
      self.num_mel_bins // self.patch_size,
      self.target_length // self.patch_size,
    )


class VideoTower(nn.Module):
  """Clips to last hidden states, their pooled and the projected one."""

  config: VideoConfig
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, clips: Float[Array, "b f h w 3"]
  ) -> tuple[Float[Array, "b f t d"], Float[Array, "b d"], Float[Array, "b p"]]:
    count, frames = clips.shape[:2]
    tower = clip.ImageTower(self.config, self.dtype, name="pictures")
    tokens, *vectors = tower(clips.reshape(-1, *clips.shape[2:]))
    # Theirs projects the mean: the same, without a bias.
    pooled, projected = (
      x.reshape(count, frames, -1).mean(axis=1) for x in vectors
    )
    return tokens.reshape(count, frames, *tokens.shape[1:]), pooled, projected


@dataclasses.dataclass(frozen=True, kw_only=True)
class Features:
  """What the video or the audio tower makes of n clips.

  Attributes:
    tokens: last hidden states, the class token first; of a video those of each
      frame, `n f t d`.
    pooled: the class token after a norm of its own, the frames' mean.
    projected: in the space of all towers.
    embedding: `projected` made exp(logit_scale) long, what LanguageBind's own
      class returns and Tri-Ergon takes.
  """

  tokens: Float[np.ndarray, "n *f t d"]
  pooled: Float[np.ndarray, "n d"]
  projected: Float[np.ndarray, "n p"]
  embedding: Float[np.ndarray, "n p"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextFeatures(clip.TextFeatures):
  """What the text tower makes of n texts.

  Attributes:
    embedding: `projected` made of length one, what LanguageBind's own class
      returns and Tri-Ergon takes.
  """

  embedding: Float[np.ndarray, "n p"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextEncoder:
  """The frozen text tower, the same in every folder of the family.

  Attributes:
    inner: it is CLIP's.
  """

  inner: clip.TextEncoder

  @classmethod
  def load(
    cls, folder: str | os.PathLike, *, dtype: vit.Dtype = "float32"
  ) -> TextEncoder:
    """Reads the text tower of any LanguageBind folder.

    Raises:
      InputError: saying which files are expected where, or listing every
        tensor that does not fit.
    """
    inner = clip.TextEncoder.load(
      folder, dtype=dtype, models=_MODELS, like=_PUBLIC_VIDEO
    )
    return cls(inner=inner)

  def encode(self, texts: Sequence[str]) -> TextFeatures:
    """Features of each text; they do not depend on the others in the list.

    Hidden states of the padding are not theirs, which see no padding.
    """
    features = self.inner.encode(texts)
    return TextFeatures(
      embedding=_sized(features.projected, 1.0), **vars(features)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoEncoder:
  """The frozen video tower and the processing before it.

  Attributes:
    tower: the module.
    params: its parameters, on the device.
    scale: length of an embedding.
  """

  tower: VideoTower
  params: dict
  scale: float

  @classmethod
  def load(
    cls, folder: str | os.PathLike, *, dtype: vit.Dtype = "float32"
  ) -> VideoEncoder:
    """Reads a LanguageBindVideo's folder: LoRA, FT or V1.5.

    Raises:
      InputError: saying which files are expected where, or listing every
        tensor that does not fit.
    """
    path = weights.checked_folder(
      folder, (_CONFIG, weights.TENSORS), like=_PUBLIC_VIDEO
    )
    where = path / _CONFIG
    config = clip.parse(VideoConfig, "vision", where, models=_MODELS)
    if not config.add_time_attn or config.num_frames < 2:
      raise errors.InputError(
        where, "add_time_attn and num_frames are not a video tower's"
      )
    if config.clip_type not in ("vl", "vl_new"):
      raise errors.InputError(
        where, f"clip_type is {config.clip_type!r}; only 'vl' or 'vl_new'"
      )
    params, scale = _read(path, config)
    return cls(
      tower=VideoTower(config, jnp.dtype(dtype)),
      params=jax.device_put({"pictures": params}),
      scale=scale,
    )

  def encode(self, clips: UInt8[np.ndarray, "n f h w 3"]) -> Features:
    """Features of each clip of RGB frames, at equal distances in time.

    `num_frames` of them are seen: languagebind_video.chosen says which.
    """
    config = self.tower.config
    places = languagebind_video.chosen(clips.shape[1], config.num_frames)

    def prepare(batch):
      seen = (clip[places] for clip in batch)
      side = config.image_size
      return np.stack([languagebind_video.pictures(x, side) for x in seen])

    frames = config.num_frames
    made = vit.encode(
      self.tower, self.params, clips, prepare=prepare, pictures=frames
    )
    return _features(made, self.scale)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioEncoder:
  """The frozen audio tower and the processing before it.

  Attributes:
    tower: CLIP's image tower, on a picture of another shape.
    params: its parameters, on the device.
    processor: makes pictures of sound.
    scale: length of an embedding.
  """

  tower: clip.ImageTower
  params: dict
  processor: languagebind_audio.Processor
  scale: float

  @classmethod
  def load(
    cls, folder: str | os.PathLike, *, dtype: vit.Dtype = "float32"
  ) -> AudioEncoder:
    """Reads a LanguageBindAudio's folder: LoRA or FT.

    Raises:
      InputError: saying which files are expected where, or listing every
        tensor that does not fit.
    """
    path = weights.checked_folder(
      folder, (_CONFIG, weights.TENSORS), like=_PUBLIC_AUDIO
    )
    config = clip.parse(AudioConfig, "vision", path / _CONFIG, models=_MODELS)
    if config.add_time_attn:
      raise errors.InputError(
        path / _CONFIG, "add_time_attn is true; only false is supported here"
      )
    params, scale = _read(path, config)
    return cls(
      tower=clip.ImageTower(config, jnp.dtype(dtype)),
      params=jax.device_put(params),
      processor=languagebind_audio.Processor(
        bins=config.num_mel_bins,
        frames=config.target_length,
        rate=config.audio_sample_rate,
        mean=config.audio_mean,
        std=config.audio_std,
      ),
      scale=scale,
    )

  def encode(self, waves: Float[np.ndarray, "n t c"], *, rate: int) -> Features:
    """Features of each sound at `rate` Hz, of its first channel.

    Raises:
      ValueError: they are shorter than 25 ms.
    """

    def prepare(batch):
      return np.stack([self.processor(wave, rate) for wave in batch])

    made = vit.encode(self.tower, self.params, waves, prepare=prepare)
    return _features(made, self.scale)


def merge(
  tensors: Mapping[str, np.ndarray],
  *,
  rank: int,
  alpha: float,
  where: str | os.PathLike,
) -> dict[str, np.ndarray]:
  """A state dict with its LoRA (peft's names) added into the weights.

  Hu et al. 2021 (arXiv 2106.09685): W + alpha / rank * B A.

  Args:
    tensors: theirs; without LoRA, and rank 0, they come back as they are.
    rank: the config's lora_r.
    alpha: its lora_alpha.
    where: the tensors come from.

  Raises:
    InputError: they have no LoRA of that rank.
  """
  downs = [n for n in tensors if ".lora_A." in n]
  found = sorted({tensors[name].shape[0] for name in downs})
  if found != [rank] * bool(rank):
    raise errors.InputError(
      where,
      f"lora_r is {rank} in {_CONFIG}, but the LoRA here has rank "
      f"{' and '.join(map(str, found)) or 0}",
    )
  merged = {_bare(name): tensor for name, tensor in tensors.items()}
  for name in map(_bare, downs):
    head, _, tail = name.partition(".lora_A.")
    weight, down = f"{head}.weight", merged.pop(name)
    up = merged.pop(f"{head}.lora_B.{tail}", None)
    if weight not in merged or up is None:
      raise errors.InputError(where, f"{name} has no lora_B or no {weight}")
    if up.shape != (len(merged[weight]), rank) or (
      merged[weight].shape[1:] != down.shape[1:]
    ):
      raise errors.InputError(where, f"{name} does not fit {weight}")
    merged[weight] = merged[weight] + np.float32(alpha / rank) * (up @ down)
  return merged


def _bare(name: str) -> str:
  """A name without what peft puts in between; some of it since its 0.6."""
  return name.replace(".base_model.model.", ".").replace(".base_layer.", ".")


def _sized(
  vectors: Float[np.ndarray, "n p"], length: float
) -> Float[np.ndarray, "n p"]:
  norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
  return vectors * (np.float32(length) / norms)


def _features(made: tuple, scale: float) -> Features:
  tokens, pooled, projected = made
  return Features(
    tokens=tokens,
    pooled=pooled,
    projected=projected,
    embedding=_sized(projected, scale),
  )


def _read(path: pathlib.Path, config: _Config) -> tuple[dict, float]:
  """Parameters of the tower beside the text's, and its embeddings' length."""
  tensors = weights.read_folder_tensors(path, without=clip.TEXT)
  tensors = merge(
    tensors, rank=config.lora_r, alpha=config.lora_alpha, where=path
  )
  name = "vision_model.embeddings.patch_embedding.weight"
  if (
    config.classes > 1 and name in tensors and tensors[name].shape[2:3] == (1,)
  ):
    # A convolution over time as well, but over one frame.
    tensors[name] = tensors[name][:, :, 0]
  params = clip.convert_image(tensors, config, where=path)
  scale = weights.take(tensors, "logit_scale", (), where=path)
  return params, math.exp(scale)
