"""DeepLab-LargeFOV on VGG-16 as published.

Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs",
ICLR 2015: pools 4 and 5 keep the size, block 5 is dilated by 2, fc6 is 3x3, dilated by 12, with
1,024 channels. 255 is void; the loss is the mean over the other pixels, of which the published
training takes every eighth (label_stride).
"""

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(321, 321),
    ),
    backbone=dict(
        type="DeepLabBackbone",
        name="vgg16",
        output_stride=8,
        pool_kernel=3,
        pool5=True,
        dilation=2,
    ),
    decode_head=dict(
        type="LargeFOVHead",
        in_channels=512,
        channels=1024,
        dilation=12,
        dropout=0.5,
        label_stride=8,
        num_classes=21,
        align_corners=True,  # cell i of the map is centred on pixel 8 i
        ignore_index=255,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True, class_weight=None),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
