"""Data sets: the VOC layout, its checks, and the generated scenes."""
