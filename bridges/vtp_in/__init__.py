"""VOEvents in over the VOEvent Transport Protocol: from remote brokers, and from authors.

`options` and `handover` need no Twisted. `subscriber` and `receiver` bring Comet's protocol classes with them, and
these want the process's reactor when they are imported: import them only where the configuration asks for them, and
after the reactor is installed (`broker.event_loop.run_service`).
"""
