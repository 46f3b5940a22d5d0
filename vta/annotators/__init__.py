"""Public pretrained models that look at clips, off-line, and make signals."""
