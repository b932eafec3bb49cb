"""Speed of sciad against its peers: ``python -m benchmarks slice``."""
