"""SGAN's segmentation: DeepLab-ASPP on VGG-16 trained on cues, VOC 2012 (arXiv:1910.05475, III-B).

Batch 15, the whole image warped to 353, crop 321, mirror images, random colours, rate 1e-3 times
0.33 every 2,000. 8,000 iterations as in the released solver (the paper says 12,000), and as in the
released network a 3x3 average before fc6.
"""

_base_ = [
    "_base_/runtime_deeplab.py",
    "_base_/aspp_vgg16.py",
    "_base_/voc12.py",
    "_base_/sgd_classifiers.py",
]

model = dict(
    type="CueSegmentor",
    backbone=dict(average_pool=True),
    cues=dict(
        losses=("balanced_seed", "constrain"),
        crf_input="probabilities",
        crf_scale=12.0,
        ratio_range=(0.05, 20.0),
    ),
)
train_dataloader = dict(
    batch_size=15,
    dataset=dict(augmentation=dict(warp=(353, 353), mirror=True, colour=True)),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=8000, val_interval=8000)
param_scheduler = [
    dict(type="MultiStepLR", milestones=[2000, 4000, 6000], gamma=0.33, by_epoch=False)
]
