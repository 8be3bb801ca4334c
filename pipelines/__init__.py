"""Files in, artifacts and reports out: reading tables, preprocessing, training, evaluating."""
