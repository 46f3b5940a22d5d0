"""Pipelines that run once, before training: records in, records out."""
