"""Image processing against transformers' processors."""

import json
import re

import numpy as np
import pytest
import transformers

from vta import errors
from vta.encoders import images

# One grey level after normalisation is at least 1 / 255 / 0.3 = 0.013: a
# difference of a 1,000th of it is float32's, and no pixel differs.
TOLERANCE = 1e-5
DINOV2 = {
  "size": {"shortest_edge": 30},
  "crop_size": {"height": 25, "width": 25},
  "image_mean": [0.485, 0.456, 0.406],
  "image_std": [0.229, 0.224, 0.225],
}
PROCESSORS = {
  "clip": transformers.CLIPImageProcessorPil(
    size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
  ),
  "dinov2": transformers.BitImageProcessorPil(**DINOV2),
  "defaults": transformers.CLIPImageProcessorPil(),
}


def frames_of(height, width):
  """A picture with edges and a gradient, and noise."""
  rng = np.random.default_rng(height * width)
  noise = rng.integers(0, 256, (2, height, width, 3), np.uint8)
  ramp = np.linspace(0, 255, width).astype(np.uint8)
  noise[0] = ramp[:, None]
  noise[0, height // 3 : height // 2, :, 0] = 255
  noise[0, :, : width // 4] = 0
  return noise


def load(document, folder):
  path = folder / images.FILE
  path.write_text(json.dumps(document))
  return images.Processor.load(path)


@pytest.mark.parametrize(
  ("name", "height", "width"),
  [
    # Wide, tall, odd, larger, smaller, and already of the right size.
    ("clip", 37, 91),
    ("clip", 120, 51),
    ("clip", 19, 23),
    ("clip", 32, 32),
    ("dinov2", 90, 160),
    ("dinov2", 47, 31),
    ("defaults", 270, 361),
  ],
)
def test_pictures_equal_transformers(name, height, width, tmp_path):
  theirs = PROCESSORS[name]
  theirs.save_pretrained(tmp_path)
  ours = images.Processor.load(tmp_path / images.FILE)
  frames = frames_of(height, width)
  made = ours(frames)
  expected = theirs(list(frames), return_tensors="np")["pixel_values"]
  assert expected.std() > 0.5
  assert made.dtype == np.float32
  np.testing.assert_allclose(
    made, expected.transpose(0, 2, 3, 1), rtol=0, atol=TOLERANCE
  )
  # And the filter is no detail: the bilinear one gives other pictures.
  if (height, width) != (32, 32):
    other = theirs(list(frames), return_tensors="np", resample=2)
    assert np.abs(other["pixel_values"] - expected).max() > 0.1


def test_old_files_have_bare_numbers(tmp_path):
  document = {
    "crop_size": 32,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 32,
  }
  PROCESSORS["clip"].save_pretrained(tmp_path)
  new = images.Processor.load(tmp_path / images.FILE)
  assert load(document, tmp_path) == new


def test_defaults_are_those_of_both_processors(tmp_path):
  for kind in (
    transformers.CLIPImageProcessorPil,
    transformers.BitImageProcessorPil,
  ):
    kind().save_pretrained(tmp_path)
    written = images.Processor.load(tmp_path / images.FILE)
    assert load({}, tmp_path) == written


def test_no_frames():
  processor = images.Processor(
    size=8,
    crop_size=6,
    rescale_factor=1 / 255,
    image_mean=(0.5, 0.5, 0.5),
    image_std=(0.5, 0.5, 0.5),
  )
  assert processor(np.zeros((0, 9, 9, 3), np.uint8)).shape == (0, 6, 6, 3)


@pytest.mark.parametrize(
  ("change", "messages"),
  [
    (
      {"resample": 2, "do_center_crop": False},
      ["resample is 2; only 3", "do_center_crop is False"],
    ),
    ({"image_processor_type": "ViTImageProcessor"}, ["only 'CLIPImage"]),
    ({"feature_extractor_type": "ViTFeatureExtractor"}, ["only 'CLIPFeat"]),
    (
      {"size": {"height": 30, "width": 30}, "crop_size": -3, "image_std": 1},
      ["size must be a shortest_edge", "crop_size must be", "image_std must"],
    ),
    ({"crop_size": {"height": 20, "width": 24}}, ["must be a square's"]),
    ({"crop_size": 31}, ["crop_size 31 is larger than size 30"]),
    ({"image_std": [0.2, 0, 0.2]}, ["image_std must be"]),
    ({"image_mean": [0.2, "x", 0.2]}, ["image_mean must be"]),
    ({"rescale_factor": 0}, ["rescale_factor must be positive"]),
  ],
)
def test_what_is_not_ported_is_refused(change, messages, tmp_path):
  load(DINOV2, tmp_path)
  with pytest.raises(errors.InputError) as caught:
    load({**DINOV2, **change}, tmp_path)
  for message in (images.FILE, *messages):
    assert re.search(re.escape(message), str(caught.value))
