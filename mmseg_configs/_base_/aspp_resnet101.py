"""DeepLab-ASPP on ResNet-101: four 3x3 classifiers of other dilations, summed (PAMI 2018).

Batch norms keep their ImageNet statistics.
"""

_base_ = ["largefov_vgg16.py"]

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
