"""CombCN: temporal structure at half size, spatial detail frame by frame (Wang et al., AAAI 2019)."""
