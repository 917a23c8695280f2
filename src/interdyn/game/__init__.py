"""Room game."""
