"""Internal learning: a network fitted to the one clip that is repaired (Ouyang et al., ICCV 2021)."""
