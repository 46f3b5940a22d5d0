"""What all towers' folders have in common: which files, which numbers."""

import numpy as np
import pytest
import safetensors.torch
import torch

from vta import errors
from vta.encoders import (
  clap,
  clip,
  dinov2,
  languagebind,
  t5_text,
  text,
  weights,
)

TENSORS = (
  "model.safetensors (or model.safetensors.index.json, or pytorch_model.bin)"
)
CLIP_WORDS = "tokenizer.json (or vocab.json and merges.txt)"
PICTURES = "preprocessor_config.json"
VIDEO = "LanguageBind/LanguageBind_Video_V1.5_FT"


@pytest.mark.parametrize(
  ("kind", "files", "public"),
  [
    (clip.ImageEncoder, (PICTURES,), "openai/clip-vit-base-patch32"),
    (clip.TextEncoder, (CLIP_WORDS,), "openai/clip-vit-base-patch32"),
    (languagebind.VideoEncoder, (), VIDEO),
    (languagebind.TextEncoder, (CLIP_WORDS,), VIDEO),
    (languagebind.AudioEncoder, (), "LanguageBind/LanguageBind_Audio_FT"),
    (clap.AudioEncoder, (PICTURES,), "laion/clap-htsat-unfused"),
    (dinov2.Encoder, (PICTURES,), "facebook/dinov2-base"),
    (t5_text.T5TextEncoder, ("tokenizer.json",), "google-t5/t5-base"),
    (
      text.TextEncoder,
      ("tokenizer.json",),
      "sentence-transformers/all-MiniLM-L6-v2",
    ),
  ],
)
def test_all_that_an_empty_folder_lacks_is_named_at_once(
  tmp_path, kind, files, public
):
  with pytest.raises(errors.InputError) as caught:
    kind.load(tmp_path)
  assert caught.value.where == str(tmp_path)
  names = [name.split(" ")[0] for name in ("model.safetensors", *files)]
  assert caught.value.message == (
    f"expected {', '.join(('config.json', TENSORS, *files))} here, as in "
    f"https://huggingface.co/{public}; "
    f"{', '.join(('config.json', *names))} missing"
  )


def test_one_of_several_files_is_enough(tmp_path):
  files = ("a", ("b", "c and d", "e"))
  (tmp_path / "a").touch()
  (tmp_path / "c").touch()
  with pytest.raises(
    errors.InputError, match=r"expected a, b \(or c and d, or e\) here; b miss"
  ):
    weights.checked_folder(tmp_path, files)
  (tmp_path / "d").touch()
  assert weights.checked_folder(tmp_path, files) == tmp_path


def save(folder, tensors):
  safetensors.torch.save_file(tensors, folder / "model.safetensors")


def test_floats_of_any_width_are_read_and_buffers_are_not(tmp_path):
  values = torch.tensor([[1.0, -0.5], [3.0, 256.0]])
  kinds = {
    "single": torch.float32,
    "half": torch.float16,
    "bfloat16": torch.bfloat16,
    "double": torch.float64,
  }
  tensors = {name: values.to(kind) for name, kind in kinds.items()}
  buffers = {
    "places": torch.arange(2),
    "bytes": torch.zeros(2, dtype=torch.uint8),
    "mask": torch.ones(2, dtype=torch.bool),
  }
  save(tmp_path, tensors | buffers)
  read = weights.read_folder_tensors(tmp_path)
  assert read.keys() == kinds.keys()
  for tensor in read.values():
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, values.numpy())


def test_numbers_that_are_not_ported_are_named(tmp_path):
  small = torch.zeros(3).to(torch.float8_e4m3fn)
  save(tmp_path, {"a.weight": torch.zeros(3), "b.weight": small})
  with pytest.raises(
    errors.InputError,
    match=r"b\.weight is F8_E4M3; only F32, F16, BF16, F64 are supported",
  ):
    weights.read_folder_tensors(tmp_path)


def test_the_other_tower_is_not_read(tmp_path):
  # What is read would be refused.
  small = torch.zeros(3).to(torch.float8_e4m3fn)
  tensors = {"vision.a": torch.ones(3), "text.a": small}
  save(tmp_path, tensors)
  read = weights.read_folder_tensors(tmp_path, without=("text.",))
  assert read.keys() == {"vision.a"}
  (tmp_path / "model.safetensors").unlink()
  torch.save(
    {name: value.half() for name, value in tensors.items()},
    tmp_path / "pytorch_model.bin",
  )
  read = weights.read_folder_tensors(tmp_path, without=("text.",))
  assert read.keys() == {"vision.a"}
