"""DeepLab-LargeFOV, VGG-16, VOC 2012, as published (ICLR 2015).

Batch 20, crop 321, mirror, 6,000 iterations, rate 1e-3 divided by 10 every 2,000; the classifier
ten times as fast. For torchvision's weights: RGB, mean and deviation. Of fc6 and fc7 the regular
subset is kept where the released network has a random one.
"""

_base_ = [
    "_base_/runtime_deeplab.py",
    "_base_/deeplab_vgg16.py",
    "_base_/voc12.py",
    "_base_/sgd_classifiers.py",
]

train_cfg = dict(type="IterBasedTrainLoop", max_iters=6000, val_interval=6000)
param_scheduler = [dict(type="MultiStepLR", milestones=[2000, 4000], gamma=0.1, by_epoch=False)]
