"""From bytes to what a network sees: preprocessing, augmentation."""
