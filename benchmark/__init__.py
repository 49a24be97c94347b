"""A reproducibility benchmark for weakly-supervised semantic segmentation."""
