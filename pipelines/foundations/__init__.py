"""What a course on networks teaches, shown with the parts that train the model.

Every subject is a figure and two sentences, and every number in them comes out of the run that
writes the page: from the network, losses, optimizers, first weights and the ensemble of
:mod:`model`, on the Cleveland table or on a few points where that shows more. Where a run shows
something else than the textbook says, the sentence says what was seen.
"""
