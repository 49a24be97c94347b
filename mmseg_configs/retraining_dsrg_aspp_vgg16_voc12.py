"""DSRG's second training, on the labels that its first network gives itself (Huang et al., 2018).

Stage f of the released code: DeepLab-ASPP's own batch 10, crop 321, 20,000 iterations, rate 1e-3,
poly 0.9 and cross-entropy, on the network of the first training.
"""

_base_ = ["deeplab_aspp_vgg16_voc12.py"]

model = dict(backbone=dict(average_pool=True))
