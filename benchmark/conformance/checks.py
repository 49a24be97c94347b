"""Every check of the contract, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmark.conformance.answers import (
    absent_classes_have_no_attention,
    attention_range,
    attention_shape,
    background_range,
    background_shape,
    class_scores_are_finite,
    gradient_reaches_the_backbone,
    images_need_not_be_square,
    images_without_a_class_have_no_attention,
    losses_are_finite_scalars,
    losses_need_no_class,
    network_builds,
    networks_share_nothing,
    supervision_is_stated,
)
from benchmark.conformance.constancy import (
    batch_size_does_not_matter,
    global_settings_stay,
    inference_draws_no_random_number,
    inference_leaves_the_network_alone,
    inference_repeats,
    inputs_stay_as_they_are,
    random_numbers_come_from_torch_alone,
)
from benchmark.conformance.subject import Subject
from benchmark.conformance.training import (
    finished_fit_resumes,
    fit_is_deterministic,
    fit_trains,
    fitted_maps_are_usable,
    fitted_weights_give_the_same_maps,
    runs_on_a_gpu,
    saved_weights_give_the_same_maps,
    training_is_deterministic,
)

CheckFunction = Callable[[Subject], str]


@dataclass(frozen=True)
class Check:
    """A named check; ``after`` are those that must have passed for it to make sense."""

    function: CheckFunction
    after: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The function's name in words."""
        return self.function.__name__.replace("_", " ")


CHECKS = (
    Check(supervision_is_stated),
    Check(network_builds),
    Check(networks_share_nothing, ("network builds",)),
    Check(attention_shape, ("network builds",)),
    Check(attention_range, ("attention shape",)),
    Check(absent_classes_have_no_attention, ("attention shape",)),
    Check(images_without_a_class_have_no_attention, ("absent classes have no attention",)),
    Check(background_shape, ("network builds",)),
    Check(background_range, ("background shape",)),
    Check(class_scores_are_finite, ("network builds",)),
    Check(losses_are_finite_scalars, ("network builds",)),
    Check(losses_need_no_class, ("losses are finite scalars",)),
    Check(gradient_reaches_the_backbone, ("losses are finite scalars",)),
    *(
        Check(function, ("attention shape", "background shape", "class scores are finite"))
        for function in (
            images_need_not_be_square,
            inference_repeats,
            inference_leaves_the_network_alone,
            inference_draws_no_random_number,
            saved_weights_give_the_same_maps,
        )
    ),
    Check(batch_size_does_not_matter, ("inference repeats", "attention range")),
    *(
        Check(function, ("attention shape", "background shape", "losses are finite scalars"))
        for function in (
            inputs_stay_as_they_are,
            random_numbers_come_from_torch_alone,
            global_settings_stay,
        )
    ),
    Check(training_is_deterministic, ("networks share nothing", "losses are finite scalars")),
    Check(fit_trains, ("losses are finite scalars",)),
    Check(fit_is_deterministic, ("fit trains", "training is deterministic")),
    Check(finished_fit_resumes, ("fit is deterministic",)),
    Check(
        fitted_maps_are_usable,
        ("fit trains", "attention range", "background range", "class scores are finite"),
    ),
    Check(fitted_weights_give_the_same_maps, ("fit trains", "saved weights give the same maps")),
    Check(runs_on_a_gpu, ("attention shape", "losses are finite scalars")),
)
