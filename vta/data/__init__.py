"""Records, the input pipeline and the synthetic yard."""
