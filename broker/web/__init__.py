"""The service over HTTP: upload a sky map, ask for coincidences, follow them, look at the page."""
