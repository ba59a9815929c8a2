"""DL1 files of both formats, read through one model."""
