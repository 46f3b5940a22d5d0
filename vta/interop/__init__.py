"""Weights in and out: release folders."""
