"""Lines → columns: metadata, schema, batches, encodings."""
