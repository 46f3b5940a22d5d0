"""Detectors against transformers' own processing, at random weights."""

import itertools
import json
import sys

import numpy as np
import pytest
import test_encoders_clip as clip_samples
import tiny_annotators
import torch
import transformers
from PIL import Image

from vta import errors
from vta.annotators import detect
from vta.media import read

REPORT = read.FrameReport(
  duration=4.0, fps=25.0, decoded=100, duplicated=0, missing=0
)
FRAMES = read.Frames(
  times=np.arange(7) / 2 + 0.25,
  images=np.random.default_rng(0).integers(0, 256, (7, 40, 50, 3), np.uint8),
  report=REPORT,
)
LABELS = ("car", "Fire  Truck", "man")
CAPTION = "car . fire truck . man ."
# Where each label's tokens are, after [CLS].
TOKENS = ([1], [3, 4], [6])


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
  made = tiny_annotators.grounding_dino(tmp_path_factory.mktemp("dino"))
  return *made, detect.GroundingDino(made[0])


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
  return clip_samples.make(tmp_path_factory.mktemp("clip"))[0]


def raw(model, processor, caption, frame):
  """The model's own scores of tokens and boxes for one picture."""
  inputs = processor(
    images=Image.fromarray(frame), text=caption, return_tensors="pt"
  )
  with torch.no_grad():
    return model(**inputs), inputs["input_ids"]


def test_grounding_dino_scores_every_label_by_its_own_tokens(dino):
  _, model, processor, detector = dino
  got = detector.detect(FRAMES, LABELS)
  assert got.labels == LABELS
  np.testing.assert_array_equal(got.times, FRAMES.times)
  found = 0
  for f, frame in enumerate(FRAMES.images):
    made, _ = raw(model, processor, CAPTION, frame)
    for k, tokens in enumerate(TOKENS):
      best, where = 0.0, None
      for logits, box in zip(made.logits[0], made.pred_boxes[0], strict=True):
        scores = torch.sigmoid(logits)
        own = max(scores[i].item() for i in tokens)
        if scores.max() > 0.35 and own > 0.25 and own > best:
          best, where = own, box
      assert got.probability[f, k] == pytest.approx(best, abs=1e-5)
      if where is None:
        assert np.isnan(got.boxes[f, k]).all()
        continue
      found += 1
      x, y, width, height = where.tolist()
      corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
      np.testing.assert_allclose(
        got.boxes[f, k], np.clip(corners, 0, 1), atol=1e-5
      )
  assert 5 < found < 16  # of 21: some are found, some are not


class Trained:
  """A model that, as a trained one, scores no full stop and no mark."""

  def __init__(self, model, shift):
    self.model, self.config, self.shift = model, model.config, shift

  def __call__(self, input_ids, **inputs):
    made = self.model(input_ids=input_ids, **inputs)
    made.logits[..., : input_ids.shape[1]] -= self.shift
    made.logits[..., : input_ids.shape[1]][:, :, input_ids[0] < 6] = -9.0
    return made


def test_one_label_s_boxes_are_transformers_own(dino, monkeypatch):
  _, model, processor, detector = dino
  found, near = [], 0
  for label, shift in itertools.product(("car", "fire truck"), (0.5, 1.0, 2.0)):
    trained = Trained(model, shift)
    monkeypatch.setattr(detector, "_model", trained)
    got = detector.detect(FRAMES, [label])
    for f, frame in enumerate(FRAMES.images):
      made, ids = raw(trained, processor, f"{label} .", frame)
      (theirs,) = processor.post_process_grounded_object_detection(
        made, ids, threshold=0.35, text_threshold=0.25, target_sizes=[(1, 1)]
      )
      near += 0.25 < torch.sigmoid(made.logits).max() < 0.35
      found.append(len(theirs["scores"]) > 0)
      if not found[-1]:
        assert got.probability[f, 0] == 0
        continue
      best = theirs["scores"].argmax()
      assert set(theirs["text_labels"][best].split()) <= set(label.split())
      assert got.probability[f, 0] == pytest.approx(
        theirs["scores"][best].item(), abs=1e-5
      )
      np.testing.assert_allclose(
        got.boxes[f, 0], theirs["boxes"][best].clamp(0, 1), atol=1e-5
      )
  assert 10 < sum(found) < 32  # of 42
  assert near > 0  # a label's own threshold passed, the box's not


def test_the_caption_is_grounding_dino_s(dino):
  assert dino[-1]._caption(LABELS)[0] == CAPTION


