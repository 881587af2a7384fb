"""What is known of a model version, and how it is written down."""
