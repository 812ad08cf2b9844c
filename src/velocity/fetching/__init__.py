"""Files that other servers offer: from which addresses they may be fetched, and how their bytes come."""
