"""Room dynamics."""
