"""T5's encoder in linen, inference only, reading Hugging Face checkpoints.

Raffel et al. 2020 (arXiv 1910.10683) as in transformers' T5EncoderModel:
pre-norm blocks without biases, RMS norm, logits that are not divided by the
root of the head size, and one learned bias per head and bucket of relative
positions, which the first layer owns and all layers add. T5 (ReLU) and T5 v1.1
or FLAN-T5 (gated GELU) differ in the feed-forward alone.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vta import errors
from vta.encoders import weights

# As in bert.py: the same features on every accelerator.
_PRECISION = jax.lax.Precision.HIGHEST
_FEED_FORWARDS = ("relu", "gated-gelu")
# Two names of one table; a checkpoint has either or both.
_WORDS = ("shared.weight", "encoder.embed_tokens.weight")
_BIAS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Config:
  """The encoder's geometry, under the names of its config.json.

  The fields with a value here are those that the first releases' files leave
  out.
  """

  vocab_size: int
  d_model: int
  d_kv: int
  d_ff: int
  num_layers: int
  num_heads: int
  relative_attention_num_buckets: int = 32
  relative_attention_max_distance: int = 128
  layer_norm_epsilon: float = 1e-6
  feed_forward_proj: Literal["relu", "gated-gelu"] = "relu"

  @classmethod
  def parse(cls, document: Mapping, *, where: str | os.PathLike) -> T5Config:
    """Takes the geometry out of a config.json.

    Raises:
      InputError: for another architecture than the one ported, or a missing
        field.
    """
    ported = {
      "model_type": ("t5",),
      "is_decoder": (False,),
      "feed_forward_proj": _FEED_FORWARDS,
    }
    weights.require(document, ported, where=where)
    values = {}
    for field in dataclasses.fields(cls):
      missing = field.default is dataclasses.MISSING
      default = None if missing else field.default
      values[field.name] = value = document.get(field.name, default)
      kind = int if missing else type(default)
      if kind is not str and (type(value) is not kind or value <= 0):
        what = "integer" if kind is int else "number"
        raise errors.InputError(
          where, f"{field.name} must be a positive {what}, not {value!r}"
        )
    buckets = values["relative_attention_num_buckets"]
    if buckets < 4 or values["relative_attention_max_distance"] <= buckets // 4:
      raise errors.InputError(
        where,
        "relative_attention_num_buckets must be at least 4, and "
        "relative_attention_max_distance more than a quarter of it",
      )
    return cls(**values)


class T5Encoder(nn.Module):
  """Token ids to the last hidden states, final norm included.

  Attributes:
    config: the geometry.
    dtype: of the matrix products. Residual stream, norms, logits and softmax
      are in float32 always: T5's residual stream grows to values whose last
      bits bfloat16 drops.
  """

  config: T5Config
  dtype: Literal["float32", "bfloat16"] = "float32"

  @nn.compact
  def __call__(
    self, ids: Int[Array, "b t"], mask: Bool[Array, "b t"]
  ) -> Float[Array, "b t d"]:
    c = self.config
    x = nn.Embed(c.vocab_size, c.d_model, name="words")(ids)
    buckets = relative_buckets(
      ids.shape[1],
      count=c.relative_attention_num_buckets,
      furthest=c.relative_attention_max_distance,
    )
    biases = self.param(
      "position_bias",
      nn.initializers.normal(c.d_model**-0.5),
      (c.relative_attention_num_buckets, c.num_heads),
    )
    # Scanned, so that any depth compiles in the time of one layer.
    layers = nn.scan(
      _Layer,
      variable_axes={"params": 0},
      split_rngs={"params": True},
      in_axes=nn.broadcast,
      length=c.num_layers,
    )
    x, _ = layers(c, jnp.dtype(self.dtype), name="layers")(
      x.astype(jnp.float32), jnp.moveaxis(biases[buckets], -1, 0)[None], mask
    )
    return nn.RMSNorm(c.layer_norm_epsilon, name="norm")(x)


class _Layer(nn.Module):
  """Self-attention and feed-forward, each after its norm (pre-norm)."""

  config: T5Config
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x, bias, mask):
    c = self.config
    inner = c.num_heads * c.d_kv  # not always d_model

    def dense(features, name):
      return nn.Dense(
        features,
        use_bias=False,
        dtype=self.dtype,
        precision=_PRECISION,
        name=name,
      )

    def norm(name):
      return nn.RMSNorm(c.layer_norm_epsilon, dtype=self.dtype, name=name)

    y = norm("attention_norm")(x)
    heads = (*x.shape[:2], c.num_heads, c.d_kv)
    q, k, v = (
      dense(inner, name)(y).reshape(heads) for name in ("query", "key", "value")
    )
    logits = jnp.einsum(
      "bqhd,bkhd->bhqk",
      q,
      k,
      precision=_PRECISION,
      preferred_element_type=jnp.float32,
    )
    lowest = jnp.finfo(jnp.float32).min
    logits = jnp.where(mask[:, None, None], logits + bias, lowest)
    attended = jnp.einsum(
      "bhqk,bkhd->bqhd",
      nn.softmax(logits).astype(self.dtype),
      v,
      precision=_PRECISION,
    )
    x += dense(c.d_model, "attention_out")(attended.reshape(*x.shape[:2], -1))
    y = norm("mlp_norm")(x)
    hidden = dense(c.d_ff, "mlp_in")(y)
    if c.feed_forward_proj == "relu":
      hidden = nn.relu(hidden)
    else:
      gate = nn.gelu(dense(c.d_ff, "mlp_gate")(y), approximate=True)
      hidden = gate * hidden
    return x + dense(c.d_model, "mlp_out")(hidden), None


def relative_buckets(
  length: int, *, count: int, furthest: int
) -> Int[np.ndarray, "t t"]:
  """The bucket of each pair of query and key, for attention both ways.

  Half of the buckets are for keys after the query. Of either half, half are
  for one distance each and the others get wider with it, up to `furthest`;
  all that is further shares the last one.
  """
  half = count // 2
  exact = half // 2
  offset = np.arange(length)[None] - np.arange(length)[:, None]
  distance = np.abs(offset)
  # In float32, as transformers: where a bucket begins depends on rounding.
  # Distances below `exact` are replaced after, hence no logarithm of zero.
  far = np.maximum(distance, exact).astype(np.float32) / np.float32(exact)
  octaves = np.log(far) / np.float32(np.log(furthest / exact))
  wide = exact + (octaves * np.float32(half - exact)).astype(int)
  bucket = np.where(distance < exact, distance, np.minimum(wide, half - 1))
  return np.where(offset > 0, half, 0) + bucket


def convert(
  tensors: Mapping[str, np.ndarray],
  config: T5Config,
  *,
  where: str | os.PathLike,
) -> dict:
  """A state dict as the parameters of `T5Encoder`.

  It may be a T5EncoderModel's or a T5ForConditionalGeneration's, whose decoder
  and output layer are dropped. Nothing else may be left over: a name that we
  do not know is a weight that we would silently do without.

  Raises:
    InputError: naming every tensor that is missing, has the wrong shape or is
      not of a T5.
  """
  tensors = {
    name: tensor
    for name, tensor in tensors.items()
    if not name.startswith("decoder.") and name != "lm_head.weight"
  }
  words = [tensors.pop(name) for name in _WORDS if name in tensors]
  if not all(np.array_equal(words[0], other) for other in words[1:]):
    raise errors.InputError(where, f"tensors {' and '.join(_WORDS)} differ")
  if words:
    tensors[_WORDS[0]] = words[0]
  width, hidden = config.d_model, config.d_ff
  inner = config.num_heads * config.d_kv
  buckets = config.relative_attention_num_buckets
  # The empty prefix is of all names: nothing may be left.
  with weights.taking(tensors, prefix="", whole="", where=where) as take:

    def norm(name):
      return {"scale": take(f"{name}.weight", width)}

    def dense(name, rows, columns):
      # PyTorch keeps [out, in].
      return {"kernel": take(f"{name}.weight", columns, rows).T}

    def layer(index):
      attention, mlp = (f"encoder.block.{index}.layer.{i}" for i in range(2))
      parameters = {
        "attention_norm": norm(f"{attention}.layer_norm"),
        "query": dense(f"{attention}.SelfAttention.q", width, inner),
        "key": dense(f"{attention}.SelfAttention.k", width, inner),
        "value": dense(f"{attention}.SelfAttention.v", width, inner),
        "attention_out": dense(f"{attention}.SelfAttention.o", inner, width),
        "mlp_norm": norm(f"{mlp}.layer_norm"),
        "mlp_out": dense(f"{mlp}.DenseReluDense.wo", hidden, width),
      }
      mlp_in = "wi"
      if config.feed_forward_proj == "gated-gelu":
        gate = dense(f"{mlp}.DenseReluDense.wi_0", width, hidden)
        parameters["mlp_gate"] = gate
        mlp_in = "wi_1"
      into = dense(f"{mlp}.DenseReluDense.{mlp_in}", width, hidden)
      return {**parameters, "mlp_in": into}

    parameters = {
      "words": {"embedding": take(_WORDS[0], config.vocab_size, width)},
      "position_bias": take(_BIAS, buckets, config.num_heads),
      "norm": norm("encoder.final_layer_norm"),
    }
    layers = [layer(index) for index in range(config.num_layers)]
  return {**parameters, "layers": jax.tree.map(lambda *x: np.stack(x), *layers)}
