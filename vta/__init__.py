"""vta: controllable video-to-audio. See README.md for the map."""
