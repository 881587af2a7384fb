"""Statistics that gates and monitoring share: measures, intervals, paired comparison, groups."""
