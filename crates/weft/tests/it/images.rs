//! Images: imported, shown with their sizes, and removed when nothing uses them.

use crate::world;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// An image with one file, as `docker save` writes it.
fn saved() -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    put(&mut layer, "etc/motd", &[b'x'; 1000]);
    let layer = layer.into_inner().unwrap();
    let hash: String = Sha256::digest(&layer).iter().map(|byte| format!("{byte:02x}")).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture, "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{hash}")]},
    });
    let manifest = json!([
        {"Config": "config.json", "RepoTags": ["lab/tool:7"], "Layers": ["layer.tar"]}
    ]);
    let mut archive = tar::Builder::new(Vec::new());
    put(&mut archive, "layer.tar", &layer);
    put(&mut archive, "config.json", config.to_string().as_bytes());
    put(&mut archive, "manifest.json", manifest.to_string().as_bytes());
    archive.into_inner().unwrap()
}

fn put(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, content).unwrap();
}

#[test]
fn an_image_is_removed_when_nothing_uses_it() {
    let world = world();
    std::fs::write(world.work().join("tool.tar"), saved()).unwrap();
    world.ok(&["image", "import", "tool.tar", "--name", "tool:1"]);
    let listed = world.ok(&["image", "list"]).out;
    assert!(listed.contains("docker.io/library/tool:1") && listed.contains("1 kB"), "{listed}");
    let kept = || {
        let images = std::fs::read_dir(world.state().join("images")).unwrap();
        images.filter(|e| e.as_ref().unwrap().file_name().len() == 64).count()
    };
    assert_eq!(kept(), 1);

    // It waits, and could not start without.
    let node = world.json(&["admin", "node", "list"])[0]["name"].as_str().unwrap().to_owned();
    world.ok(&["admin", "node", "drain", &node]);
    world.ok(&["run", "-d", "--name", "waits", "--image", "tool:1", "--", "true"]);
    let answer = world.weft(&["image", "rm", "tool:1"]);
    assert_eq!((answer.code, kept()), (123, 1), "{answer:?}");
    assert!(answer.err.contains("is in use by w1"), "{answer:?}");
    world.ok(&["stop", "waits"]);

    assert_eq!(world.weft(&["image", "rm", "tool:2"]).code, 121);
    let answer = world.ok(&["image", "rm", "tool:1"]);
    assert!(answer.err.contains("removed docker.io/library/tool:1 (1 kB)"), "{answer:?}");
    assert_eq!((kept(), world.json(&["image", "list"])), (0, json!([])));
    let audit = world.json(&["admin", "audit", "list"]);
    let removed = |e: &serde_json::Value| {
        e["resource"].as_str().is_some_and(|r| r.starts_with("image sha256:"))
    };
    assert_eq!(audit.as_array().unwrap().iter().filter(|e| removed(e)).count(), 2, "{audit}");
}
