"""Network parts that several methods share, free of files, clips and devices."""
