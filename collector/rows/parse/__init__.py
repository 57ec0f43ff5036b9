"""Message column → typed columns: regular expressions, JSON lines, delimited text. See decision 0007."""
