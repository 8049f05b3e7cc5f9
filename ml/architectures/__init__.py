"""Network definitions (TensorFlow/Keras); imported by training and export only."""
