"""Benches: each measures Velocity beside a floor and a peer in the same run. `make bench`."""
