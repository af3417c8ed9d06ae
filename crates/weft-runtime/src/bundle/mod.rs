//! Bundles: the files a user sends along, unpacked into the working directory.
