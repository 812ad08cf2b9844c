"""The command line: one file per noun, built on the client alone (except `serve`, `doctor`, `demo` and `passwd`)."""
