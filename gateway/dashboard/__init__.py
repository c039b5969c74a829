"""The web pages: server-rendered, of this package's own files alone."""
