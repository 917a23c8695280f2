"""Room plot."""
