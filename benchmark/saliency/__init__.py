"""Saliency maps: from a folder of grey PNGs, or from a network trained on other object classes."""
