"""Descriptions equal those of transformers' own pipeline, at random weights."""

import numpy as np
import pytest
import tiny_annotators
import transformers
from PIL import Image

from vta import errors
from vta.annotators import describe

FRAMES = np.random.default_rng(0).integers(0, 256, (4, 40, 50, 3), np.uint8)
IMAGES = [Image.fromarray(frame) for frame in FRAMES]
ASKED = "What is heard?"
PARTS = ("First, ", ". Then, ", ". After that, ", ". Finally, ")


@pytest.fixture(autouse=True)
def briefly(monkeypatch):
  monkeypatch.setattr(describe, "_LONGEST", 12)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
  """Folder, model and processor, with a chat template and without."""
  folder = tmp_path_factory.mktemp("llava")
  return {
    kind: tiny_annotators.llava(folder / kind, template=template)
    for kind, template in (("chat", tiny_annotators.CHAT), ("plain", None))
  }


def theirs(folder, model, processor, prompt):
  pipeline = transformers.pipeline(
    "image-text-to-text", model=model, processor=processor
  )
  (made,) = pipeline(
    **prompt,
    return_full_text=False,
    generate_kwargs={"do_sample": False, "max_new_tokens": 12},
  )
  text = made["generated_text"]
  return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def test_a_chat_interleaves_words_and_pictures(models):
  content = []
  for part, image in zip(PARTS, IMAGES, strict=True):
    content.append({"type": "text", "text": part})
    content.append({"type": "image", "image": image})
  content.append({"type": "text", "text": f". {ASKED}"})
  want = theirs(
    *models["chat"], {"text": [{"role": "user", "content": content}]}
  )
  describer = describe.Describer(models["chat"][0])
  said = describer.describe(FRAMES, instruction=ASKED)
  assert said == want
  assert said
  # The pictures' order and the words count.
  assert describer.describe(FRAMES[::-1].copy(), instruction=ASKED) != want
  assert describer.describe(FRAMES) != want


def test_without_a_chat_template_pictures_are_marks_in_the_prompt(models):
  prompt = "".join(f"{part}<image>" for part in PARTS) + f". {ASKED}"
  want = theirs(*models["plain"], {"text": prompt, "images": IMAGES})
  describer = describe.Describer(models["plain"][0])
  assert describer.describe(FRAMES, instruction=ASKED) == want


def test_a_model_that_does_not_repeat_what_it_was_asked(models):
  describer = describe.Describer(models["plain"][0])
  want, model = describer.describe(FRAMES), describer._model

  class Answers:
    def generate(self, input_ids, **inputs):
      said = model.generate(input_ids=input_ids, **inputs)
      return said[:, input_ids.shape[1] :]

  describer._model = Answers()
  assert describer.describe(FRAMES) == want


def test_a_model_that_says_nothing(models):
  describer = describe.Describer(models["plain"][0])
  # Every token but the end is out of the question.
  end = describer._processor.tokenizer.eos_token_id
  describer._model.generation_config.suppress_tokens = [*range(end), end + 2]
  assert describer.describe(FRAMES) == ""


def test_frames_are_the_middles_of_four_parts():
  np.testing.assert_allclose(
    describe.frame_times(2, 6), [2.5, 3.5, 4.5, 5.5], rtol=1e-12
  )


def test_a_processor_without_marks_for_pictures(models):
  describer = describe.Describer(models["plain"][0])
  del describer._processor.image_token
  with pytest.raises(errors.InputError, match="neither a chat template nor"):
    describer.describe(FRAMES)


def test_a_folder_of_another_model(tmp_path):
  transformers.BertConfig().save_pretrained(tmp_path)
  with pytest.raises(errors.InputError) as caught:
    describe.Describer(tmp_path)
  assert caught.value.where == str(tmp_path)
