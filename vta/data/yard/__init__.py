"""A synthetic world with sound, in which every signal's truth is known."""

from vta.data.yard.captions import captions, held_out_captions
from vta.data.yard.scene import Scene
from vta.data.yard.sound import SceneSound, render_sound
from vta.data.yard.stage import sample_scene
from vta.data.yard.truth import events, loudness, masks, objects, onsets, pan

__all__ = [
  "Scene",
  "SceneSound",
  "captions",
  "events",
  "held_out_captions",
  "loudness",
  "masks",
  "objects",
  "onsets",
  "pan",
  "render_sound",
  "sample_scene",
]
