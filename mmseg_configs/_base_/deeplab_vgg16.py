"""DeepLab-LargeFOV on VGG-16 as released: fc6 and fc7 are ImageNet's, thinned to 1,024 channels.

The network of largefov_vgg16.py, and a 3x3 average before fc6. All that is loaded is the
backbone's; the classifier alone is new.
"""

_base_ = ["largefov_vgg16.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="DeepLabVGG16",
        dilations=(12,),
        average_pool=True,
    ),
    decode_head=dict(
        _delete_=True,
        type="SummedClassifiersHead",
        maps=1,
        in_channels=1024,
        channels=1024,
        label_stride=8,
        num_classes=21,
        align_corners=True,
        ignore_index=255,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True, class_weight=None),
    ),
)
