"""DSRG's losses on a VGG-16 of a quarter of the channels, for the generated scenes.

The losses see 25x25 cells where DSRG's see 41x41: the CRF's distances follow.
"""

_base_ = ["deeplab_largefov_vgg16_scenes.py"]

model = dict(
    type="CueSegmentor",
    cues=dict(
        losses=("balanced_seed", "constrain"),
        crf_input="probabilities",
        crf_scale=20.0,  # 12 x 41 / 25
        ratio_range=(0.05, 20.0),
        grow=True,
        grow_foreground=0.85,
        grow_background=0.99,
    ),
    decode_head=dict(
        _delete_=True,
        type="ASPPSumHead",
        in_channels=128,
        channels=128,
        dilations=(3, 6, 9, 12),  # half of the published, as LargeFOV's on so small a map
        dropout=0.2,
        label_stride=4,
        num_classes=21,
        align_corners=True,
        ignore_index=255,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True, class_weight=None),
    ),
)
# The whole image, so that its labels hold for the view.
train_dataloader = dict(
    dataset=dict(augmentation=dict(warp=(97, 97), scale_range=(1.0, 1.0))),
)
