"""SEC with the seed and the expand loss."""

_base_ = ["sec_largefov_vgg16_voc12.py"]

model = dict(cues=dict(losses=("seed", "expand")))
