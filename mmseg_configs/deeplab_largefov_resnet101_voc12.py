"""DeepLab-LargeFOV on ResNet-101, VOC 2012.

The head (3x3 dilated by 12, 1,024 channels; 1x1; classifier) and the schedule (10 images a step,
crop 321, scales 0.7 to 1.3, rate 1e-3, poly 0.9, 16,000 iterations) that the SeeNet group released
with OAA; the SeeNet paper gives none for its ResNet.
"""

_base_ = [
    "_base_/runtime.py",
    "_base_/largefov_vgg16.py",
    "_base_/voc12.py",
    "_base_/sgd.py",
]

model = dict(
    backbone=dict(
        _delete_=True,
        type="DeepLabBackbone",
        name="resnet",
        depth=101,
        output_stride=8,
        norm_eval=True,
    ),
    decode_head=dict(in_channels=2048, label_stride=None),
)
train_dataloader = dict(
    batch_size=10,
    dataset=dict(augmentation=dict(scale_range=(0.7, 1.3))),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=16000, val_interval=16000)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, end=16001, by_epoch=False)]
