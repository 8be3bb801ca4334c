"""Ensembles: many networks of one architecture trained in one program.

fit         fit_ensemble
members     what each member is, and its results
packing     initial weights and rows stacked by member
program     one program, from initial to final weights, with early stopping
train_step  an epoch of all members
forward     forward pass and losses
optimizers  update steps with a learning rate a member
autodiff    gradients and compilation by backend
bootstrap   members trained on bootstrap samples, for intervals
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from model.training.ensemble.autodiff import compiled as compiled
    from model.training.ensemble.autodiff import gradients as gradients
    from model.training.ensemble.bootstrap import N_MEMBERS as N_MEMBERS
    from model.training.ensemble.bootstrap import bootstrap_members as bootstrap_members
    from model.training.ensemble.bootstrap import fit_members as fit_members
    from model.training.ensemble.bootstrap import members_file as members_file
    from model.training.ensemble.bootstrap import pack as pack
    from model.training.ensemble.fit import fit_ensemble as fit_ensemble
    from model.training.ensemble.forward import Plan as Plan
    from model.training.ensemble.forward import forward as forward
    from model.training.ensemble.forward import losses as losses
    from model.training.ensemble.forward import penalty as penalty
    from model.training.ensemble.members import Ensemble as Ensemble
    from model.training.ensemble.members import Member as Member
    from model.training.ensemble.optimizers import STEPS as STEPS
    from model.training.ensemble.optimizers import first_slots as first_slots
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "autodiff": (
                "compiled",
                "gradients",
            ),
            "bootstrap": (
                "N_MEMBERS",
                "bootstrap_members",
                "fit_members",
                "members_file",
                "pack",
            ),
            "fit": ("fit_ensemble",),
            "forward": (
                "Plan",
                "forward",
                "losses",
                "penalty",
            ),
            "members": (
                "Ensemble",
                "Member",
            ),
            "optimizers": (
                "STEPS",
                "first_slots",
            ),
        },
    )
