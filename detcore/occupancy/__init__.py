"""Station occupancy of tracking spectrometers."""
