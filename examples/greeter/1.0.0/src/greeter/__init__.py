"""Says a word. It serves by itself on $PORT, as any program could: what replaces it is started beside it."""
