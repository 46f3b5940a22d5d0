"""Time-stamped controls that a person can draw, read and edit; NumPy only."""
