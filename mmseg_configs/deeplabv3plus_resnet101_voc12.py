"""DeepLabV3+, ResNet-101, VOC 2012 (arXiv:1802.02611), output stride 16.

Dilations 6, 12 and 18 and the mean of the image, separable; a decoder on 48 channels of stage 1.
torchvision's ResNet-101 begins with one 7x7 convolution, the paper's with three of 3x3.
"""

_base_ = ["_base_/deeplab_v3.py"]

model = dict(
    backbone=dict(type="DecoderResNet", depth=101, output_stride=16, multi_grid=(1, 2, 4)),
    decode_head=dict(
        type="DepthwiseSeparableASPPHead",
        in_channels=2048,
        in_index=1,
        channels=256,
        dilations=(1, 6, 12, 18),
        c1_in_channels=256,
        c1_channels=48,
        dropout_ratio=0.1,
        num_classes=21,
        norm_cfg=dict(type="BN", momentum=0.0003),
        align_corners=True,
        ignore_index=255,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True, class_weight=None),
    ),
)
