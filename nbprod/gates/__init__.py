"""Gates: plain functions that judge a version before an alias may point at it."""
