//! Images: a root file system pulled from a registry or imported from an archive.
