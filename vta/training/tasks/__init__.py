"""What the train loop trains: the codec and the denoiser."""
