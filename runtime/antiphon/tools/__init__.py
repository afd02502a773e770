"""What agents may call: Python functions that say what they do to the world."""
