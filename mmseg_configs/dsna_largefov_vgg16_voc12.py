"""DSNA's segmentation: DeepLab-LargeFOV on VGG-16, VOC 2012 (arXiv:1803.02563, IV-A).

Rate 1e-3, divided by 10 after 8 epochs, the end after 12. At batch 20, as in the first training of
the code that the paper names (BardOfCodes/pytorch_deeplab_large_fov), 10,582 images make epochs of
529.1 iterations.
"""

_base_ = ["deeplab_largefov_vgg16_voc12.py"]

train_cfg = dict(type="IterBasedTrainLoop", max_iters=6349, val_interval=6349)
param_scheduler = [dict(type="MultiStepLR", milestones=[4233], gamma=0.1, by_epoch=False)]
