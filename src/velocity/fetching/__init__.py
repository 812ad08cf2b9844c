"""Files on other servers: from which addresses they may be fetched, and how their bytes are received."""
