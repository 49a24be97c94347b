"""DeepLab v1 on Wide ResNet-38, VOC 2012, as in the released retraining of SEAM (CVPR 2020).

Batch 10, crop 448, scales 0.5 to 1.5, mirror, colours, 20,000 iterations, rate 1e-3, poly 0.9, new
layers ten times as fast; scales and shifts of the batch norms learn nothing, their statistics do.
The released colours are shifts of hue, saturation and value; here they are recoloured's. Test:
scales 0.5 to 1.75, mirror images, a CRF.
"""

_base_ = [
    "_base_/runtime_deeplab.py",
    "_base_/largefov_vgg16.py",
    "_base_/voc12.py",
    "_base_/sgd.py",
]

model = dict(
    data_preprocessor=dict(size=(448, 448)),
    backbone=dict(_delete_=True, type="NormedBackbone", name="resnet38", output_stride=8),
    decode_head=dict(
        _delete_=True,
        type="NormedLargeFOVHead",
        in_channels=4096,
        channels=512,
        dilation=12,
        dropout=0.5,
        num_classes=21,
        align_corners=True,
        ignore_index=255,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True, class_weight=None),
    ),
)
train_dataloader = dict(
    batch_size=10,
    dataset=dict(
        augmentation=dict(crop_size=(448, 448), scale_range=(0.5, 1.5), colour=True),
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            ".bn": dict(lr_mult=0.0, decay_mult=0.0),
            "decode_head.fov.bn": dict(lr_mult=0.0, decay_mult=0.0),
            "decode_head.fov2.bn": dict(lr_mult=0.0, decay_mult=0.0),
        },
    ),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=20000, val_interval=20000)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, end=20001, by_epoch=False)]
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [
                dict(type="Resize", scale_factor=scale, keep_ratio=True)
                for scale in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [
                dict(type="RandomFlip", prob=0.0, direction="horizontal"),
                dict(type="RandomFlip", prob=1.0, direction="horizontal"),
            ],
            [dict(type="LoadAnnotations", reduce_zero_label=False)],
            [dict(type="PackSegInputs")],
        ],
    ),
]
