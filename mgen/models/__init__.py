"""Model families, one a file; each reads from top to bottom like its paper."""
