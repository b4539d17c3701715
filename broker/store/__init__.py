"""The store: all that must survive, in one SQLite database and sealed files of columns."""
