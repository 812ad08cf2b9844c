"""A host whose ports are served to a controller on another one, and kept from afar."""
