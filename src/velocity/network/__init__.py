"""How machines reach a network: taps on bridges, macvtaps on interfaces, and the fence around NAT."""
