"""Public models at a size for tests: random weights, the real file formats."""

import pathlib

import tokenizers
import torch
import transformers

# More threads than free cores make torch many times slower.
torch.set_num_threads(1)

# What a chat looks like to the tiny vision-language model.
CHAT = (
  "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}"
  "{{ '<image>' if c['type'] == 'image' else c['text'] }}"
  "{% endfor %}\n{% endfor %}{% if add_generation_prompt %}said: {% endif %}"
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def grounding_dino(folder: pathlib.Path):
  """A GroundingDinoForObjectDetection that knows a few words."""
  words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
  words += ["car", "man", "fire", "truck", *_LETTERS]
  words += [f"##{letter}" for letter in _LETTERS]
  tokenizer = transformers.BertTokenizerFast(
    vocab={word: i for i, word in enumerate(words)}
  )
  config = transformers.GroundingDinoConfig(
    backbone_config=transformers.SwinConfig(
      image_size=64,
      embed_dim=8,
      depths=[1, 1, 1, 1],
      num_heads=[1, 1, 2, 2],
      window_size=2,
      out_indices=[2, 3, 4],
    ),
    text_config=transformers.BertConfig(
      vocab_size=len(words),
      hidden_size=16,
      num_hidden_layers=1,
      num_attention_heads=2,
      intermediate_size=24,
    ),
    d_model=32,
    num_queries=12,
    encoder_layers=1,
    decoder_layers=2,
    encoder_ffn_dim=24,
    decoder_ffn_dim=24,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
  )
  model = _random(transformers.GroundingDinoForObjectDetection, config, 0.2)
  processor = transformers.GroundingDinoProcessor(
    transformers.GroundingDinoImageProcessorPil(
      size={"shortest_edge": 64, "longest_edge": 96}
    ),
    tokenizer,
  )
  return _saved(folder, model, processor)


def llava(folder: pathlib.Path, *, template: str | None):
  """A LlavaForConditionalGeneration that spells in bytes."""
  words, tokenizer = _speller("<image>", image_token="<image>")
  config = transformers.LlavaConfig(
    vision_config=transformers.CLIPVisionConfig(
      hidden_size=16,
      intermediate_size=24,
      num_hidden_layers=2,
      num_attention_heads=2,
      image_size=28,
      patch_size=14,
    ),
    text_config=transformers.LlamaConfig(
      hidden_size=24,
      intermediate_size=32,
      num_hidden_layers=2,
      num_attention_heads=2,
      vocab_size=len(words),
      max_position_embeddings=1024,
      bos_token_id=len(words) - 4,
      eos_token_id=len(words) - 3,
      pad_token_id=len(words) - 2,
    ),
    image_token_index=len(words) - 1,
    vision_feature_layer=-1,
  )
  model = _random(transformers.LlavaForConditionalGeneration, config, 0.3)
  # At random it would stop at its first word.
  model.generation_config.suppress_tokens = [tokenizer.eos_token_id]
  processor = transformers.LlavaProcessor(
    image_processor=transformers.CLIPImageProcessorPil(
      size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
    ),
    tokenizer=tokenizer,
    patch_size=14,
    vision_feature_select_strategy="default",
    num_additional_image_tokens=1,
    chat_template=template,
  )
  return _saved(folder, model, processor)


def clap(folder: pathlib.Path):
  """A ClapModel that spells in bytes and hears a second of 8 kHz."""
  words, tokenizer = _speller()
  tokenizer.model_max_length = 100
  extractor = transformers.ClapFeatureExtractor(
    feature_size=16,
    sampling_rate=8000,
    hop_length=160,
    max_length_s=1,
    fft_window_size=256,
    frequency_min=50,
    frequency_max=3900,
    truncation="rand_trunc",
    padding="repeatpad",
  )
  config = transformers.ClapConfig(
    audio_config={
      "window_size": 4,
      "num_mel_bins": 16,
      "spec_size": 32,
      "depths": [1, 1],
      "num_attention_heads": [1, 2],
      "patch_embeds_hidden_size": 8,
      "hidden_size": 16,
    },
    text_config={
      "hidden_size": 16,
      "intermediate_size": 16,
      "num_hidden_layers": 1,
      "num_attention_heads": 2,
      "vocab_size": len(words),
      "pad_token_id": len(words) - 1,
      "max_position_embeddings": 128 + len(words),
    },
    projection_dim=12,
  )
  model = _random(transformers.ClapModel, config, 0.4)
  processor = transformers.ClapProcessor(extractor, tokenizer)
  made = _saved(folder, model, processor)
  # The public folder has it apart; a processor now saves one document.
  extractor.save_pretrained(folder)
  return made


def _speller(*more: str, **special: str):
  """The vocabulary of bytes, and its tokenizer; padding is "<pad>"."""
  words = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
  words += ["<s>", "</s>", "<pad>", *more]
  spelling = tokenizers.Tokenizer(
    tokenizers.models.BPE({word: i for i, word in enumerate(words)}, [])
  )
  spelling.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
    add_prefix_space=False
  )
  spelling.decoder = tokenizers.decoders.ByteLevel()
  tokenizer = transformers.PreTrainedTokenizerFast(
    tokenizer_object=spelling,
    bos_token="<s>",
    eos_token="</s>",
    pad_token="<pad>",
    extra_special_tokens=special,
  )
  return words, tokenizer


def _random(kind, config, spread):
  """Far from the identity, norms and biases too."""
  torch.manual_seed(0)
  model = kind(config).eval()
  with torch.no_grad():
    for value in model.parameters():
      value += spread * torch.randn_like(value)
  return model


def _saved(folder, model, processor):
  model.save_pretrained(folder)
  processor.save_pretrained(folder)
  return folder, model, processor
