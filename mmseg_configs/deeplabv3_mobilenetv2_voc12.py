"""DeepLabV3 on MobileNetV2, VOC 2012 (Sandler et al., CVPR 2018, section 6.3), output stride 16.

On the last but one feature map (320 channels), with the mean of the image and no dilated branch.
MMSegmentation joins the two by a 3x3 convolution where the released network has a 1x1.
"""

_base_ = ["_base_/deeplab_v3.py"]

model = dict(
    backbone=dict(
        type="NormedBackbone",
        name="mobilenet_v2",
        output_stride=16,
        last_conv=False,
    ),
    decode_head=dict(
        type="ASPPHead",
        in_channels=320,
        channels=256,
        dilations=(1,),
        dropout_ratio=0.1,
        num_classes=21,
        norm_cfg=dict(type="BN", momentum=0.0003),
        align_corners=True,
        ignore_index=255,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True, class_weight=None),
    ),
)
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
