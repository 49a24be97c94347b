"""MMEngine configs of the segmentation networks."""
