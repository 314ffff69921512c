"""Games over parts of a clip: the parts, what stands in for them, and what they are worth."""
