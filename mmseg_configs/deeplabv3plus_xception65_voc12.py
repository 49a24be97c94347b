"""DeepLabV3+, Xception-65, VOC 2012 (arXiv:1802.02611), output stride 16.

Dilations 6, 12 and 18 and the mean of the image, separable; a decoder on 48 channels of the second
block. For ImageNet weights of timm's xception65.tf_in1k, converted from the released ones, whose
images lie between -1 and 1. The weight decay, 4e-5 and none on depthwise convolutions, is that of
the released code.

EADER (slides 2020) names this network and gives nothing of its training or test: not the initial
weights (MS-COCO or JFT would have seen masks or more images), batch, crop, rate, iterations, output
stride, scales or CRF. Here they are DeepLabV3+'s own on ImageNet weights.
"""

_base_ = ["deeplabv3plus_resnet101_voc12.py"]

model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(_delete_=True, type="DecoderXception", output_stride=16),
)
train_dataloader = dict(dataset=dict(augmentation=dict(fill=(128, 128, 128))))
optim_wrapper = dict(
    optimizer=dict(weight_decay=4e-5),
    paramwise_cfg=dict(dwconv_decay_mult=0.0),
)
