"""The lessons: what a course on neural networks teaches, shown with the parts that train the model."""
