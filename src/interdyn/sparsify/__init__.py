"""Room sparsify."""
