"""The parts that speak to the outside: sources bring messages in, sinks take coincidences out."""
