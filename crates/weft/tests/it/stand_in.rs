//! The stand-in for the driver, as a folder that a test's server is told of.

use std::path::{Path, PathBuf};
use weft_testkit::World;

/// The folder's name in the working directory.
pub(crate) const FOLDER: &str = "driver";

/// Makes the folder: the library that cargo has built beside this test, under the driver's names.
pub(crate) fn folder(world: &World) -> PathBuf {
    let folder = world.work().join(FOLDER);
    std::fs::create_dir(&folder).expect("a folder");
    for name in ["libcuda.so.1", "libnvidia-ml.so.1"] {
        std::os::unix::fs::symlink(library(), folder.join(name)).expect("a link");
    }
    folder
}

fn library() -> PathBuf {
    std::env::current_exe().expect("this program").with_file_name("libweft_fakecuda.so")
}

/// A world whose server has the stand-in as its driver, with these settings.
pub(crate) fn up(settings: &str) -> World {
    let world = crate::world();
    folder(&world);
    world.write(&format!("{FOLDER}/weft-fakecuda"), settings);
    world.ok(&["up", "--detach", "--gpu-libraries", FOLDER]);
    world
}

/// Writes a file that is there whole, or as it was.
pub(crate) fn put(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text).expect("written");
    std::fs::rename(fresh, path).expect("renamed");
}
