"""T5's encoder and its tokens against transformers, at random weights."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers, processors
from transformers.models.t5 import modeling_t5

from vta import errors
from vta.encoders import t5, t5_text, weights

# Of the largest value, everything in float32.
TOLERANCE = 1e-4
KINDS = ("relu", "gated-gelu")
TEXTS = [
  "a small metal ball bounces on the floor",
  "Rain.",
  "",
  "雨!  clang! — café \n xqzt",
  "a dog barks while " * 20,
]
# For what does not depend on the feed-forward.
gated = pytest.mark.parametrize("tiny", ["gated-gelu"], indirect=True)
BIAS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
QUERY = "encoder.block.1.layer.0.SelfAttention.q.weight"


def relative_error(ours, theirs):
  assert ours.shape == theirs.shape
  return np.abs(ours - theirs).max() / np.abs(theirs).max()


def write_tokenizer(folder):
  """A Unigram tokenizer in the parts that T5's tokenizer.json has."""
  pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
  words = "▁a ▁small ▁metal ▁dog ▁bark ▁ball ▁rain ▁on ▁the ▁while ou ing cl"
  pieces += [(word, -4.0 - 0.1 * i) for i, word in enumerate(words.split())]
  pieces += [(c, -8.0) for c in "abcdefghijklmnopqrstuvwxyzRé!."]
  tokenizer = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=2))
  tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
  tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
  )
  tokenizer.post_processor = processors.TemplateProcessing(
    single="$A </s>", special_tokens=[("</s>", 1)]
  )
  # Settings that must give way to ours.
  tokenizer.enable_truncation(5)
  tokenizer.enable_padding(length=6, pad_id=2)
  tokenizer.save(str(folder / "tokenizer.json"))


def make_model(kind, cls=transformers.T5EncoderModel):
  config = transformers.T5Config(
    vocab_size=64,
    d_model=24,
    d_kv=7,  # 5 heads of it are not d_model
    d_ff=40,
    num_layers=3,
    num_heads=5,
    relative_attention_num_buckets=12,
    relative_attention_max_distance=30,
    layer_norm_epsilon=1e-3,
    feed_forward_proj=kind,
  )
  torch.manual_seed(0)
  model = cls(config).eval()
  with torch.no_grad():
    for name, value in model.named_parameters():
      # Large, so that attention, biases and norms are far from the identity.
      if "norm" in name or "relative" in name:
        value += torch.randn_like(value)
      assert value.std() > 0, name
  return model


@pytest.fixture(scope="module", params=KINDS)
def tiny(request, tmp_path_factory):
  """A random T5EncoderModel in a folder, and the model."""
  folder = tmp_path_factory.mktemp("t5")
  model = make_model(request.param)
  model.save_pretrained(folder)
  write_tokenizer(folder)
  return folder, model


@pytest.fixture
def copied(tmp_path):
  """A folder of a gated model that a test may damage, and its tensors."""
  folder = tmp_path / "copied"
  model = make_model("gated-gelu")
  model.save_pretrained(folder)
  write_tokenizer(folder)
  path = folder / "model.safetensors"
  return folder, path, safetensors.torch.load_file(path)


def refused(folder, match):
  with pytest.raises(errors.InputError, match=match):
    t5_text.T5TextEncoder.load(folder)


def hidden(model, ids, mask):
  with torch.no_grad():
    out = model(
      input_ids=torch.as_tensor(np.asarray(ids, np.int64)),
      attention_mask=torch.as_tensor(np.asarray(mask, np.int64)),
    )
  return out.last_hidden_state.float().numpy()


