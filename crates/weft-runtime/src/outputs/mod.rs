//! Outputs: what a run leaves in its working directory, copied out after its end.
