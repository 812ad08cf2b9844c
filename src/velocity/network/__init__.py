"""How machines reach a network: taps on bridges, macvtaps on interfaces, and the filters around NAT."""
