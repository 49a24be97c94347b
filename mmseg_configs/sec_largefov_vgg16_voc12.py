"""SEC: DeepLab-LargeFOV on VGG-16 trained on cues, VOC 2012 (Kolesnikov and Lampert, ECCV 2016).

Batch 15, the whole image warped to 321, no mirror image, 8,000 iterations, rate 1e-3 divided by 10
every 2,000.
"""

_base_ = ["deeplab_largefov_vgg16_voc12.py"]

model = dict(
    type="CueSegmentor",
    cues=dict(losses=("seed", "expand", "constrain"), crf_input="logits", crf_scale=12.0),
)
train_dataloader = dict(
    batch_size=15,
    dataset=dict(augmentation=dict(warp=(321, 321), mirror=False)),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=8000, val_interval=8000)
param_scheduler = [
    dict(type="MultiStepLR", milestones=[2000, 4000, 6000], gamma=0.1, by_epoch=False)
]
