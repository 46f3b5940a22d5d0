"""The conditioner of vta's own preset, `foley`: every control at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vta_torch.conditioner import Conditioner, Timing
from vta_torch.conditions import Conditions


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameSettings:
  """Sizes of `FrameEncoder`: config.json's "conditioner.frames".

  Attributes:
    size: side of a frame in pixels.
    widths: channels of every stage.
    features: channels that come out.
    taps: frames that each temporal layer sees.
    tower: channels of a frozen tower's features of a frame; 0 is no tower.
  """

  size: int
  widths: Sequence[int]
  features: int
  taps: int
  tower: int


def _normalise(x: Tensor) -> Tensor:
  return functional.layer_norm(x, x.shape[-1:])


def _patches(x: Tensor, side: int) -> Tensor:
  """[b, f, h, w, c] to [b, f, h / side, w / side, side x side x c]."""
  x = x.unflatten(3, (-1, side)).unflatten(2, (-1, side))
  return x.transpose(3, 4).flatten(4)


class FrameEncoder(nn.Module):
  """Pictures, what moved in them, and the mask, to one vector a frame."""

  def __init__(self, settings: FrameSettings):
    super().__init__()
    s = settings
    first, *widths = s.widths
    self.look = nn.Linear(4 * 4 * 4, first // 4)
    self.move = nn.Linear(4 * 4 * 6, first - first // 4)
    self.merge = nn.ModuleList(
      nn.Linear(2 * 2 * before, after)
      for before, after in zip(s.widths[:-1], widths, strict=True)
    )
    left = s.size // 4 // 2 ** len(widths)
    self.project = nn.Linear(left * left * s.widths[-1], s.features)
    self.tower = nn.Linear(s.tower, s.features) if s.tower else None
    self.taps = s.taps
    self.temporal = nn.ModuleList(
      nn.Linear(s.taps * s.features, s.features) for _ in range(2)
    )

  def forward(
    self, frames: Tensor, mask: Tensor, tower: Tensor | None
  ) -> Tensor:
    """uint8 [b, f, h, w, 3] and [b, f, h, w], [b, f, e], to [b, f, d]."""
    shown = mask[..., None] / 255.0
    picture = (frames / 127.5 - 1.0) * shown
    # Motion: the differences to the frames before and after, where shown.
    change = functional.pad(picture.diff(dim=1), (0, 0) * 3 + (1, 1))
    motion = torch.cat([change[:, :-1], change[:, 1:]], dim=-1) * shown
    still = torch.cat([picture, shown], dim=-1)
    look = _normalise(self.look(_patches(still, 4)))
    move = self.move(4.0 * _patches(motion, 4))
    x = functional.silu(torch.cat([look, move], dim=-1))
    for layer in self.merge:
      x = layer(_patches(x, 2))
      power = x.square().mean(dim=(-3, -2, -1), keepdim=True)
      x = functional.silu(x * torch.rsqrt(power + 0.01))
    x = self.project(x.flatten(2))
    if self.tower is not None:
      x = x + self.tower(_normalise(tower))
    half = self.taps // 2
    for layer in self.temporal:
      y = functional.pad(
        _normalise(x).transpose(1, 2), (half, half), mode="replicate"
      )
      # [b, d, f, taps] to [b, f, taps x d].
      y = y.unfold(2, self.taps, 1).permute(0, 2, 3, 1).flatten(2)
      x = x + functional.silu(layer(y))
    return x


class Expected(nn.Module):
  """Conditions at latent time, and those of the clip, to the mean latents."""

  def __init__(self, sequence: int, vector: int, width: int, latents: int):
    super().__init__()
    self.sequence = nn.Linear(sequence, width)
    self.vector = nn.Linear(vector, width)
    self.near = nn.Conv1d(width, width, 15, padding=7, groups=width)
    self.hidden = nn.Linear(width, width)
    self.out = nn.Linear(width, latents)

  def forward(self, sequence: Tensor, vector: Tensor) -> Tensor:
    """[b, t, d] and [b, v] to [b, t, latents]."""
    x = functional.silu(self.sequence(sequence) + self.vector(vector)[:, None])
    y = self.near(x.transpose(1, 2)).transpose(1, 2)
    return self.out(x + functional.silu(self.hidden(y)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """Sizes of `Foley`: config.json's "conditioner".

  Attributes:
    width: of the tokens and of the sequences at latent time.
    vector_width: of each of the vector's parts: timing, text, reference.
    latents: channels of the codec's latents.
    text_width: of the text encoder's tokens.
    frames: `FrameSettings`' fields.
  """

  width: int
  vector_width: int
  latents: int
  text_width: int
  frames: Mapping[str, int | Sequence[int]]


class Foley(Conditioner):
  """Frames, text, a reference, loudness, events and objects."""

  NAMES = ("frames", "text", "reference", "loudness", "events", "objects")

  def __init__(self, settings: Settings):
    super().__init__()
    frames = FrameSettings(**settings.frames)
    width, vector = settings.width, settings.vector_width
    self.frame_encoder = FrameEncoder(frames)
    self.loudness_in = nn.Linear(2, width)
    self.loudness_out = nn.Linear(width, width)
    self.events_in = nn.Linear(2, width)
    self.objects_in = nn.Linear(settings.text_width, width)
    self.text_in = nn.Linear(settings.text_width, width)
    self.summary_in = nn.Linear(settings.text_width, vector)
    self.reference_in = nn.Linear(2 * settings.latents, width)
    self.reference_out = nn.Linear(width, vector)
    self.timing = Timing(vector)
    self.expected = Expected(
      frames.features + 3 * width, 2 * vector, width, settings.latents
    )
    sizes = {
      **dict.fromkeys(self.NAMES, width),
      "frames": frames.features,
      "reference": vector,
      "summary": vector,
    }
    for name, size in sizes.items():
      self.register_parameter(f"null_{name}", nn.Parameter(torch.zeros(size)))

  def encode(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every entry's features, before anything is dropped.

    Args:
      inputs: "frames" uint8 [b, f, size, size, 3] and "mask" [b, f, size,
        size], 255 where the picture should sound; "frame_features" [b, f, e],
        of a model with a tower; "frame_left" int [b, t] and "frame_fraction"
        [b, t], which frame precedes each latent and how far on the way to the
        next it is; "text_tokens" [b, n, text_width], "text_mask" bool [b, n];
        "reference" [b, 2 latents], mean and deviation of a recording's latents
        as the denoiser has them; "loudness" [b, t, 2], 0 for -70 and 1 for 0
        LUFS; "events" [b, t, 2], what part of a latent sounds, and onsets;
        "objects" [b, t, text_width]; "timing" [b, 2], start and total in
        seconds.
    """
    pictures = self.frame_encoder(
      inputs["frames"], inputs["mask"], inputs.get("frame_features")
    )
    left = inputs["frame_left"].long()[..., None]
    left = left.expand(-1, -1, pictures.shape[-1])
    before, after = pictures.gather(1, left), pictures.gather(1, left + 1)
    fraction = inputs["frame_fraction"][..., None]
    words, real = inputs["text_tokens"], inputs["text_mask"][..., None]
    mean = (words * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)
    loudness = self.loudness_in(2.0 * inputs["loudness"] - 1.0)
    reference = self.reference_in(inputs["reference"])
    return {
      "frames": before + fraction * (after - before),
      "loudness": self.loudness_out(functional.silu(loudness)),
      "events": self.events_in(inputs["events"]),
      "objects": self.objects_in(inputs["objects"]),
      "text": self.text_in(words),
      "text_mask": inputs["text_mask"],
      "summary": self.summary_in(mean),
      "reference": self.reference_out(functional.silu(reference)),
      "timing": self.timing(inputs["timing"]),
    }

  def select(self, features: Mapping[str, Tensor], keep: Tensor) -> Conditions:
    """Features where `keep`, bool [b, 6], says so, nulls elsewhere."""
    kept = dict(zip(self.NAMES, keep.unbind(dim=1), strict=True))
    kept["summary"] = kept["text"]

    def or_null(name: str) -> Tensor:
      values = features[name]
      kept_of = kept[name].reshape(-1, *[1] * (values.ndim - 1))
      return torch.where(kept_of, values, getattr(self, f"null_{name}"))

    # A dropped prompt is one null token: attention needs something to look at.
    first = torch.zeros_like(features["text_mask"])
    first[:, 0] = True
    vector = [
      _normalise(part)
      for part in (features["timing"], or_null("summary"), or_null("reference"))
    ]
    aligned = {
      name: or_null(name)
      for name in ("frames", "loudness", "events", "objects")
    }
    expected = self.expected(
      torch.cat([*aligned.values()], dim=-1), torch.cat(vector[1:], dim=-1)
    )
    objects = aligned.pop("objects")
    return Conditions(
      tokens=or_null("text"),
      mask=torch.where(kept["text"][:, None], features["text_mask"], first),
      input={**aligned, "expected": expected},
      block={"objects": objects},
      vector=torch.cat(vector, dim=-1),
    )
