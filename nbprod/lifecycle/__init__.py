"""One file a verb; each only composes what is below."""
