"""Lessons on neural networks, with figures and numbers from the code that trains the model.

foundations  the lessons, and the page that they form
__main__     the command ``python -m course``, which writes the page
templates    the template of the page
"""
