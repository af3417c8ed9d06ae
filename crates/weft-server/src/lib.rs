//! The loop and the API.
