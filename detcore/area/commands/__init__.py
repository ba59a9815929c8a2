"""One module for each verb of the command line; it offers a click command of the same name."""
