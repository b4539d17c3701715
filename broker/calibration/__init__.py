"""Whether the published numbers mean what they say: levels, chance probabilities and posteriors against the truth."""
