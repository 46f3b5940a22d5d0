"""Frozen towers, ported to linen, from words, pixels or waves to features."""
