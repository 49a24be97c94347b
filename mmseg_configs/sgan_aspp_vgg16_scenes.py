"""SGAN's segmentation losses, which are DSRG's without the growing, for the generated scenes."""

_base_ = ["dsrg_aspp_vgg16_scenes.py"]

model = dict(cues=dict(grow=False))
