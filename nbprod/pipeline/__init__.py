"""From a pipeline's YAML and its notebooks to a run."""
