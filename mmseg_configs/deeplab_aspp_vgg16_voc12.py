"""DeepLab-ASPP (ASPP-L of DeepLab v2), VGG-16, VOC 2012, as published (PAMI 2018).

Batch 10, crop 321, mirror, 20,000 iterations, rate 1e-3, poly 0.9; the classifiers ten times as
fast. For torchvision's weights: RGB, mean and deviation.
"""

_base_ = [
    "_base_/runtime_deeplab.py",
    "_base_/aspp_vgg16.py",
    "_base_/voc12.py",
    "_base_/sgd_classifiers.py",
]

train_dataloader = dict(batch_size=10)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=20000, val_interval=20000)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, end=20001, by_epoch=False)]
