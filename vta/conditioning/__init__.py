"""From features and signals to the denoiser's Conditions."""
