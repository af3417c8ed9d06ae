//! Containers without a daemon: sandbox, supervisor, images, environments.
