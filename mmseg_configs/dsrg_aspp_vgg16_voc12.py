"""DSRG: DeepLab-ASPP on VGG-16 trained on growing cues, VOC 2012 (Huang et al., CVPR 2018).

Batch 20, the whole image warped to 321, mirror images, 8,000 iterations, rate 5e-4 times 0.33
every 1,000, and a 3x3 average before fc6 (released code). The second training, on what this network
predicts, is that of retraining_dsrg_aspp_vgg16_voc12.py.
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
        grow=True,
        grow_foreground=0.85,
        grow_background=0.99,
    ),
)
train_dataloader = dict(
    batch_size=20,
    dataset=dict(augmentation=dict(warp=(321, 321), mirror=True)),
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=8000, val_interval=8000)
param_scheduler = [
    dict(
        type="MultiStepLR",
        milestones=[1000, 2000, 3000, 4000, 5000, 6000, 7000],
        gamma=0.33,
        by_epoch=False,
    )
]
