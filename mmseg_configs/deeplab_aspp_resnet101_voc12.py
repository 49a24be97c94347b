"""DeepLab-ASPP (DeepLab v2), ResNet-101, VOC 2012 (PAMI 2018), from ImageNet weights.

Each image at scales 1, 0.75 and 0.5, joined by the maximum. Batch 10, crop 321, scales 0.5 to 1.5,
mirror, 20,000 iterations, rate 2.5e-4, poly 0.9; the classifiers ten times as fast; batch norms
learn nothing. Not in it: the training on MS-COCO, whose masks image labels must do without.
"""

_base_ = [
    "_base_/runtime_deeplab.py",
    "_base_/aspp_resnet101.py",
    "_base_/voc12.py",
    "_base_/sgd_fixed_norms.py",
]

model = dict(type="MaxOfScales", scales=(1.0, 0.75, 0.5))
train_dataloader = dict(
    batch_size=10,
    dataset=dict(augmentation=dict(scale_range=(0.5, 1.5))),
)
optim_wrapper = dict(optimizer=dict(lr=2.5e-4))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=20000, val_interval=20000)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, end=20001, by_epoch=False)]
