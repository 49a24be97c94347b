"""DeepLab-ASPP on VGG-16: four LargeFOV heads of other dilations, summed (PAMI 2018)."""

_base_ = ["largefov_vgg16.py"]

model = dict(
    decode_head=dict(
        _delete_=True,
        type="ASPPSumHead",
        in_channels=512,
        channels=1024,
        dilations=(6, 12, 18, 24),
        dropout=0.5,
        label_stride=8,
        num_classes=21,
        align_corners=True,
        ignore_index=255,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True, class_weight=None),
    ),
)
