"""The small HDF5 file of a run, one row for each event: written and read."""
