//! Environments: locked Python packages in a content-addressed, shared cache.
