//! Talks to a Weft server.
