"""The commands behind DVC and make, and what they stand on."""
