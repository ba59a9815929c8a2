"""All that opens files: frames, geometry, masks and calibrations."""
