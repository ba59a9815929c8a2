"""Arrays in, arrays out: what is computed on frames, without files and setups."""
