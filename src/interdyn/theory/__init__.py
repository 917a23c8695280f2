"""Room theory."""
