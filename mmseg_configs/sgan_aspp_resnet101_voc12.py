"""SGAN's segmentation on ResNet-101, VOC 2012: each branch a single 3x3 classifier.

So DeepLab v2 has it on ResNet-101, and batch norms that learn nothing; the SGAN paper only names
the network. All else as with VGG-16.
"""

_base_ = ["sgan_aspp_vgg16_voc12.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="DeepLabBackbone",
        name="resnet",
        depth=101,
        output_stride=8,
        norm_eval=True,
    ),
    decode_head=dict(
        _delete_=True,
        type="ASPPSumHead",
        direct=True,
        in_channels=2048,
        channels=1024,
        dilations=(6, 12, 18, 24),
        label_stride=8,
        num_classes=21,
        align_corners=True,
        ignore_index=255,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True, class_weight=None),
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            norm: dict(lr_mult=0.0, decay_mult=0.0)
            for norm in (".bn1", ".bn2", ".bn3", ".downsample.1")
        },
    ),
)
