"""Volume → lines: which files exist, which one each is, its bytes, its lines."""