@pytest.mark.parametrize("length", [9, 80])
def test_hidden_states_equal_transformers(tiny, length):
  """Also where attention has holes, and beyond the last bucket (30)."""
  encoder = t5_text.T5TextEncoder.load(tiny[0])
  rng = np.random.default_rng(length)
  ids = rng.integers(0, 64, (3, length)).astype(np.int32)
  mask = np.arange(length)[None] < np.array([[length], [length // 2], [1]])
  mask[0] = rng.random(length) < 0.7
  mask[0, -1] = True
  model = t5.T5Encoder(encoder.config)
  ours = jax.jit(model.apply)({"params": encoder.params}, ids, mask)
  error = relative_error(np.asarray(ours), hidden(tiny[1], ids, mask))
  print(f"{encoder.config.feed_forward_proj}, {length}: {error:.1e}")
  assert error <= TOLERANCE


@pytest.mark.parametrize("count", [4, 12, 15, 32, 64])
@pytest.mark.parametrize("furthest", [20, 128, 333])
def test_buckets_equal_transformers(count, furthest):
  """Every one of them: a rounding apart is another bucket."""
  ours = t5.relative_buckets(700, count=count, furthest=furthest)
  offset = torch.arange(700)[None] - torch.arange(700)[:, None]
  theirs = modeling_t5.T5Attention._relative_position_bucket(
    offset, num_buckets=count, max_distance=furthest
  )
  np.testing.assert_array_equal(ours, theirs.numpy())


def test_texts_equal_transformers(tiny):
  """As StableAudioPipeline has them: padded to 128, zero on padding."""
  folder, model = tiny
  encoder = t5_text.T5TextEncoder.load(folder)
  features = encoder.encode(TEXTS)
  theirs = transformers.T5TokenizerFast.from_pretrained(folder)(
    TEXTS,
    padding="max_length",
    max_length=128,
    truncation=True,
    return_tensors="np",
  )
  mask = theirs["attention_mask"]
  expected = hidden(model, theirs["input_ids"], mask) * mask[..., None]
  np.testing.assert_array_equal(features.mask, mask.astype(bool))
  assert features.tokens.shape == (5, 128, encoder.width)
  assert features.tokens.dtype == np.float32
  assert relative_error(features.tokens, expected) <= TOLERANCE
  assert not features.tokens[~features.mask].any()


@gated
def test_cut_tokens_equal_transformers(tiny):
  encoder = t5_text.T5TextEncoder.load(tiny[0], max_length=8)
  theirs = transformers.T5TokenizerFast.from_pretrained(tiny[0])
  expected = theirs(TEXTS, max_length=8, truncation=True, padding="max_length")
  codes = encoder.tokenizer.encode_batch(TEXTS)
  assert [c.ids for c in codes] == expected["input_ids"]
  # The test's own texts are worth it: whole words, letters, unknown ones.
  assert {4, 2, 1, 0} <= {i for c in codes for i in c.ids}


@gated
def test_features_do_not_depend_on_the_batch(tiny, monkeypatch):
  encoder = t5_text.T5TextEncoder.load(tiny[0], max_length=32)
  together = encoder.encode(TEXTS[:4])
  lengths = together.mask.sum(axis=1)
  assert lengths.min() <= 16 < lengths.max()  # so they run at two lengths
  monkeypatch.setattr(t5_text, "_MAX_BATCH", 2)
  assert encoder.encode([]).tokens.shape == (0, 32, 24)
  parts = encoder.encode(TEXTS[:4])
  assert relative_error(parts.tokens, together.tokens) <= 1e-5


@gated
def test_truncation_is_reported(tiny):
  encoder = t5_text.T5TextEncoder.load(tiny[0], max_length=8)
  head = "rain on the metal dog on a"
  features = encoder.encode([head, f"{head} small Ball"])
  assert features.cut == ("", "small Ball")
  assert features.mask.all()
  assert relative_error(features.tokens[0], features.tokens[1]) <= 1e-5


def test_bfloat16_keeps_a_large_residual_stream(tmp_path):
  """Whose last bits torch's bfloat16 drops, layer after layer."""
  model = make_model("gated-gelu").bfloat16()
  with torch.no_grad():
    model.shared.weight *= 64
  model.save_pretrained(tmp_path)
  write_tokenizer(tmp_path)
  exact = t5_text.T5TextEncoder.load(tmp_path, max_length=16)
  half = t5_text.T5TextEncoder.load(tmp_path, max_length=16, dtype="bfloat16")
  leaves = jax.tree_util.tree_leaves_with_path(half.params)
  kinds = {path[-1].key: leaf.dtype for path, leaf in leaves}
  assert kinds["kernel"] == kinds["embedding"] == jnp.bfloat16
  assert kinds["scale"] == kinds["position_bias"] == jnp.float32
  expected, ours = (encoder.encode(TEXTS) for encoder in (exact, half))
  codes = exact.tokenizer.encode_batch(TEXTS)
  theirs = hidden(model, [c.ids for c in codes], ours.mask)
  kept = ours.mask
  error = relative_error(ours.tokens[kept], expected.tokens[kept])
  torchs = relative_error(theirs[kept], expected.tokens[kept])
  print(f"bfloat16: ours {error:.1e}, torch's {torchs:.1e}")
  assert 0 < error < 0.2 * torchs


@gated
def test_shards_are_read(tiny, tmp_path):
  folder, model = tiny
  model.save_pretrained(tmp_path, max_shard_size="8KB")
  assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
  assert not (tmp_path / "model.safetensors").exists()
  # The tokenizer is where it was, as in a pipeline's folder.
  ours = t5_text.T5TextEncoder.load(tmp_path, tokenizer=folder)
  expected = t5_text.T5TextEncoder.load(folder)
  jax.tree.map(np.testing.assert_array_equal, ours.params, expected.params)


def test_missing_weights_are_named(tmp_path):
  with pytest.raises(errors.InputError, match=r"expected model\.safetensors"):
    weights.read_folder_tensors(tmp_path)
  make_model("relu").save_pretrained(tmp_path, max_shard_size="8KB")
  shard = min(tmp_path.glob("model-*.safetensors"))
  shard.unlink()
  with pytest.raises(errors.InputError, match=shard.name):
    weights.read_folder_tensors(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_t5_is_accepted(tmp_path, kind):
  """With every name that the releases have, tied or not."""
  model = make_model(kind, transformers.T5ForConditionalGeneration)
  tensors = {n: v.clone() for n, v in model.state_dict().items()}
  assert {
    "lm_head.weight",
    "decoder.embed_tokens.weight",
    "encoder.embed_tokens.weight",
    "shared.weight",
  } <= tensors.keys()
  # Where it is not tied it may have any value: it is the decoder's.
  tensors["lm_head.weight"] += 1.0
  model.config.save_pretrained(tmp_path)
  write_tokenizer(tmp_path)
  safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
  encoder = t5_text.T5TextEncoder.load(tmp_path)
  features = encoder.encode(TEXTS[:2])
  codes = encoder.tokenizer.encode_batch(TEXTS[:2])
  expected = hidden(model.encoder, [c.ids for c in codes], features.mask)
  expected *= features.mask[..., None]
  assert relative_error(features.tokens, expected) <= TOLERANCE


def test_either_name_of_the_words_will_do(copied):
  folder, path, tensors = copied
  expected = weights.read_folder_tensors(folder)["shared.weight"]
  tensors["encoder.embed_tokens.weight"] = tensors.pop("shared.weight")
  safetensors.torch.save_file(tensors, path)
  encoder = t5_text.T5TextEncoder.load(folder)
  np.testing.assert_array_equal(encoder.params["words"]["embedding"], expected)
  tensors["shared.weight"] = tensors["encoder.embed_tokens.weight"] + 1.0
  safetensors.torch.save_file(tensors, path)
  refused(folder, r"embed_tokens\.weight differ")
  del tensors["shared.weight"], tensors["encoder.embed_tokens.weight"]
  safetensors.torch.save_file(tensors, path)
  refused(folder, r"shared\.weight is missing")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_files_are_widened(copied, dtype):
  folder, path, tensors = copied
  rounded = {n: v.to(dtype) for n, v in tensors.items()}
  rounded["encoder.position_ids"] = torch.arange(3)  # a buffer
  safetensors.torch.save_file(rounded, path)
  read = weights.read_folder_tensors(folder)
  assert read.keys() == tensors.keys()
  for name, tensor in read.items():
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, rounded[name].float().numpy())
  t5_text.T5TextEncoder.load(folder)


def test_every_tensor_that_does_not_fit_is_named(copied):
  folder, path, tensors = copied
  tensors[QUERY.replace("SelfAttention.q", "Attention.q")] = tensors.pop(QUERY)
  tensors["decoders.0.weight"] = torch.zeros(2)
  tensors["encoder.decoder.weight"] = torch.zeros(2)
  tensors[BIAS] = tensors[BIAS].T.contiguous()
  safetensors.torch.save_file(tensors, path)
  with pytest.raises(errors.InputError) as caught:
    t5_text.T5TextEncoder.load(folder)
  for part in (
    f"{folder}: 5 tensors do not fit config.json: ",
    f"tensor {BIAS} has shape (5, 12), expected (12, 5)",
    f"tensor {QUERY} is missing",
    "tensor decoders.0.weight is not in the model",
    "tensor encoder.block.1.layer.0.Attention.q.weight is not in the model",
    "tensor encoder.decoder.weight is not in the model",
  ):
    assert part in str(caught.value)


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("model_type", "umt5", "only 't5'"),
    ("is_decoder", True, "only False"),
    ("feed_forward_proj", "gated-silu", "only 'relu' or 'gated-gelu'"),
    (
      "feed_forward_proj",
      "relu",
      r"wi\.weight is missing.*wi_0\.weight is not",
    ),
    ("d_model", "24", "d_model must be a positive integer, not '24'"),
    ("d_kv", None, "d_kv must be a positive integer, not None"),
    ("layer_norm_epsilon", 0.0, "must be a positive number"),
    ("relative_attention_num_buckets", 3, "at least 4"),
    ("relative_attention_max_distance", 3, "a quarter of it"),
    ("num_layers", 4, r"block\.3\.layer\.0\.layer_norm\.weight is missing"),
    (
      "num_layers",
      2,
      r"block\.2\.layer\.0\.layer_norm\.weight is not in the model",
    ),
    ("vocab_size", 20, r"shared\.weight has shape"),
  ],
)
def test_a_config_that_does_not_fit(copied, field, value, message):
  folder = copied[0]
  path = folder / "config.json"
  config = json.loads(path.read_text())
  path.write_text(json.dumps({**config, field: value}))
  refused(folder, message)


def test_the_first_releases_config():
  """google-t5/t5-base leaves out what was a constant then."""
  written = {
    "model_type": "t5",
    "d_ff": 3072,
    "d_kv": 64,
    "d_model": 768,
    "layer_norm_epsilon": 1e-06,
    "n_positions": 512,
    "num_heads": 12,
    "num_layers": 12,
    "relative_attention_num_buckets": 32,
    "vocab_size": 32128,
  }
  ours = t5.T5Config.parse(written, where="config.json")
  theirs = transformers.T5Config(**written)
  for field in dataclasses.fields(ours):
    assert getattr(ours, field.name) == getattr(theirs, field.name)
  sizes = jax.eval_shape(
    t5.T5Encoder(ours).init,
    jax.random.key(0),
    np.zeros((1, 4), np.int32),
    np.ones((1, 4), bool),
  )
  # T5EncoderModel's.
  assert sum(x.size for x in jax.tree.leaves(sizes)) == 109_628_544


def test_a_tokenizer_is_asked_for(copied):
  folder = copied[0]
  (folder / "tokenizer.json").unlink()
  refused(folder, r"expected .*, tokenizer\.json here.*; tokenizer\.json miss")
  (folder / "spiece.model").write_bytes(b"")
  refused(folder, r"tokenizer\.json is needed; make it with `pip .*`python -c")


def test_a_tokenizer_that_is_not_t5s(copied):
  folder = copied[0]
  path = folder / "tokenizer.json"
  whole = json.loads(path.read_text())
  path.write_text(json.dumps({**whole, "post_processor": None}))
  refused(folder, "close every text with </s>")
  whole["model"]["vocab"] += [[f"x{i}", -9.0] for i in range(64)]
  path.write_text(json.dumps(whole))
  refused(folder, "weights know only 64")
  path.write_text("{}")
  refused(folder, "not a tokenizer")
