"""DCSP: DeepLab-ASPP on ResNet-101, VOC 2012 (arXiv:1707.05821).

As in the released code: one input scale and one loss, batch 10, crop 321, scales 0.5 to 1.5,
mirror, rate 1e-3, poly 0.9, 10,000 iterations; the classifiers ten times as fast; batch norms learn
nothing. Once more as many iterations, from the first of the rate on, on the labels that the network
gives itself (``retrain = "adapt"`` of a row). A row's test, and those labels, take the maximum of
three scales.
"""

_base_ = [
    "_base_/runtime_deeplab.py",
    "_base_/aspp_resnet101.py",
    "_base_/voc12.py",
    "_base_/sgd_fixed_norms.py",
]

train_dataloader = dict(
    batch_size=10,
    dataset=dict(augmentation=dict(scale_range=(0.5, 1.5))),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=10000, val_interval=10000)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, end=10001, by_epoch=False)]
