"""Frame-recurrent inpainting along robust optical flow (Ding et al., 2019)."""
