"""Signing and checking: keys of people, sealed texts, signed folders. It knows nothing of models or registries."""
