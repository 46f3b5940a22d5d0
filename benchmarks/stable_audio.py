"""Stable Audio's parts at their published size, diffusers' classes and ours.

The same random weights on both sides: written once under diffusers' names, and
read from there, tensor by tensor, by either. No process needs more than one
side of one part.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.comparison import Arrays
from vta.interop import stable_audio, tables, tensors

HOP = 2048
RATE = 44_100
_TOKENS = 130  # 128 of the prompt, start and total
_WIDTH = 768
_SHARD = 1 << 30  # bytes of weights that are held while they are written
_PROMPT = 1024  # not 768, so that the conditioner projects it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
  """One computation.

  Attributes:
    part: "denoiser" (a step), "encode", "decode" or "conditioner".
    batch: clips.
    latents: of a clip.
    depth: blocks of the denoiser.
  """

  part: str
  batch: int = 1
  latents: int = 1
  depth: int = 0

  @property
  def model(self) -> str:
    """What to share weights by."""
    if self.part == "denoiser":
      return f"denoiser-{self.depth}"
    return "conditioner" if self.part == "conditioner" else "codec"

  @property
  def inputs(self) -> dict[str, np.ndarray]:
    """Random inputs, axes in our order."""
    rng = np.random.default_rng(0)

    def normal(*shape):
      return rng.standard_normal(shape, np.float32)

    match self.part:
      case "denoiser":
        return {
          "x": normal(self.batch, self.latents, 64),
          "time": np.linspace(0.9, 0.3, self.batch, dtype=np.float32),
          "tokens": normal(self.batch, _TOKENS, _WIDTH),
          "vector": normal(self.batch, 2 * _WIDTH),
        }
      case "encode":
        return {"wave": 0.3 * normal(self.batch, self.latents * HOP, 2)}
      case "decode":
        return {"latents": normal(self.batch, self.latents, 64)}
      case "conditioner":
        seconds = rng.uniform(0, 512, (self.batch, 2)).astype(np.float32)
        tokens = normal(self.batch, _TOKENS - 2, _PROMPT)
        return {"tokens": tokens, "seconds": seconds}
    raise ValueError(f"no part {self.part!r}")


def weights(case: Case, folder: pathlib.Path) -> pathlib.Path:
  """Random weights of the case's model, written if they are not there."""
  path = folder / f"{case.model}.safetensors"
  rng = np.random.default_rng(1)

  def draw() -> Iterator[tuple[str, np.ndarray]]:
    for name, shape in shapes(case).items():
      yield name, _random(rng, name, shape)

  if not (path.exists() or tensors.index_of(path).exists()):
    tensors.write(path, draw(), limit=_SHARD)
  return path


def _random(rng, name: str, shape) -> np.ndarray:
  """Far from the initial values, of a size that keeps activations near 1."""
  values = rng.standard_normal(shape, np.float32)
  if name.endswith("weight_g"):
    # torch's own lengths are near 1 / sqrt(3).
    return np.exp(0.2 * values) / math.sqrt(3.0)
  if name.endswith(("alpha", "beta")):
    return 0.3 * values
  if values.ndim > 1:
    return values / math.sqrt(math.prod(shape[1:]))
  if "norm" in name and name.endswith("weight"):
    return 1.0 + 0.3 * values
  # Fourier frequencies are as they are drawn.
  return values if name.endswith(("weight", "weights")) else 0.1 * values


def _meta_model(case: Case):
  """diffusers' module without memory for its parameters."""
  import diffusers
  import torch
  from diffusers.pipelines import stable_audio as pipeline

  with torch.device("meta"), warnings.catch_warnings():
    # Of torch's old weight norm, which diffusers uses.
    warnings.simplefilter("ignore", FutureWarning)
    match case.part:
      case "denoiser":
        model = diffusers.StableAudioDiTModel(num_layers=case.depth)
      case "conditioner":
        model = pipeline.StableAudioProjectionModel(_PROMPT, _WIDTH, 0, 512)
      case _:
        model = diffusers.AutoencoderOobleck()
  return model.eval()


def shapes(case: Case) -> dict[str, tuple[int, ...]]:
  """Of every tensor of the model, by diffusers' names."""
  state = _meta_model(case).state_dict()
  return {name: tuple(value.shape) for name, value in state.items()}


def rotary(model, latents: int):
  """What diffusers' pipeline makes once for all steps of a denoiser."""
  from diffusers.models import embeddings

  return embeddings.get_1d_rotary_pos_embed(
    model.config.attention_head_dim // 2,
    latents + 1,
    use_real=True,
    repeat_interleave_real=False,
  )


def velocity(model, positions, **given) -> np.ndarray:
  """A StableAudioDiTModel's, of tensors and with axes in our order."""
  return _forward(model, positions, **given).transpose(1, 2).numpy()


def _forward(model, positions, *, x, time, tokens, vector):
  (made,) = model(
    x.transpose(1, 2),
    time,
    tokens,
    vector[:, None],
    rotary_embedding=positions,
    return_dict=False,
  )
  return made


