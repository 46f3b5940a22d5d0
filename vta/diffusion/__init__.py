"""Diffusion mathematics: path, weights, samplers and guidance."""
