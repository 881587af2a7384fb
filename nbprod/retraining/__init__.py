"""Retraining: when a model is stale and what is done about it; decided here, done elsewhere."""
