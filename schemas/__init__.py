"""Records, sky geometry and wire formats: bytes in, typed records out. No I/O, no clock."""
