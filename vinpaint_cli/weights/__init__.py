"""Weights of networks: the registry, the store, and checkpoints."""
