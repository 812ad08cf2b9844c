"""The host's side of NICs: taps on bridges, macvtaps on interfaces, NAT, and packet filters."""
