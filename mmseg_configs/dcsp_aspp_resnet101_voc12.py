"""DCSP: DeepLab-ASPP on ResNet-101 for half as long as DeepLab's own (arXiv:1707.05821).

The released code has batch 10 and 10,000 iterations, poly; once more as many, from the first of the
rate on, on the labels that the network gives itself (``retrain = "adapt"`` of a row).
"""

_base_ = ["deeplab_aspp_resnet101_voc12.py"]

train_cfg = dict(type="IterBasedTrainLoop", max_iters=10000, val_interval=10000)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, end=10001, by_epoch=False)]
