"""The only door: HTTP, pages, command line, workers, settings and wiring."""
