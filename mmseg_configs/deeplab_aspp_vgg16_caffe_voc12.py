"""DeepLab-ASPP, VGG-16, VOC 2012, for the weights of the original VGG-16.

These were trained in Caffe on BGR images less their mean. Give them in torchvision's key layout.
"""

_base_ = ["deeplab_aspp_vgg16_voc12.py"]

model = dict(
    data_preprocessor=dict(
        mean=[104.008, 116.669, 122.675],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
    ),
)
train_dataloader = dict(dataset=dict(augmentation=dict(fill=(123, 117, 104))))
