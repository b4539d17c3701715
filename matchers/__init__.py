"""Decide what meets what: pure computation on columns of alerts and on triggers. No I/O, no clock."""
