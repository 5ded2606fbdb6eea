"""What a run can learn: the data, model, loss and measures of each task, one module for each."""
