"""From frames to signals: what a silent clip makes one expect to hear (ours).

The frame encoder of the `foley` preset under three small heads. On its own it
suggests a loudness curve and events; its encoder is where a denoiser's starts,
since what is seen is learned many times faster from a signal per latent than
through noise. Loudness and events ask when and how loud; the codec's latents,
what a denoiser would say at time one, ask what it is that sounds.
"""

from __future__ import annotations

from flax import linen as nn
from flax import struct
from jaxtyping import Array, Float, Int, UInt8

from vta.conditioning import frames as frames_lib


@struct.dataclass
class Signals:
  """Predicted signals at latent time.

  Attributes:
    loudness: LUFS left and right, 0 for -70 and 1 for 0.
    events: logits of `inputs.event_channels`: sounding, and beginning.
    latents: the codec's, normalised: their mean, given the picture.
  """

  loudness: Float[Array, "b t 2"]
  events: Float[Array, "b t 2"]
  latents: Float[Array, "b t c"]


class Predictor(nn.Module):
  """Frames, mask and the tower's features, if there is one, to `Signals`.

  Attributes:
    config: of the frame encoder.
    channels: of the codec's latents.
  """

  config: frames_lib.FrameEncoderConfig
  channels: int

  @nn.compact
  def __call__(
    self,
    frames: UInt8[Array, "b f h w 3"],
    mask: UInt8[Array, "b f h w"],
    left: Int[Array, "b t"],
    fraction: Float[Array, "b t"],
    tower: Float[Array, "b f e"] | None = None,
  ) -> Signals:
    encoder = frames_lib.FrameEncoder(self.config, name="frame_encoder")
    features = frames_lib.at_latents(
      encoder(frames, mask, tower), left, fraction
    )
    features = nn.silu(nn.Dense(self.config.features, name="hidden")(features))
    loudness = nn.Dense(2, name="loudness")(features)
    events = nn.Dense(2, name="events")(features)
    return Signals(
      loudness=nn.sigmoid(loudness),
      events=events,
      latents=nn.Dense(self.channels, name="latents")(features),
    )
