"""Bundles: a folder that holds all that a service of one model version needs, and proves it."""
