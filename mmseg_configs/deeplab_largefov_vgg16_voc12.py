"""DeepLab-LargeFOV, VGG-16, VOC 2012, as published (ICLR 2015).

Batch 20, crop 321, mirror, 6,000 iterations, rate 1e-3 divided by 10 every 2,000. The published
network begins from an ImageNet VGG-16 whose fc6 and fc7 were subsampled to 1,024 channels. Here
they begin from random weights, so they share the classifier's tenfold rate.
"""

_base_ = [
    "_base_/runtime.py",
    "_base_/largefov_vgg16.py",
    "_base_/voc12.py",
    "_base_/sgd.py",
]

train_cfg = dict(type="IterBasedTrainLoop", max_iters=6000, val_interval=6000)
param_scheduler = [dict(type="MultiStepLR", milestones=[2000, 4000], gamma=0.1, by_epoch=False)]
