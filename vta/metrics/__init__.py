"""How well a sound answers what was asked: numbers, one file per family."""
