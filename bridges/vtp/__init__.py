"""VOEvents out over the VOEvent Transport Protocol (VTP): a broadcaster that is safe on the open network."""
