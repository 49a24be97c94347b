"""SEC with the seed loss alone."""

_base_ = ["sec_largefov_vgg16_scenes.py"]

model = dict(cues=dict(losses=("seed",)))
