//! The pause image: a program that only waits for a signal, in an image made in memory.
//!
//! It is the process of fronts, and of the never-started containers through which content is
//! delivered. Every byte is fixed, so the image is the same everywhere and comes from no registry.

use bollard::models::BuildInfo;
use bollard::query_parameters::ImportImageOptions;
use futures_util::TryStreamExt;

use crate::hash::sha256;
use crate::host::Class;

use super::Docker;
use super::archive::Archive;
use super::error::{During, Error, status};

/// The image's name; without one it would be prey of `docker image prune`.
pub(super) const IMAGE: &str = "driftless/pause:1";

/// Ignores SIGCHLD (so the kernel reaps what is left to process 1), blocks SIGTERM and SIGINT, waits
/// for one of them and exits. A blocked signal reaches process 1 although it has no handler, so a
/// stop takes no grace period.
const X86_64: &str = "b80d000000bf11000000488d354700000031d241ba080000000f05b80e00000031ff488d3527000000\
                      31d20f05b880000000488d3d1700000031f631d20f0585c078eab83c00000031ff0f050f1f400002400000000000000100000000000000";
const X86_64_LENGTH: usize = 120;

/// The same for 64-bit ARM.
const AARCH64: &str = "200280d2a1020010020080d2030180d2c81080d2010000d4000080d2a1010010020080d2e81080d2010000d4\
                       20010010010080d2020080d2281180d2010000d460ffff37000080d2a80b80d2010000d402400000000000000100000000000000";
const AARCH64_LENGTH: usize = 112;

impl Docker {
    /// Makes the pause image available.
    pub(super) async fn ensure_pause(&self) -> Result<(), Error> {
        match self.timed("inspect_image", self.inner.client.inspect_image(IMAGE)).await {
            Ok(_) => return Ok(()),
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(error).during("look for", IMAGE),
        }
        let version = self.timed("version", self.inner.client.version()).await.during("ask", "the engine's version")?;
        let architecture = version.arch.unwrap_or_default();
        let image = image(&architecture).ok_or_else(|| {
            Error::refused(Class::User, "make", IMAGE, format!("there is no pause program for the architecture `{architecture}`"))
        })?;
        let stream = self.inner.client.import_image(ImportImageOptions::default(), bollard::body_full(image.into()), None);
        stream.try_collect::<Vec<BuildInfo>>().await.during("load", IMAGE)?;
        Ok(())
    }
}

/// Returns the image as `docker load` takes it.
fn image(architecture: &str) -> Option<Vec<u8>> {
    let (architecture, machine, code, length) = match architecture {
        "amd64" | "x86_64" => ("amd64", 62, X86_64, X86_64_LENGTH),
        "arm64" | "aarch64" => ("arm64", 183, AARCH64, AARCH64_LENGTH),
        _ => return None,
    };
    let mut code = hex::decode(code).expect("the program is hexadecimal");
    code.resize(length, 0);
    let mut layer = Archive::default();
    layer.file("pause", &elf(machine, &code), 0o755);
    let layer = layer.finish();
    let config = serde_json::json!({
        "architecture": architecture,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": { "Entrypoint": ["/pause"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "driftless" }],
    })
    .to_string();
    let config_name = format!("{}.json", sha256(config.as_bytes()));
    let manifest = serde_json::json!([{ "Config": config_name, "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]).to_string();
    let mut image = Archive::default();
    image.file(&config_name, config.as_bytes(), 0o644);
    image.file("layer.tar", &layer, 0o644);
    image.file("manifest.json", manifest.as_bytes(), 0o644);
    Some(image.finish())
}

/// Returns a program of one segment that is loaded at 4 MiB, readable and executable.
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |elf: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|value| elf.extend_from_slice(&value.to_le_bytes()));
    halves(&mut elf, &[2, machine]);
    elf.extend_from_slice(&1u32.to_le_bytes());
    for value in [BASE + HEADERS, 64, 0] {
        elf.extend_from_slice(&value.to_le_bytes());
    }
    elf.extend_from_slice(&0u32.to_le_bytes());
    halves(&mut elf, &[64, 56, 1, 0, 0, 0]);
    elf.extend_from_slice(&1u32.to_le_bytes());
    elf.extend_from_slice(&5u32.to_le_bytes());
    for value in [0, BASE, BASE, size, size, 0x1000] {
        elf.extend_from_slice(&value.to_le_bytes());
    }
    elf.extend_from_slice(code);
    elf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_has_240_bytes() {
        let code = hex::decode(X86_64).expect("hexadecimal");
        assert!(code.len() <= X86_64_LENGTH);
        assert_eq!(elf(62, &[0; X86_64_LENGTH]).len(), 240);
        assert!(hex::decode(AARCH64).expect("hexadecimal").len() <= AARCH64_LENGTH);
    }

    #[test]
    fn the_image_is_the_same_every_time() {
        assert_eq!(image("amd64"), image("x86_64"));
        assert!(image("arm64").is_some());
        assert_eq!(image("s390x"), None);
    }
}