def test_batches_are_of_no_account(dino):
  detector = dino[-1]
  whole = detector.detect(FRAMES, LABELS)
  one = read.Frames(
    times=FRAMES.times[5:6], images=FRAMES.images[5:6], report=REPORT
  )
  alone = detector.detect(one, LABELS)
  np.testing.assert_allclose(
    alone.probability[0], whole.probability[5], atol=1e-5
  )


@pytest.mark.parametrize(
  ("labels", "said"),
  [(("car", " . "), "' . ' has no words"), (("man",) * 200, "400|402 tokens")],
)
def test_labels_that_make_no_caption(dino, labels, said):
  with pytest.raises(errors.InputError, match=said):
    dino[-1].detect(FRAMES, labels)


def test_clip_equals_the_zero_shot_pipeline(clip):
  pipeline = transformers.pipeline(
    "zero-shot-image-classification",
    model=transformers.CLIPModel.from_pretrained(clip),
    tokenizer=clip_samples.tokenizer("<|endoftext|>"),
    image_processor=clip_samples.PROCESSOR,
  )
  got = detect.ClipSimilarity(clip).detect(FRAMES, ("dog", "rain"))
  assert got.boxes is None
  for f, frame in enumerate(FRAMES.images):
    for k, label in enumerate(("dog", "rain")):
      said = f"a photo of a {label}."
      theirs = pipeline(
        Image.fromarray(frame),
        candidate_labels=[said, "a photo."],
        hypothesis_template="{}",
      )
      want = next(one["score"] for one in theirs if one["label"] == said)
      assert got.probability[f, k] == pytest.approx(want, abs=1e-5)
  assert got.probability.std() > 1e-3


OBJECTS = {
  "labels": ["dog", "cat"],
  "times": [0.0, 1.5, 4.0],
  "probability": [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]],
}


def test_a_file_keeps_its_own_times(tmp_path):
  path = tmp_path / "objects.json"
  path.write_text(json.dumps(OBJECTS))
  detector = detect.load(path, duration=4.0)
  assert detector.labels == ("dog", "cat")
  got = detector.detect(FRAMES, ("cat", "dog"))
  objects = got.objects()
  assert objects.labels == ("cat", "dog")
  np.testing.assert_array_equal(objects.times, OBJECTS["times"])
  np.testing.assert_array_equal(
    objects.probability, np.array(OBJECTS["probability"])[:, ::-1]
  )
  with pytest.raises(errors.InputError) as caught:
    detector.detect(FRAMES, ("cat", "cow"))
  assert str(caught.value) == f"{path}: holds no 'cow'; it has dog, cat"


@pytest.mark.parametrize(
  ("text", "where"),
  [
    (None, ""),
    ("{", ": line 1"),
    (json.dumps({**OBJECTS, "times": [0.0, 1.5, 4.5]}), ".times[2]"),
    (json.dumps({**OBJECTS, "label": []}), ""),
  ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, text, where):
  path = tmp_path / "objects.json"
  if text is not None:
    path.write_text(text)
  with pytest.raises(errors.InputError) as caught:
    detect.load(path, duration=4.0)
  assert caught.value.where == f"{path}{where}"


def test_a_folder_tells_which_detector_it_is(dino, clip, tmp_path):
  assert isinstance(detect.load(clip, duration=1.0), detect.ClipSimilarity)
  assert isinstance(detect.load(dino[0], duration=1.0), detect.GroundingDino)
  with pytest.raises(errors.InputError, match=r"expected config\.json here"):
    detect.load(tmp_path, duration=1.0)
  path = tmp_path / "config.json"
  path.write_text('{"model_type": "bert"}')
  with pytest.raises(errors.InputError, match="model_type is 'bert'"):
    detect.load(tmp_path, duration=1.0)
  # A folder that only says so: what transformers raises becomes one error.
  path.write_text('{"model_type": "grounding-dino"}')
  with pytest.raises(errors.InputError, match="transformers cannot load it"):
    detect.load(tmp_path, duration=1.0)


def test_weights_that_are_not_all_there_are_refused(dino, tmp_path):
  _, model, processor, _ = dino
  tensors = dict(model.state_dict())
  del tensors["model.text_projection.weight"]
  model.save_pretrained(tmp_path, state_dict=tensors)
  processor.save_pretrained(tmp_path)
  with pytest.raises(errors.InputError, match=r"1 tensors are missing: .*proj"):
    detect.GroundingDino(tmp_path)


def test_without_torch_it_says_what_to_install(dino, monkeypatch):
  monkeypatch.setitem(sys.modules, "torch", None)
  with pytest.raises(errors.InputError, match=r"pip install torch==") as caught:
    detect.GroundingDino(dino[0])
  assert caught.value.where == str(dino[0])
