"""Adapters to the speech and sentence models, and where their weights come from."""
