"""Media files in and out, through PyAV; nothing else in vta opens them."""
