"""Ensembles: many networks trained in one program.

fit         fit_ensemble: members grouped into programs and trained
members     specifications of the members, their fitted results, predictions
packing     initial weights, row orders and dropout masks stacked by member
program     the training loop of one program, with early stopping
train_step  a compiled epoch of all members, and the validation loss
forward     forward pass, loss per record, L2 penalty
optimizers  update rules with a learning rate per member
autodiff    compilation and gradients on each Keras backend
bootstrap   members trained on bootstrap samples, for intervals
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from model.training.ensemble.autodiff import compile_function as compile_function
    from model.training.ensemble.autodiff import gradients as gradients
    from model.training.ensemble.bootstrap import N_MEMBERS as N_MEMBERS
    from model.training.ensemble.bootstrap import bootstrap_member_specs as bootstrap_member_specs
    from model.training.ensemble.bootstrap import encode_bootstrap_file as encode_bootstrap_file
    from model.training.ensemble.bootstrap import fit_bootstrap_ensemble as fit_bootstrap_ensemble
    from model.training.ensemble.bootstrap import to_bootstrap_file as to_bootstrap_file
    from model.training.ensemble.fit import fit_ensemble as fit_ensemble
    from model.training.ensemble.forward import ProgramSpec as ProgramSpec
    from model.training.ensemble.forward import forward_pass as forward_pass
    from model.training.ensemble.forward import l2_penalty as l2_penalty
    from model.training.ensemble.forward import record_losses as record_losses
    from model.training.ensemble.members import Ensemble as Ensemble
    from model.training.ensemble.members import MemberSpec as MemberSpec
    from model.training.ensemble.optimizers import UPDATE_RULES as UPDATE_RULES
    from model.training.ensemble.optimizers import initial_slots as initial_slots
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "autodiff": (
                "compile_function",
                "gradients",
            ),
            "bootstrap": (
                "N_MEMBERS",
                "bootstrap_member_specs",
                "fit_bootstrap_ensemble",
                "encode_bootstrap_file",
                "to_bootstrap_file",
            ),
            "fit": ("fit_ensemble",),
            "forward": (
                "ProgramSpec",
                "forward_pass",
                "record_losses",
                "l2_penalty",
            ),
            "members": (
                "Ensemble",
                "MemberSpec",
            ),
            "optimizers": (
                "UPDATE_RULES",
                "initial_slots",
            ),
        },
    )
