"""The words for each thing, and those kept for the test of paraphrases.

A caption is a subject and an action, or the short form. `{size}`, `{made}` and
`{stuff}` become a word, or nothing, as adjective and noun; `{way}` becomes the
direction of something moving.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phrases:
  """How people speak of one thing.

  Attributes:
    subjects, actions: every pair of them is a caption.
    short: captions of their own, as a tagger would write them.
    held_out: whole captions whose wording never occurs in training.
  """

  subjects: tuple[str, ...]
  actions: tuple[str, ...]
  short: tuple[str, ...]
  held_out: tuple[str, ...]


SIZES = types.MappingProxyType(
  {
    "small": ("small", "little", "tiny"),
    "medium": ("", "", "medium sized"),
    "large": ("large", "big", "huge"),
  }
)
HELD_OUT_SIZES = types.MappingProxyType(
  {"small": "miniature", "medium": "average", "large": "massive"}
)
# What it is made of: adjectives, then nouns.
MADE = types.MappingProxyType(
  {
    "wood": ("wooden",),
    "metal": ("metal", "metallic", "steel"),
    "glass": ("glass", "glassy"),
    "stone": ("stone", "rock"),
    "plastic": ("plastic",),
    "drum skin": ("drum",),
    "gravel": ("gravel", "gravelly"),
    "snow": ("snowy",),
  }
)
STUFF = types.MappingProxyType(
  {
    "wood": ("wood",),
    "metal": ("metal", "steel"),
    "glass": ("glass",),
    "stone": ("stone", "rock"),
    "plastic": ("plastic",),
    "drum skin": ("drum skin", "drumhead"),
    "gravel": ("gravel",),
    "snow": ("snow",),
  }
)
# Either adjective or noun.
HELD_OUT_STUFF = types.MappingProxyType(
  {
    "wood": "timber",
    "metal": "iron",
    "glass": "crystal",
    "stone": "granite",
    "plastic": "polymer",
    "drum skin": "tom-tom",
    "gravel": "pebbles",
    "snow": "powder snow",
  }
)
SILENCE = (
  "silence",
  "no sound at all",
  "nothing can be heard",
  "a silent scene",
  "complete quiet",
  "the scene makes no sound",
)
HELD_OUT_SILENCE = ("not a single noise", "everything stays mute")
OFF_SCREEN = ("off screen", "out of view", "somewhere unseen", "off camera")
HELD_OUT_OFF_SCREEN = "beyond the edge of the picture"

PHRASES: Mapping[str, Phrases] = types.MappingProxyType(
  {
    "ball": Phrases(
      subjects=("a {size} {made} ball", "a {size} ball made of {stuff}"),
      actions=(
        "bounces on the floor",
        "drops and bounces",
        "is bouncing",
        "falls and hops up again",
        "bounces on the ground",
      ),
      short=("bouncing, {size} {made} ball", "bouncing {size} {made} ball"),
      held_out=(
        "a {size} {made} sphere keeps rebounding",
        "repeated rebounds of a {size} {made} orb",
      ),
    ),
    "block": Phrases(
      subjects=("a {size} {made} block", "a {size} block of {stuff}"),
      actions=(
        "is dropped",
        "falls to the ground",
        "drops on the floor",
        "lands with a thud",
        "thuds down",
      ),
      short=("thud, {size} {made} block", "dropping a {size} {made} block"),
      held_out=(
        "a {size} {made} cube crashes down",
        "the heavy landing of a {size} {made} brick",
      ),
    ),
    "stick": Phrases(
      subjects=("a stick", "a drumstick", "someone with a stick"),
      actions=(
        "hits a {size} {made} object",
        "strikes a {size} piece of {stuff}",
        "taps on {size} {stuff}",
        "beats a {size} {made} thing",
      ),
      short=("stick hits on {size} {stuff}", "tapping {size} {stuff}"),
      held_out=(
        "a rod whacks a {size} {made} thing",
        "raps of a baton against {size} {stuff}",
      ),
    ),
    "hammer": Phrases(
      subjects=("a {size} hammer", "a worker with a {size} hammer"),
      actions=(
        "strikes {stuff}",
        "pounds on {stuff}",
        "hits a block of {stuff}",
        "bangs on a {made} anvil",
        "comes down on {stuff}",
      ),
      short=("{size} hammering on {stuff}", "{size} hammer blows on {stuff}"),
      held_out=(
        "a {size} mallet slams into {stuff}",
        "someone bludgeons {stuff} with a {size} sledge",
      ),
    ),
    "footsteps": Phrases(
      subjects=("a {size} person", "a {size} man", "one {size} walker"),
      actions=(
        "walks on {made} ground",
        "walks over {stuff}",
        "steps on a {made} floor",
        "strolls across {stuff}",
      ),
      short=("footsteps on {stuff}", "steps, {made} ground"),
      held_out=(
        "a pedestrian paces upon {stuff}",
        "the tread of {size} boots over {stuff}",
      ),
    ),
    "clock": Phrases(
      subjects=("a {size} {made} clock", "a {size} pendulum clock of {stuff}"),
      actions=(
        "ticks",
        "is ticking",
        "goes tick tock",
        "ticks steadily",
        "swings and ticks",
      ),
      short=("ticking, {size} {made} clock", "tick tock of a {made} clock"),
      held_out=(
        "a {size} {made} timepiece counts the seconds",
        "clicking of a {size} {made} chronometer",
      ),
    ),
    "knocking": Phrases(
      subjects=("someone", "a hand", "a fist"),
      actions=(
        "knocks on a {size} {made} door",
        "is knocking at the {size} {made} door",
        "bangs on a {size} door of {stuff}",
        "raps at a {size} {made} door",
      ),
      short=(
        "knocking on {stuff}, {size} door",
        "knocks at a {size} {made} door",
      ),
      held_out=(
        "a visitor pounds the {size} {made} entrance",
        "knuckles on a {size} {made} gate",
      ),
    ),
    "typing": Phrases(
      subjects=("someone", "a finger", "an office worker"),
      actions=(
        "types on a {size} {made} keyboard",
        "is typing on {size} {made} keys",
        "presses keys of a {size} {made} keyboard",
        "taps a {size} {made} keyboard",
      ),
      short=("typing, {size} {made} keyboard", "{size} {made} key presses"),
      held_out=(
        "a secretary clatters on a {size} {made} typewriter",
        "the clacking of {size} {made} buttons",
      ),
    ),
    "sawing": Phrases(
      subjects=("a {size} saw", "a carpenter with a {size} saw"),
      actions=(
        "cuts through {stuff}",
        "saws {stuff}",
        "goes back and forth in {stuff}",
        "is sawing a piece of {stuff}",
        "works on a {made} log",
      ),
      short=("sawing {stuff}, {size} saw", "{size} saw on {stuff}"),
      held_out=(
        "a {size} blade rasps to and fro across {stuff}",
        "someone slices {stuff} with a {size} toothed tool",
      ),
    ),
    "car": Phrases(
      subjects=("a {size} car", "a {size} automobile"),
      actions=(
        "drives {way}",
        "passes {way}",
        "goes by {way}",
        "moves {way} with its engine running",
        "rolls {way}",
      ),
      short=("{size} car engine, {way}", "{size} car going {way}"),
      held_out=(
        "a {size} sedan motors {way}",
        "road traffic: one {size} vehicle cruising {way}",
      ),
    ),
    "motorbike": Phrases(
      subjects=("a {size} motorbike", "a {size} motorcycle"),
      actions=(
        "races {way}",
        "drives {way}",
        "roars {way}",
        "speeds {way}",
        "passes {way}",
      ),
      short=("{size} motorbike, {way}", "{size} motorcycle engine {way}"),
      held_out=(
        "a {size} two-wheeler zooms {way}",
        "the growl of a {size} chopper heading {way}",
      ),
    ),
    "train": Phrases(
      subjects=("a {size} train", "a {size} railway train"),
      actions=(
        "rumbles {way}",
        "passes {way}",
        "rolls {way} on the rails",
        "rattles {way}",
        "goes by {way}",
      ),
      short=("{size} train, {way}", "{size} train wheels {way}"),
      held_out=(
        "a {size} locomotive thunders {way}",
        "wagons of a {size} express clatter {way}",
      ),
    ),
    "plane": Phrases(
      subjects=("a {size} plane", "a {size} airplane"),
      actions=(
        "flies {way}",
        "passes overhead {way}",
        "roars {way}",
        "goes {way} in the sky",
        "is flying {way}",
      ),
      short=("{size} plane flying {way}", "{size} aircraft, {way}"),
      held_out=(
        "a {size} airliner soars {way}",
        "aviation noise of a {size} jetliner drifting {way}",
      ),
    ),
    "siren": Phrases(
      subjects=("a {size} ambulance", "a {size} emergency van", "a siren"),
      actions=(
        "wails {way}",
        "sounds its siren {way}",
        "drives {way} with a siren",
        "passes {way}, siren on",
      ),
      short=("siren, {size} van, {way}", "emergency siren {way}"),
      held_out=(
        "a {size} rescue truck blares {way}",
        "howling alarm of a {size} police vehicle {way}",
      ),
    ),
    "rain": Phrases(
      subjects=("{rain} rain", "{rain} rainfall", "{rain} raindrops"),
      actions=("falling", "pouring down", "patters", "all around"),
      short=("the sound of {rain} rain", "{rain} rain"),
      held_out=(
        "a {rain} downpour soaks everything",
        "{rain} drizzle trickles from the clouds",
      ),
    ),
    "stream": Phrases(
      subjects=("a {size} stream", "a {size} brook", "water of a {size} river"),
      actions=("flows", "is flowing", "gurgles", "runs over stones"),
      short=("flowing water, {size} stream", "gurgling {size} stream"),
      held_out=(
        "a {size} creek babbles along",
        "splashing current of a {size} rivulet",
      ),
    ),
    "bell": Phrases(
      subjects=("a {size} bell", "a {size} metal bell", "a {size} church bell"),
      actions=("rings", "is ringing", "tolls", "is struck"),
      short=("{size} bell ringing", "ringing of a {size} bell"),
      held_out=("a {size} carillon chimes", "the peal of a {size} gong"),
    ),
    "wind": Phrases(
      subjects=("{wind} wind", "{wind} gusts of wind", "{wind} air"),
      actions=("blows", "blowing", "howls", "sweeps by"),
      short=("the sound of {wind} wind", "{wind} wind"),
      held_out=("a {wind} breeze whooshes", "{wind} stormy weather whistles"),
    ),
    "birds": Phrases(
      subjects=("a bird", "birds", "a songbird"),
      actions=("singing", "chirping", "tweeting", "singing in the trees"),
      short=("birdsong", "chirping birds", "bird calls"),
      held_out=("a sparrow warbles", "twitter of finches"),
    ),
    "crickets": Phrases(
      subjects=("crickets", "a cricket", "insects"),
      actions=("chirping", "at night", "chirping in the grass", "calling"),
      short=("cricket chirps", "the sound of crickets", "insects chirping"),
      held_out=("grasshoppers stridulate", "cicada buzz on a summer evening"),
    ),
  }
)
WEATHER = types.MappingProxyType(
  {"small": "light", "medium": "steady", "large": "heavy"}
)
WIND = types.MappingProxyType(
  {"small": "gentle", "medium": "", "large": "strong"}
)
