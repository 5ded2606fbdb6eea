"""What a run can be asked to learn: data, model, loss and measures of each task, one module for each."""
