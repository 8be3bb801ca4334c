"""The lessons and the page that they form.

Every figure and number comes from a run of the code that trains the model.

build                  the page with all lessons
lesson                 one lesson, and the data that the lessons share
neurons                a neuron, the inputs, logistic regression
activations            activations and their derivatives
losses                 cross-entropy and other losses
gradient_descent       step sizes, local minima and saddle points
minibatches            gradient noise and batch sizes
optimizers             optimizers
weight_initialization  initializers, vanishing and exploding gradients
backpropagation        the chain rule, gradient checks
overfitting            early stopping, XOR
multiclass             softmax with three classes
metrics                error rate, cost of a missed positive
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from course.foundations.build import build_page as build_page
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "build": ("build_page",),
        },
    )
