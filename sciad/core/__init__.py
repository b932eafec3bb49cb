"""What a value, an operation, a derivative and a graph are. Knows no particular operation."""