def products(case: Case) -> float:
  """Floating-point operations of all matrix products and convolutions of the
  case, counted by torch as diffusers' model does them."""
  import torch
  from torch.utils import flop_counter

  model = _meta_model(case)
  given = {
    name: torch.empty(value.shape, device="meta")
    for name, value in case.inputs.items()
  }
  with torch.no_grad(), flop_counter.FlopCounterMode(display=False) as counter:
    match case.part:
      case "denoiser":
        positions = [x.to("meta") for x in rotary(model, case.latents)]
        _forward(model, positions, **given)
      case "encode":
        model.encode(given["wave"].transpose(1, 2))
      case "decode":
        model.decode(given["latents"].transpose(1, 2))
  return counter.get_total_flops()


def theirs(case: Case, path: pathlib.Path) -> Callable[[], Arrays]:
  """Loads diffusers' model; a call computes, eagerly as its pipeline does."""
  import torch

  model = _meta_model(case)
  reader = tensors.Reader(path)
  state = {name: torch.from_numpy(reader.read(name)) for name in reader.shapes}
  model.load_state_dict(state, assign=True)
  given = {name: torch.tensor(value) for name, value in case.inputs.items()}

  @torch.no_grad()
  def denoiser():
    return {"velocity": velocity(model, positions, **given)}

  @torch.no_grad()
  def encode():
    posterior = model.encode(given["wave"].transpose(1, 2)).latent_dist
    both = {"mean": posterior.mean, "std": posterior.std}
    return {name: x.transpose(1, 2).numpy() for name, x in both.items()}

  @torch.no_grad()
  def decode():
    wave = model.decode(given["latents"].transpose(1, 2)).sample
    return {"wave": wave.transpose(1, 2).numpy()}

  @torch.no_grad()
  def conditioner():
    start, total = given["seconds"].T
    made = model(given["tokens"], start, total)
    both = (made.seconds_start_hidden_states, made.seconds_end_hidden_states)
    return {
      "text": made.text_hidden_states.numpy(),
      "timing": torch.cat(both, dim=-1)[:, 0].numpy(),
    }

  if case.part == "denoiser":
    positions = rotary(model, case.latents)
  made = {f.__name__: f for f in (denoiser, encode, decode, conditioner)}
  return made[case.part]


def ours(
  case: Case, path: pathlib.Path, *, size: int | None = None
) -> Callable[[], Arrays]:
  """Loads our model of the same weights; the first call compiles.

  Args:
    case: what to compute.
    path: of the weights.
    size: latents of a codec's chunk; None is as `generate` has it.
  """
  import jax
  import jax.numpy as jnp

  from vta.conditioning import conditions
  from vta.conditioning import stable_audio as conditioning
  from vta.inference import chunks
  from vta.interop import trees
  from vta.models import autoencoder, dit

  reader = tensors.Reader(path)
  given = {name: jnp.asarray(value) for name, value in case.inputs.items()}
  match case.part:
    case "denoiser":
      rows = stable_audio.denoiser(case.depth, "diffusers")
      model = dit.DiT(dit.DiTConfig(depth=case.depth))

      def apply(params, x, time, tokens, vector):
        mask = jnp.ones(tokens.shape[:2], bool)
        stream = conditions.Stream(tokens=tokens, mask=mask)
        given = conditions.Conditions(streams={"text": stream}, vector=vector)
        return {"velocity": model.apply({"params": params}, x, time, given)}
    case "conditioner":
      rows = stable_audio.conditioner("diffusers", projected=True)
      config = conditioning.StableAudioConfig(text_width=_PROMPT)
      model = conditioning.StableAudio(config)

      def apply(params, tokens, seconds):
        inputs = {
          "text_tokens": tokens,
          "text_mask": jnp.ones(tokens.shape[:2], bool),
          "timing": seconds,
        }
        return model.apply({"params": params}, inputs, method="encode")
    case _:
      rows = stable_audio.codec(5, "diffusers")
      model = autoencoder.Autoencoder(autoencoder.AutoencoderConfig())

      def apply(params, **given):
        made = getattr(chunks, case.part)(
          model, params, *given.values(), size=size or chunks.SIZE
        )
        if case.part == "decode":
          return {"wave": made}
        return {"mean": made.mean, "std": made.std}

  flat = {}
  for name, value in tables.to_ours(list(rows), reader.read):
    head, _, tail = name.partition("/")
    if head == "transformer_blocks":
      # As dit.separate_blocks has them, without holding all of them twice.
      for i, block in enumerate(value):
        flat[f"{head}_{i}/{tail}"] = jax.device_put(block)
    else:
      flat[name] = jax.device_put(value)
  params = trees.unflatten(flat)
  apply = jax.jit(apply)
  return lambda: jax.tree.map(np.asarray, apply(params, **given))


def whole(case: Case, path: pathlib.Path) -> Callable[[], Arrays]:
  """`ours`, a codec's clip in one piece."""
  return ours(case, path, size=case.latents)
