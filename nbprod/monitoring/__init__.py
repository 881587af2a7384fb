"""Monitoring: whether what runs is still like what was measured: data, predictions, performance, fairness, age."""
