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

from vta.encoders import vit, weights

# A frozen encoder must give the same features on every accelerator: the
# default would round the products to bf16 on a TPU and to TF32 on a GPU.
_PRECISION = jax.lax.Precision.HIGHEST
_PORTED: Mapping[str, tuple] = {
  "model_type": ("bert",),
  "hidden_act": ("gelu",),
  "position_embedding_type": ("absolute",),
  "is_decoder": (False,),
}
# Our name of each part of a layer -> theirs.
_PARTS = {
  "query": "attention.self.query",
  "key": "attention.self.key",
  "value": "attention.self.value",
  "attention_out": "attention.output.dense",
  "attention_norm": "attention.output.LayerNorm",
  "mlp_in": "intermediate.dense",
  "mlp_out": "output.dense",
  "mlp_norm": "output.LayerNorm",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BertConfig:
  """BERT's geometry, under the names and defaults of transformers."""

  vocab_size: int = 30_522
  hidden_size: int = 768
  num_hidden_layers: int = 12
  num_attention_heads: int = 12
  intermediate_size: int = 3072
  max_position_embeddings: int = 512
  type_vocab_size: int = 2
  layer_norm_eps: float = 1e-12

  @classmethod
  def parse(cls, document: Mapping, *, where: str | os.PathLike) -> BertConfig:
    """Takes the geometry out of a config.json.

    Raises:
      InputError: listing what is of no use, or not ported.
    """
    weights.require(document, _PORTED, where=where)
    return vit.parse(cls, document, where=where)

  @property
  def stack(self) -> vit.Stack:
    """What the layers' parameters are converted by."""
    return vit.Stack(
      width=self.hidden_size,
      layers=self.num_hidden_layers,
      heads=self.num_attention_heads,
      inner=self.intermediate_size,
      epsilon=self.layer_norm_eps,
      activation="gelu",
    )


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
    InputError: listing every tensor that does not fit the config.
  """
  width = config.hidden_size
  with weights.taking(
    tensors, prefix="bert.", whole="encoder.", where=where
  ) as take:

    def table(name, count):
      name = f"embeddings.{name}_embeddings.weight"
      return {"embedding": take(name, count, width)}

    return {
      "words": table("word", config.vocab_size),
      "positions": table("position", config.max_position_embeddings),
      "segments": table("token_type", config.type_vocab_size),
      "norm": vit.convert_norm(take, "embeddings.LayerNorm", width),
      "layers": vit.convert_layers(take, config.stack, "encoder.layer", _PARTS),
    }
