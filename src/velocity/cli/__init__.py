"""The command line: one file a noun, on the client only (but `serve`, `doctor`, `demo` and `passwd`)."""
