"""Training: one loop, and the small tasks that it trains."""
