"""What the train loop trains: codec, denoiser, adapters and predictors."""
