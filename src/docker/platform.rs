//! Which platform an image is for, and whether the engine can run it.
//!
//! The engine takes an image for any platform and only warns; the container then ends at once with words that
//! name neither image nor platform.

use std::path::Path;

use crate::host::Class;

use super::Docker;
use super::error::{During, Error, status};

/// Where the kernel says for which other architectures it has an emulator.
const EMULATORS: &str = "/proc/sys/fs/binfmt_misc";

/// The platform of an engine or an image, in the words of images: `linux/amd64`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Platform {
    os: String,
    architecture: String,
}

impl Platform {
    /// Returns the platform of an engine, which calls architectures as the kernel does.
    pub(super) fn of_engine(os: Option<String>, architecture: Option<String>) -> Platform {
        let architecture = architecture.unwrap_or_default();
        let architecture = match architecture.as_str() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "i386" | "i686" => "386",
            "armv5l" | "armv6l" | "armv7l" | "armv8l" => "arm",
            other => other,
        };
        Platform { os: os.unwrap_or_default(), architecture: architecture.to_owned() }
    }

    /// Reads `os/architecture[/variant]`, or an architecture alone; variants run on each other well enough.
    fn parse(text: &str, engine: &Platform) -> Platform {
        let (os, rest) = text.split_once('/').unwrap_or((&engine.os, text));
        let architecture = rest.split('/').next().unwrap_or(rest);
        Platform { os: os.to_owned(), architecture: architecture.to_owned() }
    }

    /// Tells whether what is for the other platform runs here. What nobody knows is taken for good.
    fn runs(&self, image: &Platform) -> bool {
        let known = ![&self.os, &self.architecture, &image.os, &image.architecture].iter().any(|part| part.is_empty());
        let older = matches!((self.architecture.as_str(), image.architecture.as_str()), ("amd64", "386") | ("arm64", "arm"));
        !known || (self.os == image.os && (self.architecture == image.architecture || older))
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

impl Docker {
    /// Refuses an image for another platform than the one that is asked for, or else the engine's.
    pub(super) async fn check_platform(&self, object: &str, image: &str, asked: Option<&str>) -> Result<(), Error> {
        let found = match self.timed("inspect_image", self.inner.client.inspect_image(image)).await {
            Ok(found) => found,
            // That it is not there is said by who needs it.
            Err(error) if status(&error) == Some(404) => return Ok(()),
            Err(error) => return Err(error).during("inspect", image),
        };
        let engine = &self.inner.platform;
        let has = Platform { os: found.os.unwrap_or_default(), architecture: found.architecture.unwrap_or_default() };
        let wanted = asked.map_or_else(|| engine.clone(), |asked| Platform::parse(asked, engine));
        if wanted.runs(&has) || (asked.is_none() && self.emulates(&has)) {
            return Ok(());
        }
        Err(Error::refused(Class::User, "create", object, reason(image, &has, &wanted, asked.is_some())))
    }

    /// Tells whether the engine's kernel has an emulator for a platform; of one elsewhere nobody can say that it has not.
    fn emulates(&self, platform: &Platform) -> bool {
        let name = match platform.architecture.as_str() {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            "386" => "i386",
            other => other,
        };
        !self.inner.url.starts_with("unix://") || Path::new(EMULATORS).join(format!("qemu-{name}")).exists()
    }
}

fn reason(image: &str, has: &Platform, wanted: &Platform, asked: bool) -> String {
    let whose = if asked { format!("`platform` asks for {wanted}") } else { format!("this engine runs {wanted}") };
    format!(
        "image `{image}` is for {has}, and {whose}: build it for that with `docker build --platform {wanted}` and give it another tag, or name one \
         that is (the image that is here under this tag stays until `docker image rm {image}`)"
    )
}

/// Says what an engine means that finds no image for its platform in an index.
pub(super) fn not_for(image: &str, said: &str) -> Option<String> {
    let wanted = said.split_once("no matching manifest for ")?.1.split_whitespace().next()?;
    Some(format!("its registry has `{image}`, but not for {wanted}: push it for that platform, too; it is looked for again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        Platform::parse(text, &Platform::default())
    }

    #[test]
    fn platforms_are_compared_by_what_runs() {
        let engine = Platform::of_engine(Some("linux".to_owned()), Some("x86_64".to_owned()));
        assert_eq!(engine.to_string(), "linux/amd64");
        for (image, runs) in
            [("linux/amd64", true), ("linux/amd64/v3", true), ("linux/386", true), ("linux/arm64", false), ("windows/amd64", false)]
        {
            assert_eq!(engine.runs(&platform(image)), runs, "{image}");
        }
        assert!(engine.runs(&Platform::default()), "an image that says nothing");
        assert!(platform("linux/arm64/v8").runs(&platform("linux/arm/v7")));
        assert_eq!(Platform::parse("arm64", &engine).to_string(), "linux/arm64");
    }

    #[test]
    fn an_index_without_the_platform_is_told_in_our_words() {
        let said = "no matching manifest for linux/amd64 in the manifest list entries";
        let told = not_for("a/web:1", said).expect("it is that");
        assert!(told.contains("has `a/web:1`, but not for linux/amd64:"), "{told}");
        assert_eq!(not_for("a/web:1", "manifest unknown"), None);
    }
}
