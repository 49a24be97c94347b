"""DeepLab-ASPP on VGG-16: four LargeFOV branches of other dilations, summed (PAMI 2018)."""

_base_ = ["deeplab_vgg16.py"]

model = dict(
    backbone=dict(dilations=(6, 12, 18, 24), average_pool=False),
    decode_head=dict(maps=4),
)
