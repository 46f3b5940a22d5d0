"""BERT in linen, inference only, reading Hugging Face checkpoints.

Devlin et al. 2018 (arXiv 1810.04805) as in transformers' BertModel: learned
absolute positions, post-norm blocks, exact GELU. The pooler is left out: the
sentence encoders that we use pool by the mean.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vta import errors
from vta.encoders import weights

# A frozen encoder must give the same features on every accelerator: the
# default would round the products to bf16 on a TPU and to TF32 on a GPU.
_PRECISION = jax.lax.Precision.HIGHEST


@dataclasses.dataclass(frozen=True, kw_only=True)
class BertConfig:
  """BERT's geometry, under the names of its config.json."""

  vocab_size: int
  hidden_size: int
  num_hidden_layers: int
  num_attention_heads: int
  intermediate_size: int
  max_position_embeddings: int
  type_vocab_size: int
  layer_norm_eps: float

  @classmethod
  def parse(cls, document: Mapping, *, where: str | os.PathLike) -> BertConfig:
    """Takes the geometry out of a config.json.

    Raises:
      InputError: for another architecture than the one ported, or a missing
        field.
    """
    ported = {
      "model_type": "bert",
      "hidden_act": "gelu",
      "position_embedding_type": "absolute",
      "is_decoder": False,
    }
    for name, value in ported.items():
      if document.get(name, value) != value:
        raise errors.InputError(
          where, f"{name} is {document[name]!r}; only {value!r} is supported"
        )
    values = {}
    for field in dataclasses.fields(cls):
      value = document.get(field.name)
      if not isinstance(value, int | float) or value <= 0:
        raise errors.InputError(
          where, f"{field.name} must be a positive number, not {value!r}"
        )
      values[field.name] = value
    if values["hidden_size"] % values["num_attention_heads"]:
      raise errors.InputError(
        where, "hidden_size must be a multiple of num_attention_heads"
      )
    return cls(**values)


class Bert(nn.Module):
  """Token ids to last hidden states."""

  config: BertConfig

  @nn.compact
  def __call__(
    self, ids: Int[Array, "b t"], mask: Bool[Array, "b t"]
  ) -> Float[Array, "b t d"]:
    config = self.config

    def table(count, name):
      return nn.Embed(count, config.hidden_size, name=name)

    words = table(config.vocab_size, "words")(ids)
    positions = table(config.max_position_embeddings, "positions")(
      jnp.arange(ids.shape[1])
    )
    # One sentence, so the segment is always the first.
    segment = table(config.type_vocab_size, "segments")(jnp.zeros(1, int))
    x = words + positions[None] + segment[None]
    x = nn.LayerNorm(config.layer_norm_eps, name="norm")(x)
    # Scanned: six layers compile in the time of one, which is most of the
    # start-up of `generate`.
    layers = nn.scan(
      _Layer,
      variable_axes={"params": 0},
      split_rngs={"params": True},
      in_axes=nn.broadcast,
      length=config.num_hidden_layers,
    )
    x, _ = layers(config, name="layers")(x, mask)
    return x


class _Layer(nn.Module):
  """Self-attention and MLP, each followed by its norm (post-norm)."""

  config: BertConfig

  @nn.compact
  def __call__(self, x, mask):
    config = self.config
    batch, length, width = x.shape
    heads = (batch, length, config.num_attention_heads, -1)

    def dense(features, name):
      return nn.Dense(features, precision=_PRECISION, name=name)

    def norm(name):
      return nn.LayerNorm(config.layer_norm_eps, name=name)

    q, k, v = (
      dense(width, name)(x).reshape(heads) for name in ("query", "key", "value")
    )
    logits = jnp.einsum("bqhd,bkhd->bhqk", q, k, precision=_PRECISION)
    logits = logits / np.sqrt(q.shape[-1])
    logits = jnp.where(mask[:, None, None], logits, -jnp.inf)
    attended = jnp.einsum(
      "bhqk,bkhd->bqhd", nn.softmax(logits), v, precision=_PRECISION
    )
    attended = dense(width, "attention_out")(attended.reshape(x.shape))
    x = norm("attention_norm")(x + attended)
    hidden = dense(config.intermediate_size, "mlp_in")(x)
    hidden = dense(width, "mlp_out")(nn.gelu(hidden, approximate=False))
    return norm("mlp_norm")(x + hidden), None


def convert(
  tensors: Mapping[str, np.ndarray],
  config: BertConfig,
  *,
  where: str | os.PathLike,
) -> dict:
  """A BertModel's state dict as the parameters of `Bert`.

  Names may carry the `bert.` prefix of the models with a head; heads and the
  pooler are ignored.

  Raises:
    InputError: naming the tensor that is missing or has the wrong shape.
  """
  tensors = {n.removeprefix("bert."): value for n, value in tensors.items()}
  width, inner = config.hidden_size, config.intermediate_size

  def take(name, *shape):
    return weights.take(tensors, name, shape, where=where)

  def table(name, count):
    name = f"embeddings.{name}_embeddings.weight"
    return {"embedding": take(name, count, width)}

  def norm(name):
    return {
      "scale": take(f"{name}.weight", width),
      "bias": take(f"{name}.bias", width),
    }

  def dense(name, rows, columns):
    # PyTorch keeps [out, in].
    return {
      "kernel": take(f"{name}.weight", columns, rows).T,
      "bias": take(f"{name}.bias", columns),
    }

  def layer(index):
    root = f"encoder.layer.{index}"
    attention = f"{root}.attention"
    return {
      "query": dense(f"{attention}.self.query", width, width),
      "key": dense(f"{attention}.self.key", width, width),
      "value": dense(f"{attention}.self.value", width, width),
      "attention_out": dense(f"{attention}.output.dense", width, width),
      "attention_norm": norm(f"{attention}.output.LayerNorm"),
      "mlp_in": dense(f"{root}.intermediate.dense", width, inner),
      "mlp_out": dense(f"{root}.output.dense", inner, width),
      "mlp_norm": norm(f"{root}.output.LayerNorm"),
    }

  layers = [layer(index) for index in range(config.num_hidden_layers)]
  return {
    "words": table("word", config.vocab_size),
    "positions": table("position", config.max_position_embeddings),
    "segments": table("token_type", config.type_vocab_size),
    "norm": norm("embeddings.LayerNorm"),
    "layers": jax.tree.map(lambda *xs: np.stack(xs), *layers),
  }
