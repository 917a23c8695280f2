"""Room spectra."""
