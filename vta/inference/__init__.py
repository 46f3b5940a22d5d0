"""From a video and a cue sheet to a soundtrack."""
