"""Decoding, encoding and native planes; the only importer of PyAV."""
