"""How DeepLabV3 and V3+ are trained on VOC 2012 (arXiv:1706.05587, arXiv:1802.02611).

16 images of 513 pixels, scales 0.5 to 2, mirror images; rate 0.007, poly 0.9, 30,000 iterations at
output stride 16; batch norms learn. The weight decay, 1e-4 (MobileNetV2: 4e-5), and that it is on
convolutions alone, are those of the released code, as is one rate for all layers but for biases,
which learn twice as fast (the classifier's alone: all others are those of batch norms).
"""

_base_ = ["runtime_deeplab.py", "voc12.py"]

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(513, 513),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(augmentation=dict(crop_size=(513, 513), scale_range=(0.5, 2.0))),
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.007, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0, norm_decay_mult=0.0),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=30000, val_interval=30000)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, end=30001, by_epoch=False)]
