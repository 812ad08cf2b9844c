"""The command line: a module for each noun, based on the client alone, except `serve`, `doctor`, `demo`, `passwd`."""
