"""The wiring: configuration, command line, pipeline, and the life of the process."""
