"""Training: packs of data, samples drawn from them, one loop, a recipe per method. Needs no av and no cv2."""
